"""What a user gives to the parity check: tensors, configurations, or both, and the gradient that large ones are held to.

A small prediction has the reference's gradient, by central differences. Of a larger one, where these would take minutes
to years, the value is the reference's and the gradient that of the plain way in float64; that one is held by the
reference along one random direction, wherever the loss is smooth there.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import numpy as np

from segparity.parity import replay
from segparity.parity.cases import Case
from segparity.parity.configurations import cases_for, on_data
from segparity.parity.derivative import along
from segparity.parity.extras import IN_PARTS
from segparity.parity.frameworks import Worker, WorkerError, missing_sentence
from segparity.parity.rows import Job, Row, side
from segparity.parity.tolerances import COUNTED_GRADIENT, SMALLEST_GRADIENT, gradient_error
from segparity.parity.ways import YOURS
from shared_spec import LOSSES, LossSpec, SpecError
from shared_spec.extras import EXTRAS

USUAL = 96  # numbers of a built-in case, whose gradients are 0.01 to 1
SORTED = 2**16  # pixels that every implementation of a Lovasz loss sorts
SMALL = 1024  # numbers of a prediction whose gradient is taken by central differences
CONFIGURED = 'your configuration'
HOLDERS = {'torch': 'plain', 'keras_tensorflow': 'eager', 'keras_jax_x64': 'jit', 'keras_torch': 'eager'}
ALONG = 1e-6  # how far a gradient may be from the reference along a direction, of its norm
SMALLEST_NORM = 1e-4  # a gradient that vanishes is compared as if it were this long
KNOWN = ('pred', 'target', 'weight', 'ignore_index')


def case_of(data: Mapping[str, Any] | Case) -> Case:
    """The ``Case`` of a mapping as ``check_parity`` takes it."""
    if isinstance(data, Case):
        return data
    if not {'pred', 'target'} <= set(data) <= {*KNOWN, *EXTRAS}:
        raise ValueError(
            f"check_parity: data must have 'pred' and 'target', and may have 'weight', 'ignore_index' and extras of losses "
            f'({", ".join(EXTRAS)}), got {sorted(data)}'
        )
    pred = np.asarray(data['pred'], np.float64)
    extras = {name: x for name, x in data.items() if name in EXTRAS and x is not None}
    return Case(
        pred, np.asarray(data['target']), data.get('weight'), data.get('ignore_index'), extras=extras, is_adapted=True
    )


def given_to(spec: LossSpec, case: Case) -> Case | None:
    """The user's data with the extras that a loss takes; None where they lack what it needs, or are not of its kind."""
    own = {name: x for name, x in case.extras.items() if name in spec.extras_taken}
    parts = getattr(spec, 'parts', (spec,))
    if any(part.of_branch for part in parts) or not {name for part in parts for name in part.needs} <= own.keys():
        return None
    return dataclasses.replace(case, extras=own)


def data_jobs(name: str, case: Case) -> Iterator[Job]:
    """Every example of a loss on the user's data; the first example alone where they are large."""
    examples = LOSSES[name].examples
    for example_name, example in examples.items():
        if not replay.applies(LOSSES[name], example, case):
            continue
        try:
            spec = replay.spec_for(LOSSES[name], example, case)
        except SpecError:
            if case.from_logits:
                raise
            continue  # it is defined on logits
        given = given_to(spec, case)
        if given is None:
            return
        yield Job(name, example_name, YOURS, spec, given, Future())
        if case.pred.size > SMALL:
            return


def not_meant(names: Iterable[str], case: Case) -> list[str]:
    """What is said of losses that are not defined for the user's data, or that need more than these hold."""
    sentences, others = [], []
    for name in names:
        spec = LOSSES[name]
        if spec.of_branch or not set(spec.needs) <= case.extras.keys():
            sentences.append(f'{name}: {lacking(spec, case)}')
        else:
            others.append(name)
    if others:
        kind = 'logits' if case.from_logits else 'probabilities'
        kind += ''.join(f' with {name}' for name in case.extras)
        channels = f'{case.channels} channel{"s" * (case.channels == "many")}'
        sentences.append(f'{", ".join(others)}: not defined for {case.labels} labels, {channels} and {kind}')
    return sentences


def configuration_jobs(configs: Mapping[str, LossSpec], case: Case | None) -> Iterator[Job]:
    """Configurations on the user's data, or on inputs made for each of them."""
    for label, spec in configs.items():
        if case is not None:
            own, given = on_data(spec, case)
            taken = given_to(own, given)
            if taken is None:
                raise ValueError(f'{label}: {lacking(own, case)}')
            yield Job(label, CONFIGURED, YOURS, own, taken, Future(), yours=True)
            continue
        for case_name, made in cases_for(spec):
            yield Job(label, CONFIGURED, case_name, spec, made.adapted(spec), Future(), yours=True)


