"""Scores of counts in keras.ops: over the data set, of cells, of images, and the means of the lowest values.

Counts have the shape (..., C, 3); scores stack the metrics of the spec in front: (M, ..., C).
"""

from collections.abc import Sequence

from keras import ops

from keras_plugin.typing import Tensor
from shared_spec.metrics.fine_grained import FineGrained

ONE = 1 << 30  # a score as an integer: XLA sorts int32 five times faster than float32
GRAIN = 1 << 18  # such scores are summed as whole grains in int32, exactly, and what is left in float
LATER = (1 << 31) - 1  # sorts after every score


def count_true(mask: Tensor, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """int32: how many are true (JAX with x64 would add int32 up to int64)."""
    return ops.cast(ops.sum(ops.cast(mask, 'int32'), axis=axis), 'int32')


def at_least(x: Tensor, n: int) -> Tensor:
    """Integers, n where they are below; ``ops.maximum`` makes them floats on JAX where ``floatx`` is bfloat16."""
    return ops.where(x < n, n, x)


def at_most(x: Tensor, n: int) -> Tensor:
    """Integers, n where they are above; not by ``ops.minimum``, see ``at_least``."""
    return ops.where(x > n, n, x)


def mean_of_counted(values: Tensor, counted: Tensor, axis: int = -1) -> Tensor:
    """Mean of the counted values along an axis, NaN where none counts."""
    return ratio(ops.sum(ops.where(counted, values, 0.0), axis=axis), ops.cast(count_true(counted, axis), values.dtype))


def ratio(above: Tensor, below: Tensor) -> Tensor:
    """above / below, NaN where below is 0."""
    return ops.where(below > 0, above / ops.where(below > 0, below, 1.0), float('nan'))


def score_terms(spec: FineGrained, tp: Tensor, fp: Tensor, fn: Tensor) -> tuple[Tensor, Tensor]:
    """(M, ..., C) numerators and denominators of the spec's metrics."""
    b2 = spec.beta**2
    fractions = {
        'mAcc': lambda: (tp, tp + fn),
        'mIoU': lambda: (tp, tp + fp + fn),
        'mDice': lambda: (2 * tp, 2 * tp + fp + fn),
        'mPrecision': lambda: (tp, tp + fp),
        'mFscore': lambda: ((1 + b2) * tp, (1 + b2) * tp + b2 * fn + fp),
    }
    above, below = zip(*(fractions[metric]() for metric in spec.metrics))
    return ops.stack(above), ops.stack(below)


def foreground(spec: FineGrained) -> Tensor:
    """bool (C,): the classes that count."""
    ids = ops.arange(spec.num_classes, dtype='int32')
    return ids == 1 if spec.binary else ids >= 0


def data_set_scores(spec: FineGrained, totals: Tensor) -> Tensor:
    """(M, C) scores of float (C, 3) totals, NaN where a class does not count."""
    above, below = score_terms(spec, *(totals[..., k] for k in range(3)))
    return ops.where(foreground(spec), ratio(above, below), float('nan'))


def defined_mean(values: Tensor) -> Tensor:
    """Mean along the last axis of what is not NaN."""
    return mean_of_counted(values, values == values)  # NaN is not itself


def pixel_accuracy(totals: Tensor) -> Tensor:
    """() of float (C, 3) totals: rightly predicted pixels among those labelled with a class, NaN without any."""
    return ratio(ops.sum(totals[:, 0]), ops.sum(totals[:, 0] + totals[:, 2]))


def frequency_weighted_iou(totals: Tensor) -> Tensor:
    """() of float (C, 3) totals: IoU of each class weighted with its share of the labelled pixels, NaN without any."""
    tp, fp, fn = (totals[:, k] for k in range(3))
    union = tp + fp + fn
    iou = tp / ops.where(union > 0, union, 1.0)
    return ratio(ops.sum((tp + fn) * iou), ops.sum(tp + fn))


def cell_scores(spec: FineGrained, counts: Tensor, dtype: str) -> tuple[Tensor, Tensor]:
    """(M, N, C) scores of int32 (N, C, 3) counts, and which of them count."""
    tp, fp, fn = (ops.cast(counts[..., k], dtype) for k in range(3))
    above, below = score_terms(spec, tp, fp, fn)
    scores = above / ops.where(below > 0, below, 1.0)  # a missed object has precision 0
    either = spec.binary or spec.present_in == 'either'
    present = tp + fn + fp > 0 if either else tp + fn > 0
    defined = ops.stack([tp + fn > 0 if metric == 'mAcc' else present for metric in spec.metrics])
    counted = ops.logical_and(present, defined)
    if spec.binary:
        nowhere = tp + fp + fn == 0
        scores = ops.where(nowhere, 1.0, scores)
        counted = ops.logical_or(counted, nowhere)
    has_pixel = ops.any(counts > 0, axis=(1, 2))
    return scores, ops.logical_and(counted, ops.logical_and(ops.expand_dims(has_pixel, 1), foreground(spec)))


def image_means(scores: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """(M, N) means over the counted classes of each image, and which images have any."""
    n = count_true(counted, -1)
    total = ops.sum(ops.where(counted, scores, 0.0), axis=-1)
    return total / ops.cast(at_least(n, 1), scores.dtype), n > 0


def mean_of_lowest(scores: Tensor, counted: Tensor, q: Sequence[int]) -> Tensor:
    """(..., len(q)): for each q the mean of the lowest max(1, q*n // 100) of the n counted scores of the last axis.

    NaN where n is 0. Sums of float32 would lose the sixth digit after a thousand images; these do not.
    """
    n = ops.expand_dims(count_true(counted, -1), -1)
    ordered = ops.sort(ops.where(counted, ops.cast(ops.round(scores * ONE), 'int32'), LATER), axis=-1)
    grains = ordered // GRAIN
    rest = ops.cast(ordered - grains * GRAIN, scores.dtype) / ONE
    k = at_least(n * ops.convert_to_tensor(q, dtype='int32') // 100, 1)
    grains = ops.take_along_axis(ops.cumsum(grains, axis=-1), k - 1, axis=-1)
    rest = ops.take_along_axis(ops.cumsum(rest, axis=-1), k - 1, axis=-1)
    total = ops.cast(grains, scores.dtype) / (ONE // GRAIN) + rest
    return ops.where(n > 0, total / ops.cast(k, scores.dtype), float('nan'))
