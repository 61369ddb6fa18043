"""What every metric of label maps asks of one image: integer ids of one shape, and which pixels count."""

from collections.abc import Sized

import numpy as np
from numpy.typing import ArrayLike


def label_maps(
    owner: str, pred: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Both maps and the weight as arrays, of integer ids and of one shape; TypeError and ValueError for others."""
    pred, target = np.asarray(pred), np.asarray(target)
    for name, ids in (('pred', pred), ('target', target)):
        check_ids(owner, name, ids)
    weight = None if weight is None else np.asarray(weight)
    if pred.shape != target.shape or (weight is not None and weight.shape != target.shape):
        shapes = f'pred {pred.shape}, target {target.shape}' + ('' if weight is None else f', weight {weight.shape}')
        raise ValueError(f'{owner}: the maps of an image must have one shape, got {shapes}')
    return pred, target, weight


def check_ids(owner: str, name: str, ids: np.ndarray) -> None:
    """Refuses an array that holds no integers."""
    if ids.dtype.kind not in 'iub':
        raise TypeError(f'{owner}: {name} must be a map of integer class ids, got {ids.dtype}')


def check_predicted(owner: str, pred: np.ndarray, num_classes: int) -> None:
    """Refuses predicted ids that are no class."""
    strange = (pred < 0) | (pred >= num_classes)
    if strange.any():
        raise ValueError(f'{owner}: predictions must be class ids below {num_classes}, got {pred[strange][0]}')


def valid_pixels(target: np.ndarray, weight: np.ndarray | None, ignore_index: int | None) -> np.ndarray:
    """Which pixels count: those whose label is not ``ignore_index`` and whose weight, if given, is above 0."""
    valid = np.ones(target.shape, bool) if weight is None else weight > 0
    return valid if ignore_index is None else valid & (target != ignore_index)


def check_images(owner: str, preds: Sized, targets: Sized, weights: Sized | None, name: str = 'preds') -> None:
    """Refuses lists of images that do not have one map for each."""
    if len(preds) != len(targets) or (weights is not None and len(weights) != len(targets)):
        given = ', '.join(str(len(x)) for x in (preds, targets, weights) if x is not None)
        raise ValueError(f'{owner}: {name}, targets and pixel_weights must have one map for each image, got {given}')
