"""``segparity check`` can fail: faults planted where losses and metrics run, and each part of the verdict by itself."""

import contextlib
import math
import re

import numpy as np
import pytest

from segparity.cli import main
from segparity.parity import check
from segparity.parity.check import Row
from segparity.parity.frameworks import FRAMEWORKS, Worker, WorkerError
from segparity.parity.large_cases import LARGE
from segparity.parity.metrics import metric_error, metric_jobs
from segparity.parity.replay import applies
from segparity.parity.tolerances import GRADIENT, VALUE, gradient_error, value_error
from segparity.parity.ways import WAYS, large_plan, plan, replays
from shared_spec import LOSSES, SpecError
from tests.support.expected import expected_result
from tests.support.frameworks import axis, need, worker_of

LOSS = 'SensitivitySpecificityLoss'  # of overlap statistics, with few examples


def references_of_the_run(jobs, steps):
    for job in jobs:
        job.want.set_result(expected_result(job.name, job.example, job.case_name, every_entry=True)[2:])


@pytest.fixture
def verdicts(monkeypatch, capsys):
    """(code, way -> its verdicts, way -> the case that is named) of ``segparity check`` with a fault in the worker."""
    monkeypatch.setattr(check, '_references', references_of_the_run)

    def run(framework, fault, name):
        @contextlib.contextmanager
        def with_fault(framework):
            found = worker_of(framework)
            found.call('tests.support.planted_faults:plant', fault=fault)
            try:
                yield found
            finally:
                found.call('tests.support.planted_faults:lift')

        monkeypatch.setattr(check, 'Worker', with_fault)
        code = main(['check', name, '--framework', framework])
        lines = re.findall(rf'^{name} +{framework} +(\w+) .* (ok|DIFFERS)(.*)$', capsys.readouterr().out, re.MULTILINE)
        found, worst = {}, {}
        for way, verdict, case in lines:
            found.setdefault(way, set()).add(verdict)
            worst.setdefault(way, set()).add(case.strip(' ()'))
        return code, found, worst

    return run


OK, WRONG = {'ok'}, {'DIFFERS'}
PLANTED = [
    ('torch', 'value', LOSS, dict(plain=WRONG, fused=WRONG)),
    ('torch', 'gradient', LOSS, dict(plain=WRONG, fused=WRONG)),
    ('torch', 'number_for_nan', LOSS, dict(plain=WRONG, fused=WRONG)),
    ('torch', 'fused', LOSS, dict(plain=OK, fused=WRONG)),
    ('torch', 'fused_gradient', LOSS, dict(plain=OK, fused=WRONG)),
    ('torch', 'fused_blocks', LOSS, dict(plain=OK, fused=WRONG)),
    ('torch', 'fused_many_classes', 'SoftDiceLoss', dict(plain=OK, fused=WRONG)),
    ('torch', 'fused_never', LOSS, dict(plain=OK, fused=WRONG)),
    ('torch', 'metric', 'FineGrained', dict(plain=WRONG)),
    ('keras_tensorflow', 'value', LOSS, dict(eager=WRONG, graph=WRONG, xla=WRONG)),
    ('keras_tensorflow', 'gradient', LOSS, dict(eager=WRONG, graph=WRONG, xla=WRONG)),
    ('keras_tensorflow', 'compiled', LOSS, dict(eager=OK, graph=WRONG, xla=WRONG)),
    ('keras_tensorflow', 'metric', 'FineGrained', dict(eager=WRONG)),
]
# one fault of each kind is quick: of values, of NaN, of one way alone, of a metric, and none that compiles
SLOW = [
    row
    for row in PLANTED
    if (row[0] == 'keras_tensorflow' and row[1] != 'metric')
    or (row[0] == 'torch' and row[1] not in ('value', 'fused_gradient', 'number_for_nan', 'metric'))
]
GROUPS = {f.values[0]: f.marks for f in axis()}


@pytest.mark.parametrize(
    ('framework', 'fault', 'name', 'want'),
    [
        pytest.param(
            *row, id=f'{row[0]}-{row[1]}', marks=(*GROUPS[row[0]], *([pytest.mark.slow] if row in SLOW else []))
        )
        for row in PLANTED
    ],
)
def test_a_planted_fault_differs(framework, fault, name, want, verdicts, worker):
    code, found, worst = verdicts(framework, fault, name)
    assert (code, {way: found[way] for way in want}) == (1, want)
    if fault == 'number_for_nan':
        assert all('not_a_number' in case or 'infinite' in case for cases in worst.values() for case in cases)


