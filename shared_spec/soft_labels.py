"""Soft labels from hard ones, in NumPy float64: smoothing everywhere, smoothing at boundaries, several annotators.

Hard labels are integer class ids (N, *space) with one to three spatial axes, of ``label_smoothing`` (N,) too; the soft
labels are (N, C, *space) and sum to 1 over the classes. A pixel that is ignored is 0 in every class: give it the weight 0 in the loss
(``soft.sum(1) > 0``), for a soft label cannot say that it is ignored.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.soft_label_arguments import (
    check_annotators,
    check_is_given,
    check_labels,
    check_missing,
    check_parameters,
    check_weighting,
    check_window,
)
from shared_spec.values import check_ids, check_whole_maps


def label_smoothing(
    target: ArrayLike, epsilon: float, *, num_classes: int, ignore_index: int | None = None
) -> np.ndarray:
    """(1 - epsilon) * one-hot + epsilon / C at every pixel (Szegedy 2016): epsilon goes to all classes, the own too.

    >>> label_smoothing(np.array([[0, 2, 255]]), 0.3, num_classes=3, ignore_index=255)[0].round(3).tolist()
    [[0.8, 0.1, 0.0], [0.1, 0.1, 0.0], [0.1, 0.8, 0.0]]
    """
    owner = 'label_smoothing'
    hard, valid = _one_hot(owner, target, num_classes, ignore_index)
    return _smoothed(owner, hard, epsilon, valid)


def boundary_label_smoothing(
    target: ArrayLike, epsilon: float = 0.5, window: int = 3, *, num_classes: int, ignore_index: int | None = None
) -> np.ndarray:
    """Label smoothing of the boundary pixels, one-hot elsewhere (boundary label smoothing of JDTLosses).

    A boundary pixel sees another class in the square ``window`` around it (an odd number of pixels, cut at the image's
    border), and no ignored pixel; with window 1 there is none.
    """
    owner = 'boundary_label_smoothing'
    window = check_window(owner, window)
    hard, valid = _one_hot(owner, target, num_classes, ignore_index)
    target, space = np.asarray(target), valid.shape[1:]
    boundary, clean = np.zeros_like(valid), valid.copy()
    reach = range(-(window // 2), window // 2 + 1)
    for offset in itertools.product(reach, repeat=len(space)):
        # pixels whose neighbour at the offset lies in the image, and those neighbours
        here = (slice(None), *(slice(max(0, -o), max(0, n - max(0, o))) for o, n in zip(offset, space)))
        there = (slice(None), *(slice(max(0, o), max(0, n - max(0, -o))) for o, n in zip(offset, space)))
        boundary[here] |= target[here] != target[there]
        clean[here] &= valid[there]
    return np.where((boundary & clean)[:, None], _smoothed(owner, hard, epsilon, valid), hard)


def average_annotators(
    targets: Sequence[ArrayLike] | np.ndarray,
    weighting: str = 'uniform',
    *,
    num_classes: int = 2,
    ignore_index: int | None = None,
    missing: int | None = None,
) -> np.ndarray:
    """The mean of several annotators' one-hot labels: (R, N, *space) class ids -> (N, C, *space).

    ``weighting='uniform'``: every annotator counts the same. ``'dice'`` (foreground against background only): each
    counts, image by image, by the Dice of their foreground with the majority's, which is what R // 2 + 1 of them mark
    (a tie is background); two empty masks have Dice 1, and where every Dice is 0 all count the same. A pixel that any
    annotator ignores is ignored, in the Dice too. JDTLosses gives weight 1 to whoever misses the majority: 0 here.

    An annotator whose map of an image is ``missing`` at every pixel is absent there: the average, and R, are of the others,
    and an image of which nobody is present is 0 in every class.
    """
    owner = 'average_annotators'
    check_weighting(owner, weighting, num_classes)
    check_is_given(owner, targets)
    check_annotators(owner, [np.shape(target) for target in targets])
    num_classes, ignore_index = check_parameters(owner, num_classes=num_classes, ignore_index=ignore_index)
    missing = check_missing(owner, missing, num_classes, ignore_index)
    targets = np.asarray(targets)
    present = np.ones(targets.shape[:2], bool)
    if missing is not None:
        gone = targets == missing
        for one in gone:
            check_whole_maps(owner, missing, one)
        present = ~gone.all(tuple(range(2, gone.ndim)))
        targets = np.where(present.reshape(*present.shape, *[1] * (gone.ndim - 2)), targets, 0)
    labels = [_one_hot(owner, target, num_classes, ignore_index) for target in targets]
    valid = np.logical_and.reduce([v for _, v in labels])
    hard = np.stack([h for h, _ in labels]) * valid[:, None]  # (R, N, C, *space)
    weight = present.astype(np.float64)
    if weighting == 'dice':
        foreground = hard[:, :, 1].reshape(*weight.shape, -1)
        majority = foreground.sum(0) >= present.sum(0)[:, None] // 2 + 1
        common, sizes = (foreground * majority).sum(-1), foreground.sum(-1) + majority.sum(-1)
        weight = np.where(sizes > 0, 2 * common / np.maximum(sizes, 1), 1) * present
        weight = np.where(weight.sum(0) > 0, weight, present)
    total = weight.cumsum(0)[-1]  # one by one: who is absent leaves no trace in the rounding
    share = (weight / np.where(total > 0, total, 1)).reshape(*weight.shape, *[1] * (hard.ndim - 2))
    return np.asarray(sum(s * h for s, h in zip(share, hard)))


def _one_hot(
    owner: str, target: ArrayLike, num_classes: int, ignore_index: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """(N, C, *space) float64, 0 where ignored, and (N, *space) whether a pixel counts."""
    target = np.asarray(target)
    num_classes, ignore_index = check_parameters(owner, num_classes=num_classes, ignore_index=ignore_index)
    check_labels(owner, target.shape, target.dtype.kind in 'iub', target.dtype)
    valid = np.ones(target.shape, bool) if ignore_index is None else target != ignore_index
    check_ids(owner, target, valid, num_classes)
    classes = np.arange(num_classes).reshape(-1, *[1] * (target.ndim - 1))
    return ((target[:, None] == classes) & valid[:, None]).astype(np.float64), valid


def _smoothed(owner: str, hard: np.ndarray, epsilon: float, valid: np.ndarray) -> np.ndarray:
    (epsilon,) = check_parameters(owner, epsilon=epsilon)
    return ((1 - epsilon) * hard + epsilon / hard.shape[1]) * valid[:, None]
