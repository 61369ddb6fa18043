"""A user's tensors and configurations: small ones against the reference's gradient, large ones held along a direction."""

import dataclasses

import numpy as np
import pytest

from segparity.parity import check, yours
from segparity.parity.cases import Case
from segparity.parity.rows import Job, Row
from segparity.parity.yours import error_along, gradient_error_of, is_large
from shared_spec import LOSSES
from tests.support.frameworks import axis

LOSS = 'SensitivitySpecificityLoss'


def case_of(size, classes=4, soft=False):
    rng = np.random.default_rng(size)
    z, y = rng.normal(0, 1.5, (2, classes, size, size)), rng.integers(classes, size=(2, size, size))
    y[:, 0] = 255
    return Case(z, y, ignore_index=255)


def job_of(name, case, **params):
    spec = LOSSES[name](ignore_index=255, **params)
    return Job(name, 'default', 'your data', spec, case, check.Future())


@pytest.mark.slow
def test_small_data_has_every_example_and_large_data_the_first(shared_workers):
    small, large = case_of(4), case_of(40)
    assert [job.example for job in yours.data_jobs('SoftDiceLoss', small)] == list(LOSSES['SoftDiceLoss'].examples)
    (job,) = yours.data_jobs('SoftDiceLoss', large)
    assert job.example == 'default' and is_large(job) and not job.yours
    assert not list(yours.data_jobs('LovaszHingeLoss', small))  # of one channel
    probabilities = dataclasses.replace(small, from_logits=False, pred=np.full(small.pred.shape, 0.25))
    examples = [job.example for job in yours.data_jobs('RegionMutualInformationLoss', probabilities)]
    assert examples and 'softmax' not in examples  # which is defined on logits
    said = []
    with pytest.raises(RuntimeError, match='no framework'):
        check.check_parity(['LovaszHingeLoss'], data=small, frameworks=[], notes=said.append)
    check.check_parity(['LovaszHingeLoss'], data=small, frameworks=['torch'], ways=['xla'], notes=said.append)
    assert said == ['LovaszHingeLoss: not defined for hard labels, many channels and logits']


@pytest.mark.parametrize('framework', axis('torch'))
def test_large_data_agree_and_a_planted_gradient_differs(framework, shared_workers, worker):
    said = []
    ask = dict(data=case_of(40), frameworks=['torch'], ways=['plain', 'fused'], notes=said.append)
    rows = check.check_parity([LOSS], **ask)
    assert len(rows) == 4 and all(row.ok for row in rows), rows
    assert len(said) == 1 and said[0].startswith(
        'predictions of 12,800 numbers: values are compared with the reference'
    )
    worker.call('tests.support.planted_faults:plant', fault='gradient')
    try:
        rows = check.check_parity([LOSS], **ask)
    finally:
        worker.call('tests.support.planted_faults:lift')
    held = next(row for row in rows if (row.way, row.dtype) == ('plain', 'float64'))
    assert (
        not held.ok and held.value_error < 1e-12 and 1e-4 < held.grad_error < 1e-2 and 'along a direction' in held.worst
    )
    worker.call('tests.support.planted_faults:plant', fault='fused_gradient')
    try:
        rows = check.check_parity([LOSS], **ask)
    finally:
        worker.call('tests.support.planted_faults:lift')
    assert {row.way: row.ok for row in rows} == dict(plain=True, fused=False)


@pytest.mark.parametrize('framework', axis('torch'))
def test_a_configuration_is_checked_as_it_is(framework, shared_workers, worker):
    configs = {'SoftDiceLoss': LOSSES['SoftDiceLoss'](class_weight=[1.0, 2.0, 3.0], ignore_index=7, smooth=2.0)}
    ask = dict(frameworks=['torch'], ways=['plain'])
    rows = check.check_parity(configs=configs, **ask)
    assert [(row.name, row.cases, row.ok) for row in rows] == [('SoftDiceLoss', 7, True)] * 2
    both = check.check_parity(
        ['SoftDiceLoss'], data=case_of(3, 3), configs={'SoftDiceLoss': LOSSES['SoftDiceLoss'](smooth=2.0)}, **ask
    )
    assert [row.name for row in both] == ['SoftDiceLoss'] * 2 + ['SoftDiceLoss configured'] * 2
    assert all(row.ok for row in both)
    worker.call('tests.support.planted_faults:plant', fault='value')
    try:
        assert not any(row.ok for row in check.check_parity(configs=configs, **ask))
    finally:
        worker.call('tests.support.planted_faults:lift')


