"""Bins of truncated distances to an object's boundary, in Keras, and masks from a prediction of them."""

from typing import Any

import numpy as np
from keras import ops

from keras_plugin import values
from keras_plugin.boundaries import lines
from keras_plugin.distance import distance_to
from keras_plugin.typing import Tensor
from shared_spec.distance_bins import ROUNDING, check_masks, check_no_nan, count_objects, first_distances, limits


def bins_of(inside: Tensor, valid: Tensor, spec: Any, dtype: str) -> Tensor:
    """(N, *space, M) int32 bins; inside (N, *space, M) and valid (N, *space, 1) bool. By ``spec``'s parameters."""
    outside = ops.logical_and(valid, ops.logical_not(inside))
    boundary = ops.logical_or(outside, ops.logical_and(inside, beside(outside)))
    away = distance_where_some(boundary, dtype)
    found = ops.zeros_like(inside, dtype='int32')
    for limit in limits(spec.num_bins, spec.max_distance):
        found = found + ops.cast(ops.logical_and(inside, away > limit), 'int32')
    return found


def beside(mask: Tensor) -> Tensor:
    """Which pixels of (N, *space, M) have a neighbour of ``mask`` along an axis; beyond the image there is none."""
    found = ops.zeros_like(mask)
    for axis in range(1, len(mask.shape) - 1):
        edge = ops.zeros_like(lines(mask, axis, None, 1))
        for pieces in ([edge, lines(mask, axis, None, -1)], [lines(mask, axis, 1, None), edge]):
            found = ops.logical_or(found, ops.concatenate(pieces, axis=axis))
    return found


def distance_where_some(mask: Tensor, dtype: str) -> Tensor:
    """(N, *space, M) the distance to the nearest True of a mask, infinite where there is none."""
    some = ops.any(mask, axis=tuple(range(1, len(mask.shape) - 1)), keepdims=True)
    away = distance_to(mask, None, dtype)
    return ops.where(some, away, np.inf * ops.ones_like(away))


def masks_of_bins(pred: Tensor, num_bins: int, max_distance: int) -> Tensor:
    """(N, *space, M) bool: the objects that the output (N, *space, M * num_bins) of a distance branch stands for.

    Each pixel has the bin of its largest logit or probability; an object is all discs (balls) around pixels of bins
    above 0 whose radius is the smallest distance of their bin. See ``shared_spec.distance_bins.masks_of_bins``. ValueError
    for NaN, where values can be seen without waiting for a device.
    """
    pred = values.to_tensor(pred)
    check_masks(tuple(pred.shape), values.is_float(pred), pred.dtype, num_bins, max_distance, 'last')
    objects = count_objects('masks_of_bins', pred.shape[-1], num_bins)
    if values.can_look(pred):
        check_no_nan(bool(ops.any(ops.isnan(pred))))
    by_object = ops.reshape(pred, (*ops.shape(pred)[:-1], objects, num_bins))
    bins = ops.argmax(by_object, axis=-1)
    found = ops.zeros_like(bins, dtype='bool')
    for k, radius in enumerate(first_distances(num_bins, max_distance)):
        if k:
            near = distance_where_some(bins == k, 'float32') <= radius * (1 + ROUNDING)
            found = ops.logical_or(found, near)
    return found