@pytest.mark.slow
@pytest.mark.xdist_group('triton')
def test_kernels_agree_in_triton_s_interpreter_and_a_planted_fault_differs(tmp_path):
    """As they run on a CUDA device, in a process whose Triton interprets."""
    need('torch')
    pytest.importorskip('triton', reason='Triton is not installed')
    jobs = [job for job in check._jobs(LOSS, None) if job.case_name in ('ignored_border', 'not_a_number')]
    references_of_the_run(jobs, None)
    planned = [(way, job) for way, job in check._plan('torch', ['kernels'], jobs, []) if job in jobs]
    assert {job.case_name for _, job in planned} == {'ignored_border', 'not_a_number'}
    with Worker('torch', TRITON_INTERPRET='1', TRITON_CACHE_DIR=str(tmp_path), CUDA_VISIBLE_DEVICES='') as worker:
        assert worker.call('segparity.parity.torch_side:ways')[0]['kernels'] == ''
        rows = [row for way, job in planned for row in check._rows(worker, way, job, {})]
        assert len(rows) == 4 and all(row.ok for row in rows), rows
        worker.call('tests.support.planted_faults:plant', fault='kernels')
        rows = [row for way, job in planned[:1] for row in check._rows(worker, way, job, {})]
        assert len(rows) == 2 and not any(row.ok or row.error for row in rows), rows


@pytest.mark.parametrize(
    ('framework', 'module'), [(f, 'keras_side' if f.startswith('keras') else 'torch_side') for f in FRAMEWORKS]
)
def test_a_framework_is_asked_in_its_own_words(framework, module):
    assert check.side(framework) == f'segparity.parity.{module}'


def test_every_job_wants_what_its_own_case_gives(monkeypatch):
    told = []
    jobs = list(check._jobs(LOSS, None))[:4]
    monkeypatch.setattr(check.replay, 'reference', lambda spec, case: (spec, case))
    check._references(jobs, check._Steps(9, lambda *step: told.append(step)))
    assert all(job.want.result() == (job.spec, job.case) for job in jobs)
    assert told == [(k, 9, f'reference {LOSS}') for k in (1, 2, 3, 4)]
    check._Steps(1, None).done('told to nobody')


def test_a_case_that_the_reference_refuses_is_told_by_every_job_that_waits(monkeypatch):
    jobs = list(check._jobs(LOSS, None))[:3]
    answers = iter([1])
    monkeypatch.setattr(check.replay, 'reference', lambda *_: next(answers))
    with pytest.raises(StopIteration):
        check._references(jobs, check._Steps(3, None))
    assert jobs[0].want.result() == 1
    assert all(isinstance(job.want.exception(timeout=1), StopIteration) for job in jobs[1:])


def test_an_error_of_a_worker_is_a_row_that_differs():
    class Ended:
        framework = 'torch'

        def call(self, *_, **options):
            raise WorkerError(f'no answer in {options["dtype"]}')

    job = next(iter(check._jobs('SoftDiceLoss', None)))
    rows = list(check._rows(Ended(), 'plain', job, {}))
    assert [(row.dtype, row.error) for row in rows] == [(p, f'no answer in {p}') for p in ('float32', 'float64')]
    assert not any(row.ok for row in rows) and all(row.value_error == np.inf for row in rows)


def test_large_jobs_are_asked_as_users_logits_run():
    asked = []

    class Records:
        framework = 'torch'

        def call(self, *_, **options):
            asked.append({k: options.get(k) for k in ('dtype', 'way', 'large')})
            return None, {}

    for jobs, large in ((check._jobs, None), (check._large_jobs, True)):
        asked.clear()
        job = next(iter(jobs('SoftDiceLoss', None) if large is None else jobs('SoftDiceLoss')))
        assert list(check._rows(Records(), 'fused', job, {})) == []
        assert asked == [dict(dtype='float32', way='fused', large=large)]


def test_metrics_are_checked_on_their_own_cases_and_not_on_your_data():
    with pytest.raises(RuntimeError, match='no framework is installed'):
        check.check_parity(['FineGrained'], frameworks=[])
    data = dict(pred=np.zeros((1, 2, 2, 2)), target=np.zeros((1, 2, 2), int))
    with pytest.raises(SpecError, match="unknown loss 'FineGrained'"):
        check.check_parity(['FineGrained'], data=data, frameworks=[])


def row(value=0.0, gradient=0.0, dtype='float32', cases=1, error=''):
    return Row('SoftDiceLoss', 'torch', dtype, value, gradient, cases, f'case of {value} {gradient}', error, 'plain')


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_a_row_is_ok_where_value_and_gradient_are(dtype):
    assert row(VALUE[dtype], GRADIENT[dtype], dtype).ok
    assert not row(2 * VALUE[dtype], 0.0, dtype).ok
    assert not row(0.0, 2 * GRADIENT[dtype], dtype).ok
    assert not row(math.nan, 0.0, dtype).ok and not row(0.0, math.nan, dtype).ok
    assert not row(dtype=dtype, cases=0).ok
    assert not row(dtype=dtype, error='the worker ended').ok


