"""What the values of a loss's inputs may be; the same rule and the same sentences for NumPy, PyTorch and Keras.

A result that would be wrong is NaN or a sentence, never a number. In the pixels that count:

- A prediction of NaN or +inf, or for softmax of nothing but -inf, makes value and gradient NaN and is never an error.
- A part of a loss whose factor is 0 is absent, in value and gradient, where it would be infinite as well; it does not
  hide a prediction that is no number, nor a label, a weight or a probability that is none.
- A label that is no label, a weight that is no weight and a probability that is none are refused with a sentence where
  values can be seen without waiting for a device; elsewhere they make value and gradient NaN.

The functions here look at NumPy arrays and raise ``ValueError``; ``counts`` says, in a shape that broadcasts, what
counts. A plugin calls them once it has found that something may be wrong.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

TOLERANCE = 2.0**-7  # how far rounding may bring a probability beyond [0, 1]; that of bfloat16


def check_weights(owner: str, weights: ArrayLike) -> None:
    """Refuses weights of pixels or images that are negative, NaN or infinite."""
    weights = np.asarray(weights)
    wrong = ~((weights >= 0) & (weights < np.inf))
    if wrong.any():
        raise ValueError(f'{owner}: a weight must be a finite number >= 0, got {weights[wrong].flat[0]:g}')


def check_probabilities(owner: str, prob: np.ndarray, counts: np.ndarray) -> None:
    """Refuses probabilities outside [0, 1]. NaN and +inf are none of its business, a loss of those is NaN."""
    wrong = ((prob < -TOLERANCE) | ((prob > 1 + TOLERANCE) & (prob < np.inf))) & counts
    if wrong.any():
        raise ValueError(
            f'{owner}: a prediction of probabilities must lie in [0, 1], got {prob[wrong].flat[0]:g}; '
            f'are these logits, for from_logits=True?'
        )


def check_ids(owner: str, ids: ArrayLike, counts: np.ndarray, num_classes: int, ignore: str = 'ignore_index') -> None:
    """Refuses labels (N, P) that are no class ids; ``ignore`` is the name of the argument that leaves a label out."""
    ids, counts = np.asarray(ids), np.broadcast_to(counts, np.shape(ids))
    if ids.dtype.kind == 'f':
        wrong = counts & (ids != np.floor(ids))  # NaN is not itself
        if wrong.any():
            raise ValueError(
                f'{owner}: target labels must be whole numbers, got {ids[wrong].flat[0]:g}; '
                f'label maps are resized without interpolation'
            )
    wrong = counts & ((ids < 0) | (ids >= num_classes))
    if wrong.any():
        value = ids[wrong].flat[0]
        hint = ''
        if value in (255, -1):
            hint = f'; {ignore}={value:g} leaves such pixels out'
            if (value, num_classes) == (255, 2):
                hint += ', or divide masks of 0 and 255 by 255'
        elif value == num_classes and ids[counts].min() > 0:
            hint = '; labels start at 0, so subtract 1'
            if ignore == 'ignore_index':
                hint = '; labels start at 0 (in MMSegmentation reduce_zero_label=True brings 1 there)'
        limit = 'at least 0' if value < 0 else f'below {num_classes}'
        raise ValueError(f'{owner}: target labels must be {limit}, got {value:g}{hint}')


def check_whole_maps(owner: str, missing: int, gone: np.ndarray) -> None:
    """Refuses label maps (N, *space) that have the label ``missing`` at some pixels only; gone: at which."""
    for one in gone:
        if 0 < one.sum() < one.size:
            raise ValueError(
                f'{owner}: missing={missing} must be at every pixel of a label map or at none, got {one.sum()} of {one.size}'
            )


def check_one_channel(owner: str, target: ArrayLike, counts: np.ndarray) -> None:
    """Refuses what is neither a label 0 or 1 nor the probability of the one foreground."""
    target = np.asarray(target)
    slack = TOLERANCE if target.dtype.kind == 'f' else 0
    wrong = np.broadcast_to(counts, target.shape) & ~((target >= -slack) & (target <= 1 + slack))
    if wrong.any():
        value = target[wrong].flat[0]
        seen = target[np.broadcast_to(counts, target.shape)]
        soft = (seen != np.floor(seen)).any() or seen.max() == 100
        if value == 255:
            hint = '; divide masks of 0 and 255 by 255'
        elif soft:
            hint = likely_soft(seen)
        else:
            hint = '; more than two classes need a channel for each' if value > 1 else ''
        raise ValueError(f'{owner}: a one-channel target must lie in [0, 1], got {value:g}{hint}')


def check_maps(owner: str, target: ArrayLike, counts: np.ndarray) -> None:
    """Refuses soft labels outside [0, 1], and integers with one map for each class that are not 0 or 1."""
    target = np.asarray(target)
    is_float = target.dtype.kind == 'f'
    slack = TOLERANCE if is_float else 0
    wrong = np.broadcast_to(counts, target.shape) & ~((target >= -slack) & (target <= 1 + slack))
    if wrong.any():
        kind = 'soft labels must lie in [0, 1]' if is_float else 'one-hot labels must be 0 or 1'
        value = target[wrong].flat[0]
        hint = '; is this a picture in place of labels?'
        if is_float:
            hint = likely_soft(target[np.broadcast_to(counts, target.shape)])
        raise ValueError(f'{owner}: {kind}, got {value:g}{hint}')


def likely_soft(labels: np.ndarray) -> str:
    """What soft labels outside [0, 1] may be instead."""
    if not np.isfinite(labels).all():
        return ''
    if labels.min() >= 0 and 10 < labels.max() <= 100:
        return '; are these per cent, to be divided by 100?'
    return '; are these logits?' if labels.min() < 0 else ''


def check_one_label(owner: str, target: ArrayLike, counts: np.ndarray, axis: int) -> None:
    """Refuses one-hot labels, integers 0 and 1, that name no class or several in a pixel; ``axis`` is that of classes."""
    named = np.asarray(target).sum(axis, dtype=np.int64)
    wrong = np.broadcast_to(counts, named.shape) & (named != 1)
    if wrong.any():
        raise ValueError(
            f'{owner}: one-hot labels must name one class in each pixel, got {named[wrong].flat[0]}; '
            f'a weight of 0 leaves a pixel out'
        )


def check_distribution(owner: str, target: ArrayLike, counts: np.ndarray, axis: int) -> None:
    """Refuses probabilities of a teacher that do not sum to 1 in a pixel; ``axis`` is that of classes."""
    total = np.asarray(target).sum(axis)
    wrong = np.broadcast_to(counts, total.shape) & is_no_distribution(total)
    if wrong.any():
        raise ValueError(
            f"{owner}: the teacher's probabilities must sum to 1 in each pixel, got {total[wrong].flat[0]:.4g}; "
            'a weight of 0 leaves a pixel out'
        )


def is_no_distribution(total: Any) -> Any:
    """Whether probabilities of this sum, an array or a tensor, are none of one distribution."""
    return abs(total - 1) > TOLERANCE


def is_number(pred: np.ndarray, softmax: bool, axis: int) -> np.ndarray:
    """Whether a pixel's prediction is a number; ``axis`` is that of its classes."""
    top = pred.max(axis)  # NaN if any is
    return np.isfinite(top) if softmax else top < np.inf
