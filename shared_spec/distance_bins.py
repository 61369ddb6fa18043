"""Bins of truncated distances to an object's boundary, in NumPy, and the rules about them that all worlds share."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared_spec import shapes
from shared_spec.checks import Integer
from shared_spec.distance import DistanceTo, distance_to
from shared_spec.parameters import check_parameter
from shared_spec.typing import Shape

ROUNDING = 2.0**-22  # of a root, which some devices round down, or up, where it is whole


def first_distances(num_bins: int, max_distance: int) -> list[int]:
    """The smallest distance of each bin: the bin of D is floor(D * num_bins / (max_distance + 1))."""
    return [-(-k * (max_distance + 1) // num_bins) for k in range(num_bins)]


def limits(num_bins: int, max_distance: int) -> list[float]:
    """What an unrounded distance exceeds from bin 1, 2, ... on, whatever the last digit of the distance."""
    return [(first - 1) * (1 + ROUNDING) for first in first_distances(num_bins, max_distance)[1:]]


def bins_of_image(
    inside: np.ndarray, valid: np.ndarray, num_bins: int, max_distance: int, measure: DistanceTo = distance_to
) -> np.ndarray:
    """(M, *space) the bin of every pixel of each object class; inside (M, *space) and valid (*space) bool.

    D = min(ceil(d), max_distance), d the distance to what is outside the object or has a neighbour along an axis that is:
    0 there, max_distance where there is nothing of the kind. Pixels that do not count are on no side, and have bin 0.
    """
    found = np.zeros(inside.shape, np.int64)
    for k, mask in enumerate(inside & valid):
        outside = valid & ~mask
        boundary = outside | (mask & beside(outside))
        d = measure(boundary) if boundary.any() else np.full(mask.shape, np.inf)
        distance = np.minimum(np.ceil(d), max_distance).astype(np.int64)
        found[k] = np.where(mask, distance * num_bins // (max_distance + 1), 0)
    return found


def beside(mask: np.ndarray) -> np.ndarray:
    """Which pixels have a neighbour of ``mask`` along an axis; beyond the image there is none."""
    found = np.zeros_like(mask)
    for axis in range(mask.ndim):
        along, result = np.moveaxis(mask, axis, 0), np.moveaxis(found, axis, 0)
        result[:-1] |= along[1:]
        result[1:] |= along[:-1]
    return found


def masks_of_bins(pred: ArrayLike, num_bins: int, max_distance: int) -> np.ndarray:
    """(N, M, *space) bool: the objects that the output (N, M * num_bins, *space) of a distance branch stands for.

    Each pixel has the bin of its largest logit or probability. An object is all discs (balls) around pixels of bins
    above 0 whose radius is the smallest distance of their bin, as the paper decodes. Convex corners come back rounded, and
    what is only boundary, two pixels thin, does not come back. ValueError for NaN and for bins that cannot be.
    """
    pred = np.asarray(pred)
    check_masks(pred.shape, pred.dtype.kind == 'f', pred.dtype, num_bins, max_distance, 'first')
    check_no_nan(bool(np.isnan(pred).any()))
    n, c, space = shapes.split(pred.shape, 'first')
    objects = count_objects('masks_of_bins', c, num_bins)
    bins = pred.reshape(n, objects, num_bins, *space).argmax(2)
    found = np.zeros((n, objects, *space), bool)
    for place in np.ndindex(n, objects):
        for k, radius in enumerate(first_distances(num_bins, max_distance)):
            if k and (bins[place] == k).any():
                found[place] |= distance_to(bins[place] == k) <= radius * (1 + ROUNDING)
    return found


def count_objects(owner: str, channels: int, num_bins: int) -> int:
    """The object classes of so many channels; ValueError where they are no multiple of the bins."""
    if channels % num_bins or not channels:
        raise ValueError(
            f'{owner}: pred must have num_bins = {num_bins} channels for each object class, got {channels} channels'
        )
    return channels // num_bins


def check_masks(shape: Shape, is_float: bool, dtype: object, num_bins: Any, max_distance: Any, layout: str) -> None:
    """TypeError or ValueError for what ``masks_of_bins`` cannot be given."""
    name = 'masks_of_bins'
    check_parameter(name, 'num_bins', Integer(low=2), num_bins)
    check_parameter(name, 'max_distance', Integer(low=num_bins - 1), max_distance)
    shapes.check_pred(name, shape, layout)
    if not is_float:
        raise TypeError(f'{name}: pred must be floating point, got {dtype}')


def check_no_nan(some: bool) -> None:
    """ValueError for a prediction in which no bin is the largest."""
    if some:
        raise ValueError('masks_of_bins: pred must be logits or probabilities of bins, got NaN')


def check_label_shape(owner: str, shape: Shape, n: int | None, space: Shape, layout: str) -> None:
    """ValueError unless labels are class ids, one map for each image, with or without an axis of length 1 for it."""
    if not any(shapes.may_be_equal(shape, wanted) for wanted in ((n, *space), shapes.join(n, 1, space, layout))):
        raise ValueError(
            f'{owner}: target must be class ids (N, *space) = {shapes.as_text((n, *space))}, got {shapes.as_text(shape)}'
        )


def check_bins_shape(owner: str, shape: Shape, n: int | None, objects: int, space: Shape, layout: str) -> None:
    """ValueError unless bins given have a map for each object class; that of one class may lack its axis."""
    wanted = shapes.join(n, objects, space, layout)
    if not (shapes.may_be_equal(shape, wanted) or (objects == 1 and shapes.may_be_equal(shape, (n, *space)))):
        raise ValueError(
            f'{owner}: distance_bins must have shape {shapes.as_text(wanted)}, got {shapes.as_text(shape)}'
        )


def check_bins_dtype(owner: str, is_integer: bool, dtype: object) -> None:
    """TypeError unless bins given are integers."""
    if not is_integer:
        raise TypeError(f'{owner}: distance_bins must be integers, got {dtype}')


def check_bins(owner: str, bins: np.ndarray, inside: np.ndarray, num_bins: int) -> None:
    """ValueError where anything is no bin, or not 0 outside its object; bins and inside of one shape."""
    wrong = (bins < 0) | (bins >= num_bins) | ((bins != 0) & ~inside)
    if wrong.any():
        value = bins[wrong].flat[0]
        rule = 'be 0 where the label is another class' if 0 <= value < num_bins else f'lie in [0, {num_bins})'
        raise ValueError(f'{owner}: distance_bins must {rule}, got {value}')
