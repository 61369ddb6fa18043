"""Exact Euclidean distances from masks: by OpenCV or SciPy on the CPU, by tensor operations on a GPU and in compiled graphs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_plugin.kernels import workers
from mmseg_plugin.values import can_look
from shared_spec.quick_distance import quick_distance_to

NUMBERS = 2**26  # of a block of sums, of which a line of L pixels has L * L


def distance_to(masks: Tensor, spacing: Sequence[float] | None, dtype: torch.dtype) -> Tensor:
    """(..., *space) the distance of every pixel to the nearest True of its mask, 0 in a mask without any; no gradient.

    masks (N, C, *space) bool, of one to three spatial axes. On the CPU a map is made on the worker threads: of equal
    spacing in the plane by OpenCV, else by SciPy. Elsewhere, and where nothing can be looked at, by ``by_tensors`` where
    the masks are: nothing is copied to the host.
    """
    steps = tuple(spacing or (1.0,) * (masks.dim() - 2))
    flat = masks.detach().flatten(0, 1)
    found = on_host(flat, steps, dtype) if masks.is_cpu and can_look(masks) else by_tensors(flat, steps, dtype)
    return found.view(masks.shape)


def on_host(masks: Tensor, steps: Sequence[float], dtype: torch.dtype) -> Tensor:
    """``distance_to`` of masks (M, *space) on the CPU."""
    found = torch.zeros(masks.shape, dtype=dtype)
    given, result = masks.numpy(), found.numpy()

    def one(k: int) -> None:
        if given[k].any():
            result[k] = quick_distance_to(given[k], steps, result.dtype)

    workers.run(one, range(len(given)))
    return found


def by_tensors(masks: Tensor, steps: Sequence[float], dtype: torch.dtype) -> Tensor:
    """``distance_to`` of masks (M, *space) on any device, exact: along the last axis by the nearest marks on both sides,
    then the smallest sum of squares along each other axis, in blocks of bounded memory.
    """
    some = masks.flatten(1).any(1).view(-1, *(1,) * len(steps))
    squares = (nearest_along_last_axis(masks, dtype) * steps[-1]).square()
    for axis, step in enumerate(steps[:-1], start=1):
        squares = least_sums(squares.movedim(axis, -1), step).movedim(-1, axis)
    return torch.where(some, squares, 0).sqrt()


def nearest_along_last_axis(masks: Tensor, dtype: torch.dtype) -> Tensor:
    """(..., L) how many pixels away the nearest True on the same line is, infinite without one."""
    places = torch.arange(masks.shape[-1], device=masks.device, dtype=dtype)
    before = places - torch.where(masks, places, -torch.inf).cummax(-1).values
    after = torch.where(masks, places, torch.inf).flip(-1).cummin(-1).values.flip(-1) - places
    return torch.minimum(before, after)


def least_sums(squares: Tensor, step: float) -> Tensor:
    """(..., L) of squares (..., L): min over j of squares[j] + (step * (i - j))^2."""
    length = squares.shape[-1]
    lines = squares.reshape(-1, length)
    places = torch.arange(length, device=squares.device, dtype=squares.dtype)
    found = torch.empty_like(lines)
    wide = max(1, min(length, NUMBERS // length))  # results of a line at a time
    many = max(1, NUMBERS // (length * wide))  # lines at a time
    for i in range(0, length, wide):
        added = ((places[i : i + wide, None] - places) * step).square()
        for k in range(0, len(lines), many):
            found[k : k + many, i : i + wide] = (lines[k : k + many, None] + added).amin(-1)
    return found.view(squares.shape)


def both_sides(
    inside: Tensor, valid: Tensor, spacing: Sequence[float] | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """(N, C, *space) twice: the distance of a class's pixels to what is outside it, and of the pixels outside to the class.

    inside (N, C, *space) and valid (N, 1, *space) bool. 0 elsewhere, and for a class without an inside or an outside.
    """
    outside = valid & ~inside
    bordered = (any_pixel(inside) & any_pixel(outside)).view(*inside.shape[:2], *(1,) * (inside.dim() - 2))
    inside, outside = inside & bordered, outside & bordered
    depth = torch.where(inside, distance_to(outside, spacing, dtype), 0)
    return depth, torch.where(outside, distance_to(inside, spacing, dtype), 0)


def any_pixel(masks: Tensor) -> Tensor:
    """(N, C) whether a mask has any True."""
    return masks.flatten(2).any(2)


def largest(x: Tensor) -> Tensor:
    """(N, C, 1, ...) the largest number of each map."""
    return x.flatten(2).amax(2).view(*x.shape[:2], *(1,) * (x.dim() - 2))