def lacking(spec: LossSpec | type[LossSpec], case: Case) -> str:
    """What the user's data would have to hold for a loss, and do not."""
    parts = getattr(spec, 'parts', (spec,))
    names = dict.fromkeys(n for part in parts for n in part.needs if n not in case.extras)
    needs = [
        f'{name}, {EXTRAS[name].first}' + (f' ({" and ".join(IN_PARTS[name])})' if name in IN_PARTS else '')
        for name in names
    ]
    if not needs:
        return 'its predictions are those of a branch of its own, which data of logits are not; leave the data out'
    return f'needs {" and ".join(needs)}, among the data'


def is_large(job: Job) -> bool:
    return job.want is not None and job.case.pred.size > SMALL


def gradient_error_of(job: Job, got: np.ndarray, want: np.ndarray, dtype: str) -> float:
    """``gradient_error`` of a job: where a gradient is spread over many numbers it may be smaller than usual.

    Large predictions in float32 are compared in the Euclidean norm: of many numbers some lie so near to a kink (equal
    errors that a Lovasz loss sorts, a probability equal to its soft label) that float32 has them on its other side.
    """
    if not is_large(job):
        return gradient_error(got, want)
    smallest = SMALLEST_GRADIENT * USUAL / job.case.pred.size
    error = gradient_error(got, want, smallest)
    if dtype == 'float64' or not np.isfinite(error) or np.isnan(want).any():
        return error
    return float(np.linalg.norm(got - want)) / max(float(np.linalg.norm(want)), smallest)


def gradient_tolerance(job: Job, framework: str, dtype: str) -> float | None:
    """A tolerance other than the precision's: of Lovasz losses that count in Keras, on many pixels, in float32."""
    pixels = job.case.pred.size // job.case.pred.shape[1]
    counts = job.name.startswith('Lovasz') and framework != 'torch' and dtype == 'float32' and pixels > SORTED
    return COUNTED_GRADIENT if counts else None


def holder() -> str:
    """The framework whose float64 gradient large data are held to."""
    found = next((framework for framework in HOLDERS if not missing_sentence(framework)), None)
    if found is None:
        raise RuntimeError("no framework is installed: pip install 'segparity[torch]' or 'segparity[keras,jax]'")
    return found


def hold(jobs: Iterable[Job], framework: str, folder: Path, done: Callable[[str], object]) -> Iterator[Row]:
    """Fulfils what large jobs want; yields the row of each, whose gradient is that along a direction.

    The values come first, so that the reference refuses what is wrong before a framework is loaded. Gradients wait in
    files of ``folder``.
    """
    valued = [(job, job.spec.reference(*_inputs(job), **job.case.call)) for job in jobs]
    with Worker(framework) as worker:
        for number, (job, value) in enumerate(valued):
            want = cast(Future[Any], job.want)
            try:
                gradient = _gradient(worker, job)
            except WorkerError as failure:
                want.set_result((value, None))
                infinite = float('inf')
                yield Row(
                    job.name, framework, 'float64', infinite, infinite, 1, job.label, str(failure), HOLDERS[framework]
                )
                continue
            path = folder / f'{number}.npy'
            np.save(path, gradient)
            want.set_result((value, np.load(path, mmap_mode='r')))
            error = error_along(job, gradient)
            done(f'reference {job.name}')
            label = f'{job.label}, along a direction of the reference'
            yield Row(
                job.name, framework, 'float64', 0.0, error if error > ALONG else 0.0, 1, label, '', HOLDERS[framework]
            )


def error_along(job: Job, gradient: np.ndarray) -> float:
    """How far a gradient is from the reference along a random direction, of its norm; 0 where nothing is known."""
    if not np.isfinite(gradient).all():
        return 0.0  # of a loss that is NaN
    pred = np.where(np.isfinite(job.case.pred), job.case.pred, 0)  # the same where they are ignored
    direction = np.random.default_rng(0).choice([-1.0, 1.0], pred.shape)
    near = job.spec.reference_near(pred, job.case.target, job.case.weight, **job.case.call)
    if near is None:
        return 0.0
    gradient = gradient.reshape(-1)[: pred.size].reshape(pred.shape)  # without those of extras
    slope = along(near, pred, direction, 2.0**-9 if job.case.from_logits else 2.0**-12)
    if np.isnan(slope):
        return 0.0
    return abs(slope - float((gradient * direction).sum())) / max(float(np.linalg.norm(gradient)), SMALLEST_NORM)


def _gradient(worker: Worker, job: Job) -> np.ndarray:
    case, framework = job.case, worker.framework
    _, got = worker.call(
        side(framework) + ':value_and_gradient',
        case.arrays,
        loss=job.spec.to_dict(),
        ignore_index=case.call_ignore_index,
        dtype='float64',
        way=HOLDERS[framework],
    )
    return got['gradient']


def _inputs(job: Job) -> tuple[np.ndarray, np.ndarray, Any]:
    return job.case.pred, job.case.target, job.case.weight


def sentence(jobs: Iterable[Job], framework: str) -> str:
    """What is said of a check with large predictions."""
    size = max(job.case.pred.size for job in jobs)
    return (
        f'predictions of {size:,} numbers: values are compared with the reference, gradients with those of {framework} '
        f'{HOLDERS[framework]} in float64, which the reference holds along one direction; predictions of up to {SMALL:,} '
        f'numbers have the gradient of the reference itself'
    )
