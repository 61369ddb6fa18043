"""``check_parity``: every installed implementation of a loss, side by side with the reference."""

import dataclasses
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from segparity.parity.frameworks import FRAMEWORKS, Worker, WorkerError, installed
from segparity.parity.metrics import metric_error, metric_jobs
from segparity.parity.tolerances import GRADIENT, VALUE, gradient_error, value_error
from shared_spec import LOSSES, METRICS, SpecError, cases
from shared_spec.spec import unknown_name

# every example meets these; the default example meets every case
CORE = ('ignored_border', 'one_image_ignored', 'pixel_weight_soft', 'one_channel')


@dataclasses.dataclass(frozen=True)
class Row:
    """The worst differences of one loss in one framework and precision; ``worst`` names the case of the first."""

    name: str
    framework: str
    dtype: str
    value_error: float
    grad_error: float
    cases: int
    worst: str = ''
    error: str = ''

    @property
    def ok(self):
        return (
            not self.error
            and self.value_error <= VALUE[self.dtype]
            and self.grad_error <= GRADIENT[self.dtype]
            and self.cases > 0
        )


def plan(name):
    """(example, case) pairs that a check of ``name`` replays."""
    pairs = [(e, c) for _, e, c in cases.combinations([name])]
    first = next(iter(LOSSES[name].examples))
    return [(e, c) for e, c in pairs if e == first or c in CORE]


def side(framework):
    """The module that answers for ``framework`` in its worker."""
    return 'segparity.parity.torch_side' if framework == 'torch' else 'segparity.parity.keras_side'


def check_parity(names=None, data=None, frameworks=None, progress=None):
    """Compares every installed implementation with the reference: values and gradients, float32 and float64.

    names: losses and metrics to check, all by default (with ``data`` all losses). data: your own inputs instead of the built-in cases: a mapping with 'pred'
    (N, C, *space) logits, 'target', and optionally 'weight' and 'ignore_index'; the gradient then costs eight reference
    calls for each element of pred, so keep it small. frameworks: of ``FRAMEWORKS``, all installed ones by default.
    progress: called with (done, total, text). Returns a list of ``Row`` with .name, .framework, .value_error,
    .grad_error and .ok. Raises SpecError for an unknown name, RuntimeError when no framework is installed.
    """
    everything = [*LOSSES, *METRICS] if data is None else list(LOSSES)
    names = everything if names is None else list(names)
    for name in names:
        if name not in everything:
            raise SpecError(unknown_name('loss or metric' if data is None else 'loss', name, everything))
    frameworks = installed() if frameworks is None else list(frameworks)
    if not frameworks:
        raise RuntimeError(
            "no framework is installed: pip install 'segparity[mmseg,mmcv-lite]' or 'segparity[keras,jax]'"
        )
    jobs = [(name, *job) for name in names if name in LOSSES for job in _jobs(name, data)]
    metrics = [(name, *job) for name in names if name in METRICS for job in metric_jobs(name)]
    steps = _Steps(len(jobs) + (len(jobs) + len(metrics)) * len(frameworks), progress)
    wanted = []
    for name, _, spec, case in jobs:
        wanted.append(cases.reference(spec, case))
        steps.done(f'reference {name}')
    with ThreadPoolExecutor(max(1, min(len(frameworks), os.cpu_count() or 1))) as pool:
        found = list(pool.map(lambda f: _check_framework(f, jobs, wanted, metrics, steps), frameworks))
    rows = [row for of_framework in found for row in of_framework]
    order = {name: i for i, name in enumerate(names)}
    return sorted(rows, key=lambda row: order[row.name])


class _Steps:
    """Counts what is done and tells ``progress``; called from the thread of each framework."""

    def __init__(self, total, progress):
        self.total, self.count, self.progress, self.lock = total, 0, progress, threading.Lock()

    def done(self, text):
        with self.lock:
            self.count += 1
            if self.progress:
                self.progress(self.count, self.total, text)


def _check_framework(framework, jobs, wanted, metrics, steps):
    """The rows of one framework, from a worker of its own."""
    worst = {}
    with Worker(framework) as worker:
        for (name, label, spec, case), want in zip(jobs, wanted):
            for dtype in FRAMEWORKS[framework]['precisions']:
                row = _compare(worker, name, label, spec, case, want, dtype)
                worst[name, dtype] = _worse(worst.get((name, dtype)), row)
            steps.done(f'{framework} {name}')
        for name, label, *job in metrics:
            exact = framework == 'torch' and METRICS[name].takes == 'ids'  # logits are float32, as heads give them
            dtype = 'float64' if exact else 'float32'
            difference, error = metric_error(worker, side(framework), *job)
            row = Row(name, framework, dtype, difference, 0.0, 1, label, error)
            worst[name, dtype] = _worse(worst.get((name, dtype)), row)
            steps.done(f'{framework} {name}')
    return worst.values()


def _jobs(name, data):
    """(label, spec, case) of everything that is compared for one loss."""
    if data is None:
        for example, case_name in plan(name):
            case = cases.build(case_name)
            yield f'{example}, {case_name}', cases.spec_for(LOSSES[name], LOSSES[name].examples[example], case), case
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
        if cases.applies(LOSSES[name], example, case):
            yield f'{example_name}, your data', cases.spec_for(LOSSES[name], example, case), case


def _compare(worker, name, label, spec, case, want, dtype):
    arrays = dict(pred=case.pred, target=case.target, weight=case.weight)
    try:
        _, got = worker.call(
            side(worker.framework) + ':value_and_gradient',
            arrays,
            loss=spec.to_dict(),
            dtype=dtype,
            ignore_index=case.call_ignore_index,
        )
    except WorkerError as error:
        return Row(name, worker.framework, dtype, float('inf'), float('inf'), 1, label, str(error))
    value, gradient = want
    if gradient is None:
        grad = 0.0
    else:
        seen = np.isfinite(case.pred)  # at pixels that are not a number the gradient must be 0
        grad = gradient_error(got['gradient'], np.where(seen, gradient, 0))
    return Row(name, worker.framework, dtype, value_error(got['value'], value), grad, 1, label)


def _worse(old, new):
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
