"""``check_parity``: every installed implementation of a loss, side by side with the reference."""

import dataclasses
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, cast

import numpy as np

from segparity.parity import cases, replay
from segparity.parity.frameworks import Worker, WorkerError, installed_frameworks
from segparity.parity.large_cases import LARGE
from segparity.parity.metrics import metric_error, metric_jobs
from segparity.parity.tolerances import GRADIENT, VALUE, gradient_error, value_error
from segparity.parity.ways import OVERLAP, WAYS, YOURS, large_plan, plan, precisions, replays
from shared_spec import LOSSES, METRICS, LossSpec
from shared_spec.registry import unknown_name

Reference = tuple[float, np.ndarray | None]  # value and gradient


@dataclasses.dataclass(frozen=True)
class Row:
    """The worst differences of one loss in one framework, way and precision; ``worst`` names the case of the first."""

    name: str
    framework: str
    dtype: str
    value_error: float
    grad_error: float
    cases: int
    worst: str = ''
    error: str = ''
    way: str = ''

    @property
    def ok(self) -> bool:
        """Whether both differences are within the precision's tolerances; False after an error or without a case."""
        return (
            not self.error
            and self.value_error <= VALUE[self.dtype]
            and self.grad_error <= GRADIENT[self.dtype]
            and self.cases > 0
        )


class Job(NamedTuple):
    """One comparison: an example of a loss on a case. want: a Future of value and gradient, None for a large case."""

    name: str
    example: str
    case_name: str
    spec: LossSpec
    case: cases.Case
    want: Future[Reference] | None

    @property
    def label(self) -> str:
        return f'{self.example}, {self.case_name}'


def side(framework: str) -> str:
    """The module that answers for ``framework`` in its worker."""
    return 'segparity.parity.torch_side' if framework == 'torch' else 'segparity.parity.keras_side'


def check_parity(
    names: Iterable[str] | None = None,
    data: Mapping[str, Any] | None = None,
    frameworks: Iterable[str] | None = None,
    progress: Callable[[int, int, str], object] | None = None,
    ways: Collection[str] | None = None,
    notes: Callable[[str], object] | None = None,
) -> list[Row]:
    """Compares every installed implementation with the reference: values and gradients, float32 and float64.

    names: losses and metrics to check, all by default (with ``data`` all losses). data: your own inputs instead of the
    built-in cases: a mapping with 'pred' (N, C, *space) logits, 'target', and optionally 'weight' and 'ignore_index';
    the gradient then costs eight reference calls for each element of pred, so keep it small. frameworks: of
    ``FRAMEWORKS``, all installed ones by default; ways: those of ``WAYS``, all that run here by default. progress:
    called with (done, total, text); notes: with a sentence for each way that is left out. Returns a list of ``Row``
    with .name, .framework, .way, .value_error, .grad_error and .ok. Raises SpecError for an unknown name, RuntimeError
    when no framework is installed.
    """
    everything = [*LOSSES, *METRICS] if data is None else list(LOSSES)
    names = everything if names is None else list(names)
    kind = 'loss or metric' if data is None else 'loss'
    known_ways = list(dict.fromkeys(way for of_framework in WAYS.values() for way in of_framework))
    for what, given, known in ((kind, names, everything), ('way', ways or (), known_ways)):
        for name in given:
            if name not in known:
                raise unknown_name(what, name, known)
    frameworks = installed_frameworks() if frameworks is None else list(frameworks)
    if not frameworks:
        raise RuntimeError("no framework is installed: pip install 'segparity[torch]' or 'segparity[keras,jax]'")
    losses = [name for name in names if name in LOSSES]
    jobs = [job for name in losses for job in _jobs(name, data)]
    if data is None and 'torch' in frameworks:
        jobs += [job for name in losses for job in _large_jobs(name)]
    metrics = [(name, *job) for name in names if name in METRICS for job in metric_jobs(name)]
    plans = {f: _plan(f, ways, jobs, metrics) for f in frameworks}
    planned = {id(job) for plan in plans.values() for _, job in plan}
    small = [job for job in jobs if job.want and id(job) in planned]
    steps = _Steps(len(small) + sum(map(len, plans.values())), progress)
    if data is not None:
        _references(small, steps)  # which refuses what is wrong with them before anything is started
    slowest_first = sorted(frameworks, key=lambda f: 'jax' not in f)
    with ThreadPoolExecutor(max(1, min(len(frameworks) + 1, os.cpu_count() or 1))) as pool:
        if data is None:
            pool.submit(_references, small, steps)
        found = list(pool.map(lambda f: _check_framework(f, plans[f], steps, notes), slowest_first))
    order = {name: i for i, name in enumerate(names)}
    rows = [row for of_framework in found for row in of_framework]
    return sorted(rows, key=lambda row: (order[row.name], frameworks.index(row.framework)))


class _Steps:
    """Counts what is done and tells ``progress``; called from the thread of each framework."""

    def __init__(self, total: int, progress: Callable[[int, int, str], object] | None) -> None:
        self.total, self.count, self.progress, self.lock = total, 0, progress, threading.Lock()

    def done(self, text: str) -> None:
        with self.lock:
            self.count += 1
            if self.progress:
                self.progress(self.count, self.total, text)