def analytic(job):
    """The gradient of cross-entropy, by hand: (softmax - one-hot) / number of pixels that count."""
    z, y = job.case.pred, job.case.target
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    counts = y != 255
    one_hot = np.moveaxis(np.eye(z.shape[1])[np.where(counts, y, 0)], -1, 1)
    return (p - one_hot) * counts[:, None] / counts.sum()


def test_the_reference_holds_a_gradient_along_a_direction():
    job = job_of('WeightedCrossEntropyLoss', case_of(20))
    right = analytic(job)
    assert error_along(job, right) < 1e-9
    for wrong in (-right, 1.001 * right, np.roll(right, 1, axis=1), right + 1e-6, np.zeros_like(right)):
        assert error_along(job, wrong) > yours.ALONG
    assert error_along(job, np.full_like(right, np.nan)) == 0  # of a loss that is NaN, whose pattern is compared
    wild = dataclasses.replace(job.case, pred=np.where(job.case.target[:, None] == 255, np.nan, job.case.pred))
    assert error_along(job._replace(case=wild), right) < 1e-9


def test_at_a_kink_nothing_is_known_along_a_direction():
    case = case_of(20)
    y = np.exp(case.pred) / np.exp(case.pred).sum(1, keepdims=True)  # prediction and label are equal
    job = job_of('JaccardMetricLoss', Case(case.pred, y))
    assert error_along(job, np.ones_like(case.pred)) == 0
    assert (
        error_along(job_of('LovaszSoftmaxLoss', case), np.zeros_like(case.pred)) > yours.ALONG
    )  # sorted, in its order


def test_what_counts_in_bins_has_the_tolerance_of_that():
    """Lovasz losses of Keras on more than 65,536 pixels, in float32: 2e-5 of the norm on a picture of 272 x 272."""
    many = Case(np.zeros((1, 3, 272, 272), np.float32), np.zeros((1, 272, 272), int))
    few = Case(many.pred[:, :, :256, :256], many.target[:, :256, :256])
    tolerance = yours.gradient_tolerance(job_of('LovaszSoftmaxLoss', many), 'keras_jax', 'float32')
    assert tolerance == 1e-3
    for name, case, framework, dtype in (
        ('LovaszSoftmaxLoss', few, 'keras_jax', 'float32'),
        ('LovaszSoftmaxLoss', many, 'torch', 'float32'),
        ('LovaszSoftmaxLoss', many, 'keras_jax', 'float64'),
        ('JaccardMetricLoss', many, 'keras_jax', 'float32'),
    ):
        assert yours.gradient_tolerance(job_of(name, case), framework, dtype) is None
    row = Row('LovaszSoftmaxLoss', 'keras_jax', 'float32', 0, 2e-5, 1)
    assert not row.ok and dataclasses.replace(row, gradient_tolerance=tolerance).ok


def test_a_large_gradient_is_measured_by_its_own_size():
    job = job_of('WeightedCrossEntropyLoss', case_of(40))
    right = analytic(job)
    assert np.abs(right).max() < 1e-3
    for dtype in ('float32', 'float64'):
        assert gradient_error_of(job, right, right, dtype) == 0
        assert gradient_error_of(job, -right, right, dtype) == pytest.approx(2)
        one = right.copy()
        one[0, 0, 5, 5] += np.abs(right).max()
        assert gradient_error_of(job, one, right, dtype) > 1e-3
        assert gradient_error_of(job, np.full_like(right, np.nan), right, dtype) == np.inf
    small = job_of('WeightedCrossEntropyLoss', case_of(3))
    assert gradient_error_of(small, np.full((2, 4, 3, 3), 1e-4), np.zeros((2, 4, 3, 3)), 'float32') == pytest.approx(
        1e-2
    )


def test_a_holder_that_fails_is_a_row_that_differs(monkeypatch, tmp_path):
    class Ended:
        framework = 'torch'

        def __init__(self, *_):
            pass

        def call(self, *_, **__):
            raise yours.WorkerError('it ended')

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(yours, 'Worker', Ended)
    job = job_of(LOSS, case_of(40))
    (row,) = yours.hold([job], 'torch', tmp_path, print)
    assert not row.ok and row.error == 'it ended'
    value, gradient = job.want.result()
    assert value == job.spec.reference(job.case.pred, job.case.target) and gradient is None


def test_wrong_labels_are_refused_before_a_framework_is_loaded(monkeypatch, tmp_path):
    case = case_of(40)
    case.target[0, 5, 5] = 9
    monkeypatch.setattr(yours, 'Worker', None)
    with pytest.raises(ValueError, match='labels must be below 4, got 9'):
        list(yours.hold([job_of(LOSS, case)], 'torch', tmp_path, print))
