"""Bins of truncated distances to an object's boundary, in PyTorch, and masks from a prediction of them."""

from typing import Any

import torch
from torch import Tensor

from mmseg_plugin.distance import any_pixel, distance_to
from mmseg_plugin.values import can_look
from shared_spec.distance_bins import ROUNDING, check_masks, check_no_nan, count_objects, first_distances, limits


@torch.no_grad()
def bins_of(inside: Tensor, valid: Tensor, spec: Any, dtype: torch.dtype) -> Tensor:
    """(N, M, *space) uint8 or int32 bins; inside (N, M, *space) and valid (N, 1, *space) bool. By ``spec``'s parameters."""
    narrow = torch.uint8 if spec.num_bins <= 256 else torch.int32
    found = inside.new_zeros(inside.shape, dtype=narrow)
    if not inside.numel():
        return found
    outside = valid & ~inside
    boundary = outside | (inside & beside(outside))
    some = any_pixel(boundary).view(*inside.shape[:2], *(1,) * (inside.dim() - 2))
    away = torch.where(some, distance_to(boundary, None, dtype), torch.inf)
    for limit in limits(spec.num_bins, spec.max_distance):
        found = found + (inside & (away > limit))
    return found


def beside(mask: Tensor) -> Tensor:
    """Which pixels of (N, M, *space) have a neighbour of ``mask`` along an axis; beyond the image there is none."""
    found = torch.zeros_like(mask)
    for axis in range(2, mask.dim()):
        size = mask.shape[axis] - 1
        found.narrow(axis, 0, size).logical_or_(mask.narrow(axis, 1, size))
        found.narrow(axis, 1, size).logical_or_(mask.narrow(axis, 0, size))
    return found


@torch.no_grad()
def masks_of_bins(pred: Tensor, num_bins: int, max_distance: int) -> Tensor:
    """(N, M, *space) bool: the objects that the output (N, M * num_bins, *space) of a distance branch stands for.

    Each pixel has the bin of its largest logit or probability; an object is all discs (balls) around pixels of bins
    above 0 whose radius is the smallest distance of their bin. See ``shared_spec.distance_bins.masks_of_bins``. ValueError
    for NaN, where values can be seen without waiting for a device.
    """
    if not torch.is_tensor(pred):
        raise TypeError(f'masks_of_bins: pred must be a torch.Tensor, got {type(pred).__name__}')
    check_masks(tuple(pred.shape), pred.is_floating_point(), pred.dtype, num_bins, max_distance, 'first')
    objects = count_objects('masks_of_bins', pred.shape[1], num_bins)
    if can_look(pred):
        check_no_nan(bool(pred.isnan().any()))
    bins = pred.unflatten(1, (objects, num_bins)).argmax(2)
    found = torch.zeros_like(bins, dtype=torch.bool)
    for k, radius in enumerate(first_distances(num_bins, max_distance)):
        if k:
            discs = bins == k
            some = any_pixel(discs).view(*bins.shape[:2], *(1,) * (bins.dim() - 2))
            found = found | (some & (distance_to(discs, None, torch.float32) <= radius * (1 + ROUNDING)))
    return found
