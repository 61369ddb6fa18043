"""tp, fp, fn of each (image, class) cell in Keras, in the two flavours of the catalogue."""

from keras import backend, ops

from keras_plugin import hard_pixels
from keras_plugin.arithmetic import minimum, ratio
from keras_plugin.granularity import CellSums
from keras_plugin.hard_overlap import hard_overlap
from keras_plugin.inputs import Batch
from keras_plugin.typing import Tensor


def product_overlap(batch: Batch, norm: int = 1) -> CellSums:
    """tp = sum p*y, fp = |p| - tp, fn = |y| - tp, with p and y to the power ``norm`` in |.|: ``CellSums``."""
    cells = hard_cell_sums(batch) if norm == 1 else None
    if cells is not None:
        return cells
    p, y = batch.prob, batch.target
    both = p * y  # subtracted before the sum, so that few wrong pixels among many survive in float32
    return CellSums((batch.sum(both), batch.sum(p**norm - both), batch.sum(y**norm - both)))


def exact_overlap(batch: Batch) -> CellSums:
    """The product statistics, each accurate where it is small: for losses that are steep where everything is right."""
    cells = hard_cell_sums(batch)
    if cells is not None:
        return cells
    (p, q), y = batch.prob_both, batch.target
    return CellSums((batch.sum(p * y), batch.sum(p * (1 - y)), batch.sum(q * y)))


def metric_overlap(batch: Batch, norm: int = 1) -> CellSums:
    """tp = (|p| + |y| - |p - y|) / 2, fp = |p| - tp, fn = |y| - tp; at p = y the gradient splits evenly."""
    cells = hard_cell_sums(batch, split_ties=True) if norm == 1 else None
    if cells is not None:
        return cells
    p, y = batch.prob, batch.target
    if norm == 1:
        both = minimum(p, y)
        return CellSums((batch.sum(both), batch.sum(p - both), batch.sum(y - both)))
    if norm == 2:
        both = p * y
    else:
        both = (p**norm + y**norm - ops.abs(p - y) ** norm) / 2
    return CellSums((batch.sum(both), batch.sum(p**norm - both), batch.sum(y**norm - both)))


def hard_cell_sums(batch: Batch, **options: bool) -> CellSums | None:
    """The ``CellSums``, all flavours in one, without a one-hot array; None where labels or classes do not allow it."""
    if hard_pixels.takes(batch) and backend.backend() != 'jax':  # where XLA takes a third longer for margins
        return cells_and_margin(batch)[0]
    if not batch.softmax or len(batch.labels.shape) != 2:
        return None
    sums = hard_overlap(batch, **options)
    tp, fp, fn = (sums[k] for k in range(3))
    return CellSums((tp, fp, fn), ops.stop_gradient(tp + fn))


def cells_and_margin(batch: Batch) -> tuple[CellSums, Tensor]:
    """The ``CellSums`` of class ids and logits, and the (N, P) margins: see ``hard_pixels``."""
    margin, fp = hard_pixels.margin_and_sums(batch)
    tp, fn = hard_pixels.sum_by_class(batch, *hard_pixels.own_and_rest(margin))
    return CellSums((tp, fp, fn), ops.stop_gradient(tp + fn)), margin


def score(tp: Tensor, fp: Tensor, fn: Tensor, alpha: float, beta: float, smooth: float) -> Tensor:
    """(tp + smooth) / (tp + alpha*fp + beta*fn + smooth); 0/0, no mass at all, is 1."""
    return ratio(tp + smooth, tp + alpha * fp + beta * fn + smooth)