def _jobs(name: str, data: Mapping[str, Any] | None) -> Iterator[Job]:
    """The small cases that are compared for one loss, or your data."""
    if data is None:
        for example_name, case_name in plan(name):
            case = cases.build(case_name)
            spec = replay.spec_for(LOSSES[name], LOSSES[name].examples[example_name], case)
            yield Job(name, example_name, case_name, spec, case, Future())
        return
    known = ('pred', 'target', 'weight', 'ignore_index')
    if not {'pred', 'target'} <= set(data) <= set(known):
        raise ValueError(
            f"check_parity: data must have 'pred' and 'target', and may have 'weight' and 'ignore_index', got {sorted(data)}"
        )
    case = cases.Case(
        np.asarray(data['pred'], np.float64), np.asarray(data['target']), data.get('weight'), data.get('ignore_index')
    )
    for example_name, example in LOSSES[name].examples.items():
        if replay.applies(LOSSES[name], example, case):
            yield Job(name, example_name, YOURS, replay.spec_for(LOSSES[name], example, case), case, Future())


def _large_jobs(name: str) -> Iterator[Job]:
    for example, case_name in large_plan(name):
        case = LARGE[case_name]()
        spec = replay.spec_for(LOSSES[name], LOSSES[name].examples[example], case)
        yield Job(name, example, case_name, spec, case, None)


def _plan(
    framework: str, ways: Collection[str] | None, jobs: list[Job], metrics: list[tuple[Any, ...]]
) -> list[tuple[str, Job | tuple[Any, ...]]]:
    """(way, loss job) and (way, metric job) of one framework, in order."""
    chosen = [way for way in WAYS[framework] if not ways or way in ways]
    losses = [
        (way, job)
        for way in chosen
        for job in jobs
        if (replays(framework, way, job.name, job.example, job.case_name) if job.want else way in OVERLAP)
    ]
    way = 'plain' if framework == 'torch' else 'eager'  # in which every metric runs
    return losses + [(way, job) for job in metrics if not ways or way in ways]


def _references(jobs: list[Job], steps: _Steps) -> None:
    """Fulfils what the jobs want."""
    for job in jobs:
        want = cast(Future[Reference], job.want)
        try:
            want.set_result(replay.reference(job.spec, job.case))
        except Exception as error:
            for other in jobs:
                unfulfilled = cast(Future[Reference], other.want)
                if not unfulfilled.done():
                    unfulfilled.set_exception(error)
            raise
        steps.done(f'reference {job.name}')


def _check_framework(
    framework: str,
    planned: list[tuple[str, Job | tuple[Any, ...]]],
    steps: _Steps,
    notes: Callable[[str], object] | None,
) -> Iterable[Row]:
    """The rows of one framework, from a worker of its own."""
    worst: dict[tuple[str, str, str], Row] = {}
    large: dict[str, Reference] = {}
    with Worker(framework) as worker:
        needs, _ = worker.call(side(framework) + ':ways')
        for way in dict.fromkeys(way for way, _ in planned):
            if needs.get(way) and notes:
                notes(f'{framework} {way} needs {needs[way]}')
        for way, job in planned:
            if not needs.get(way):
                for row in _rows(worker, way, job, large):
                    key = row.name, row.way, row.dtype
                    worst[key] = _worse(worst.get(key), row)
            steps.done(f'{framework} {way} {job[0]}')
    return worst.values()


def _rows(worker: Worker, way: str, job: Job | tuple[Any, ...], large: dict[str, Reference]) -> Iterator[Row]:
    """What a job shows in a way, a row for each precision; none where the loss has nothing to do with the way."""
    framework = worker.framework
    if not isinstance(job, Job):
        name, label, *given = job
        exact = framework == 'torch' and METRICS[name].takes == 'ids'  # logits are float32, as heads give them
        difference, error = metric_error(worker, side(framework), *given)
        yield Row(name, framework, 'float64' if exact else 'float32', difference, 0.0, 1, label, error, way)
        return
    for dtype in precisions(framework, way):
        options = dict(dtype=dtype, way=way, large=True) if job.want is None else dict(dtype=dtype, way=way)
        try:
            taken, got = _ask(worker, job, **options)
            if taken is None:
                return
            value, gradient = job.want.result() if job.want else _large_want(worker, job, large)
        except WorkerError as error:
            yield Row(job.name, framework, dtype, float('inf'), float('inf'), 1, job.label, str(error), way)
            continue
        grad = 0.0 if gradient is None else gradient_error(got['gradient'], gradient)
        yield Row(job.name, framework, dtype, value_error(got['value'], value), grad, 1, job.label, '', way)


def _ask(worker: Worker, job: Job, **options: Any) -> tuple[Any, dict[str, np.ndarray]]:
    case = job.case
    return worker.call(
        side(worker.framework) + ':value_and_gradient',
        dict(pred=case.pred, target=case.target, weight=case.weight),
        loss=job.spec.to_dict(),
        ignore_index=case.call_ignore_index,
        **options,
    )


def _large_want(worker: Worker, job: Job, known: dict[str, Reference]) -> Reference:
    """Value and gradient of a large case, as ``large`` says; known: those of earlier calls."""
    if job.label not in known:
        known.clear()
        case = job.case
        value = job.spec.reference(case.pred, case.target, case.weight)
        _, plain = _ask(worker, job, dtype='float64', way='plain')
        known[job.label] = value, plain['gradient']
    return known[job.label]


def _worse(old: Row | None, new: Row) -> Row:
    """Both rows in one: the larger differences, the number of cases added up."""
    if old is None:
        return new
    leading = max(
        old, new, key=lambda r: (bool(r.error), r.value_error / VALUE[r.dtype] + r.grad_error / GRADIENT[r.dtype])
    )
    return dataclasses.replace(
        leading,
        value_error=max(old.value_error, new.value_error),
        grad_error=max(old.grad_error, new.grad_error),
        cases=old.cases + new.cases,
    )
