"""``check_parity``: every installed implementation of a loss, side by side with the reference."""

import dataclasses
import os
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np

from segparity.parity import cases, replay, yours
from segparity.parity.frameworks import Worker, WorkerError, installed_frameworks
from segparity.parity.large_cases import LARGE
from segparity.parity.metrics import metric_error, metric_jobs
from segparity.parity.rows import Job, Reference, Row, side, worse
from segparity.parity.tolerances import value_error
from segparity.parity.ways import OVERLAP, WAYS, large_plan, plan, precisions, replays
from shared_spec import LOSSES, METRICS, LossSpec
from shared_spec.registry import unknown_name


def check_parity(
    names: Iterable[str] | None = None,
    data: Mapping[str, Any] | cases.Case | None = None,
    frameworks: Iterable[str] | None = None,
    progress: Callable[[int, int, str], object] | None = None,
    ways: Collection[str] | None = None,
    notes: Callable[[str], object] | None = None,
    configs: Mapping[str, LossSpec] | None = None,
) -> list[Row]:
    """Compares every installed implementation with the reference: values and gradients, float32 and float64.

    names: losses and metrics to check, all by default (with ``data`` all losses, with ``configs`` none). data: your own
    inputs instead of the built-in cases: a mapping with 'pred' (N, C, *space) logits, 'target', and optionally 'weight',
    'ignore_index' and the extras of losses by their names; of more than 1,024 logits the gradient is held by the plain way in float64, as
    ``segparity.parity.yours`` says. configs: name -> spec, configurations of losses that are checked as they are.
    frameworks: of ``FRAMEWORKS``, all installed ones by default; ways: those of ``WAYS``, all that run here by default.
    progress: called with (done, total, text); notes: with a sentence for each way that is left out. Returns a list of
    ``Row`` with .name, .framework, .way, .value_error, .grad_error and .ok. Raises SpecError for an unknown name,
    RuntimeError when no framework is installed.
    """
    everything = [*LOSSES, *METRICS] if data is None else list(LOSSES)
    names = (everything if configs is None else []) if names is None else list(names)
    kind = 'loss or metric' if data is None else 'loss'
    known_ways = list(dict.fromkeys(way for of_framework in WAYS.values() for way in of_framework))
    for what, given, known in ((kind, names, everything), ('way', ways or (), known_ways)):
        for name in given:
            if name not in known:
                raise unknown_name(what, name, known)
    frameworks = installed_frameworks() if frameworks is None else list(frameworks)
    if not frameworks:
        raise RuntimeError("no framework is installed: pip install 'segparity[torch]' or 'segparity[keras,jax]'")
    case = None if data is None else yours.case_of(data)
    losses = [name for name in names if name in LOSSES]
    jobs = [job for name in losses for job in (_jobs(name, None) if case is None else yours.data_jobs(name, case))]
    unmeant = [name for name in losses if not any(job.name == name for job in jobs)]
    if unmeant and notes and case is not None:
        for sentence in yours.not_meant(unmeant, case):
            notes(sentence)
    if case is None and 'torch' in frameworks:
        jobs += [job for name in losses for job in _large_jobs(name)]
    labels = unlike(configs or {}, names)
    jobs += yours.configuration_jobs(labels, case)
    metrics = [(name, *job) for name in names if name in METRICS for job in metric_jobs(name)]
    plans = {f: _plan(f, ways, jobs, metrics) for f in frameworks}
    planned = {id(job) for plan in plans.values() for _, job in plan}
    wanted = [job for job in jobs if job.want and id(job) in planned]
    large = [job for job in wanted if yours.is_large(job)]
    small = [job for job in wanted if not yours.is_large(job)]
    steps = _Steps(len(wanted) + sum(map(len, plans.values())), progress)
    with tempfile.TemporaryDirectory(prefix='segparity-') as folder:
        if case is not None or labels:
            _references(small, steps)  # which refuses what is wrong with them before anything is started
        held = []
        if large:
            if notes:
                notes(yours.sentence(large, yours.holder()))
            held = list(yours.hold(large, yours.holder(), Path(folder), steps.done))
        slowest_first = sorted(frameworks, key=lambda f: 'jax' not in f)
        with ThreadPoolExecutor(max(1, min(len(frameworks) + 1, os.cpu_count() or 1))) as pool:
            if case is None and not labels:
                pool.submit(_references, small, steps)
            found = list(pool.map(lambda f: _check_framework(f, plans[f], steps, notes), slowest_first))
    order = {name: i for i, name in enumerate((*names, *labels))}
    rows = with_held([row for of_framework in found for row in of_framework], held)
    places = {framework: k for k, framework in enumerate((*frameworks, *yours.HOLDERS))}
    return sorted(rows, key=lambda row: (order[row.name], places[row.framework]))