def test_the_worst_of_two_rows_leads():
    small, large = row(1e-9, 1e-2, cases=2), row(1e-3, 1e-9, cases=3)
    for first, second in ((small, large), (large, small)):
        both = check.worse(first, second)
        assert (both.value_error, both.grad_error, both.cases) == (1e-3, 1e-2, 5)
    assert check.worse(row(1e-9), row(1e-3)).worst == check.worse(row(1e-3), row(1e-9)).worst == row(1e-3).worst
    assert check.worse(row(1.0), row(error='ended')).error == check.worse(row(error='ended'), row(1.0)).error
    assert check.worse(None, small) is small


@pytest.mark.parametrize(
    ('got', 'want', 'error'),
    [
        (1.0, 1.0, 0.0),
        (1.5, 1.0, 0.5),
        (150.0, 100.0, 0.5),
        (math.nan, math.nan, 0.0),
        (math.inf, math.inf, 0.0),
        (math.nan, 1.0, math.inf),
        (1.0, math.nan, math.inf),
        (math.inf, -math.inf, math.inf),
        (math.inf, math.nan, math.inf),
    ],
)
def test_value_error(got, want, error):
    assert value_error(got, want) == error


@pytest.mark.parametrize(
    ('got', 'want', 'error'),
    [
        ([0.5, 0.0], [0.5, 0.0], 0.0),
        ([0.5, 0.25], [0.5, 0.0], 0.5),
        ([0.5, math.nan], [0.5, 0.0], math.inf),
        ([0.5], [0.5, 0.0], math.inf),
        ([math.nan, 0.0], [math.nan, 0.0], 0.0),
        ([math.nan, math.nan], [math.nan, 0.0], 0.0),
        ([math.nan, 0.5], [math.nan, 0.0], math.inf),
        ([0.5, 0.0], [math.nan, 0.0], math.inf),
        ([0.0, math.nan], [math.nan, 0.0], math.inf),
        ([1e308, 0.0], [0.5, 0.0], math.inf),
        ([1e308, 0.0], [-1e308, 0.0], math.inf),
    ],
)
def test_gradient_error(got, want, error):
    assert gradient_error(got, want) == error


class Answers:
    """A worker that answers what it is told to."""

    def __init__(self, names, values):
        self.names, self.values = names, np.array(values)

    def call(self, *_, **__):
        if isinstance(self.names, str):
            raise WorkerError(self.names)
        return self.names, dict(values=self.values)


def test_metric_error_is_the_largest_difference():
    _, *given, want = next(iter(metric_jobs('FineGrained')))
    names, values = list(want), np.array(list(want.values()))
    assert metric_error(Answers(names, values), '', *given, want) == (0.0, '')
    off = values.copy()
    off[np.flatnonzero(np.isfinite(values))[1]] += 0.25
    assert metric_error(Answers(names, off), '', *given, want) == (0.25, '')
    off[np.flatnonzero(np.isfinite(values))[1]] = np.nan
    for answer in (Answers(names, off), Answers(names[::-1], values), Answers('refused', values)):
        difference, sentence = metric_error(answer, '', *given, want)
        assert (difference, bool(sentence)) == (math.inf, True)


def test_ways_that_are_named_run_alone():
    jobs, metrics = list(check._jobs('LovaszHingeLoss', None)), [('FineGrained',)]
    assert {way for way, _ in check._plan('torch', ['fused'], jobs, metrics)} == {'fused'}
    assert {way for way, _ in check._plan('keras_tensorflow', ['xla', 'graph'], jobs, metrics)} == {'xla', 'graph'}
    assert {way for way, _ in check._plan('keras_tensorflow', None, jobs, metrics)} == {'eager', 'xla', 'graph'}


def test_every_way_replays_inputs_that_are_no_numbers_and_huge_ones():
    for framework in FRAMEWORKS:
        for way in WAYS[framework]:
            for name in LOSSES:
                replayed = {c for e, c in plan(name) if replays(framework, way, name, e, c)}
                if way == 'xla' and LOSSES[name].on_host:  # where XLA cannot go
                    assert not replayed
                    continue
                found = {c.removeprefix('one_channel_') for c in replayed}
                if LOSSES[name].of_features() and way == WAYS[framework][0]:
                    assert {'features_infinite', 'features_huge'} <= found, (framework, way, name)
                    continue
                assert {'not_a_number', 'huge_logits'} <= found or LOSSES[name].of_features(), (framework, way, name)
    for name in LOSSES:
        for example, case in large_plan(name):
            assert applies(LOSSES[name], LOSSES[name].examples[example], LARGE[case]()), (name, example, case)
    assert {'large_weighted', 'large_soft', 'large_many_classes'} <= {c for _, c in large_plan('SoftDiceLoss')}
