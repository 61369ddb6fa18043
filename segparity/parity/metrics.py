"""The metrics of every installed framework beside the reference."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from segparity.parity.frameworks import Worker, WorkerError
from shared_spec import METRICS, MetricSpec

IGNORE = 255


def label_maps(num_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Seven pairs (pred, target) of 9 x 11 pixels: a perfect one, an ignored one, absent classes, an ignored border."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, num_classes, (7, 9, 11))
    pred = np.where(rng.random(target.shape) < 0.3, rng.integers(0, num_classes, target.shape), target)
    target[:, 0] = IGNORE
    pred[1] = target[1].clip(max=num_classes - 1)
    target[2] = IGNORE
    target[3][target[3] == num_classes - 1] = 0
    target[4], pred[5] = 0, 0
    return pred, target


def logits_for(pred: np.ndarray, num_classes: int, seed: int = 0) -> np.ndarray:
    """(N, C, *space) float32 logits that are largest at most of the predicted ids."""
    logits = np.random.default_rng(seed).normal(size=(len(pred), num_classes, *pred.shape[1:]))
    return (logits + np.moveaxis(np.eye(num_classes)[pred], -1, 1) * 3).astype(np.float32)


def metric_jobs(name: str) -> Iterator[tuple[str, MetricSpec, np.ndarray, np.ndarray, dict[str, float]]]:
    """(label, spec, pred, target, name -> expected value) of every example of a metric; pred: ids or logits."""
    for example_name, example in METRICS[name].examples.items():
        spec: Any = METRICS[name](**example.params)
        pred, target = label_maps(spec.num_classes)
        if spec.ignore_index is None:
            target = np.where(target == IGNORE, 0, target)
        given = pred
        if spec.takes == 'probabilities':
            pred = logits_for(pred, spec.num_classes)
            given = np.exp(np.float64(pred)) / np.exp(np.float64(pred)).sum(1, keepdims=True)
        yield example_name, spec, pred, target, spec.reference(list(given), list(target))


def metric_error(
    worker: Worker, module: str, spec: MetricSpec, pred: np.ndarray, target: np.ndarray, expected: dict[str, float]
) -> tuple[float, str]:
    """(largest difference, '') of one example in a worker's framework, or (inf, the worker's error)."""
    try:
        names, got = worker.call(module + ':metric_results', dict(pred=pred, target=target), metric=spec.to_dict())
    except WorkerError as error:
        return float('inf'), str(error)
    if list(expected) != names:
        return float('inf'), f'results {names}, expected {list(expected)}'
    want = np.array(list(expected.values()))
    finite = np.isfinite(want) & np.isfinite(got['values'])
    if not np.array_equal(want[~finite], got['values'][~finite], equal_nan=True):
        return float('inf'), 'undefined or infinite results differ'
    return float(np.max(np.abs(got['values'][finite] - want[finite]), initial=0.0)), ''