def unlike(configs: Mapping[str, LossSpec], names: Collection[str]) -> dict[str, LossSpec]:
    """The configurations by labels that are no names of losses that are checked beside them."""
    return {f'{label} configured' if label in names else label: spec for label, spec in configs.items()}


def with_held(rows: list[Row], held: Iterable[Row]) -> list[Row]:
    """The rows, and in them what was found of the gradients to which others are held."""
    found = {(row.name, row.framework, row.way, row.dtype): row for row in rows}
    for row in held:
        key = row.name, row.framework, row.way, row.dtype
        if not row.ok:
            found[key] = dataclasses.replace(worse(found.get(key), row), cases=found[key].cases if key in found else 1)
    return list(found.values())


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
    if data is not None:
        yield from yours.data_jobs(name, yours.case_of(data))
        return
    for example_name, case_name in plan(name):
        case = cases.build(case_name)
        spec = replay.spec_for(LOSSES[name], LOSSES[name].examples[example_name], case)
        yield Job(name, example_name, case_name, spec, case.adapted(spec), Future())


def _large_jobs(name: str) -> Iterator[Job]:
    for example, case_name in large_plan(name):
        case = LARGE[case_name]()
        spec = replay.spec_for(LOSSES[name], LOSSES[name].examples[example], case)
        yield Job(name, example, case_name, spec, case.adapted(spec), None)


def _plan(
    framework: str, ways: Collection[str] | None, jobs: list[Job], metrics: list[tuple[Any, ...]]
) -> list[tuple[str, Job | tuple[Any, ...]]]:
    """(way, loss job) and (way, metric job) of one framework, in order."""
    chosen = [way for way in WAYS[framework] if not ways or way in ways]
    losses = [
        (way, job)
        for way in chosen
        for job in jobs
        if (
            (job.yours or replays(framework, way, job.name, job.example, job.case_name)) if job.want else way in OVERLAP
        )
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
                    worst[key] = worse(worst.get(key), row)
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
        grad = 0.0 if gradient is None else yours.gradient_error_of(job, got['gradient'], gradient, dtype)
        value, tolerance = value_error(got['value'], value), yours.gradient_tolerance(job, framework, dtype)
        yield Row(job.name, framework, dtype, value, grad, 1, job.label, '', way, tolerance)


def _ask(worker: Worker, job: Job, **options: Any) -> tuple[Any, dict[str, np.ndarray]]:
    return worker.call(
        side(worker.framework) + ':value_and_gradient',
        job.case.arrays,
        loss=job.spec.to_dict(),
        ignore_index=job.case.call_ignore_index,
        **options,
    )


def _large_want(worker: Worker, job: Job, known: dict[str, Reference]) -> Reference:
    """Value and gradient of a large case, as ``large`` says; known: those of earlier calls."""
    if job.label not in known:
        known.clear()
        case = job.case
        value = job.spec.reference(case.pred, case.target, case.weight, **case.call)
        _, plain = _ask(worker, job, dtype='float64', way='plain')
        known[job.label] = value, plain['gradient']
    return known[job.label]
