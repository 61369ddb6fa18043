"""tp, fp, fn of each (image, class) cell in NumPy float64, in the two flavours of the catalogue."""

import numpy as np

from shared_spec.inputs import Batch


def total(weight: np.ndarray, x: np.ndarray) -> np.ndarray:
    """|x|: the sum over pixels of weight * x; weight (N, P), x (N, C, P) -> (N, C)."""
    return (weight[:, None] * x).sum(2)


def product_overlap(batch: Batch, norm: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The classic soft statistics: tp = sum p*y, fp = |p| - tp, fn = |y| - tp, with p and y to the power ``norm`` in |.|"""
    p, y, v = batch.prob, batch.target, batch.weight
    tp = total(v, p * y)
    if norm == 1:  # the same numbers without the cancellation
        return tp, total(v, p * (1 - y)), total(v, batch.complement * y)
    return tp, total(v, p**norm) - tp, total(v, y**norm) - tp


def metric_overlap(batch: Batch, norm: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The JDT statistics: tp = (|p| + |y| - |p - y|) / 2, fp = |p| - tp, fn = |y| - tp, minimal at p = y for soft y too."""
    p, y, v = batch.prob, batch.target, batch.weight
    if norm == 1:  # the same numbers without the cancellation
        return (
            total(v, np.minimum(p, y)),
            total(v, np.maximum(p - y, 0)),
            total(v, np.maximum(y - p, 0)),
        )
    size_p, size_y, distance = total(v, p**norm), total(v, y**norm), total(v, np.abs(p - y) ** norm)
    tp = (size_p + size_y - distance) / 2
    return tp, size_p - tp, size_y - tp


def score(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, alpha: float, beta: float, smooth: float) -> np.ndarray:
    """(tp + smooth) / (tp + alpha*fp + beta*fn + smooth); 0/0, no mass at all, is 1."""
    top, bottom = tp + smooth, tp + alpha * fp + beta * fn + smooth
    return np.where(bottom != 0, top / np.where(bottom != 0, bottom, 1), 1.0)
