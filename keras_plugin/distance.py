"""Exact Euclidean distances from masks in plain ``keras.ops``: they compile on every backend, and nothing leaves the device."""

from collections.abc import Sequence

import numpy as np
from keras import ops

from keras_plugin.typing import Tensor


def distance_to(masks: Tensor, spacing: Sequence[float] | None, dtype: str) -> Tensor:
    """(N, *space, C) the distance of every pixel to the nearest True of its mask, 0 in a mask without any.

    masks (N, *space, C) bool, of one to three spatial axes, whose lengths need not be known. Exact: along the first axis in
    doubling steps, along each other the smallest sum of squares, L passes over an axis of L pixels.
    """
    axes = len(masks.shape) - 2
    steps = tuple(spacing or (1.0,) * axes)
    some = ops.any(masks, axis=tuple(range(1, axes + 1)), keepdims=True)
    far = ops.cast(ops.zeros_like(masks), dtype)
    squares = (nearest_along_axis(ops.where(masks, far, far + np.inf), 1) * steps[0]) ** 2
    for axis, step in enumerate(steps[1:], start=2):
        squares = least_sums(squares, axis, step)
    return ops.sqrt(ops.where(some, squares, ops.zeros_like(squares)))


def smaller(x: Tensor, y: Tensor) -> Tensor:
    """The smaller one in its own dtype (``ops.minimum`` rounds float64 on the PyTorch backend)."""
    return ops.where(x < y, x, y)


def places_of(x: Tensor, axis: int) -> Tensor:
    """(L,) int32 the pixels of an axis."""
    return ops.arange(ops.shape(x)[axis], dtype='int32')


def along(x: Tensor, axis: int, rank: int) -> Tensor:
    """x (L,) as an array of that rank."""
    return ops.reshape(x, (1,) * axis + (-1,) + (1,) * (rank - axis - 1))


def nearest_along_axis(far: Tensor, axis: int) -> Tensor:
    """How many pixels away the nearest 0 of ``far``, infinite elsewhere, is on the same line."""
    places, length = places_of(far, axis), ops.shape(far)[axis]

    def widen(reach: Tensor, found: Tensor) -> Tensor:
        """From the nearest of those less than ``reach`` away to those less than twice that far."""
        for others in (ops.where(places < reach, 0 * places, places - reach), clip_to(places + reach, length)):
            away = ops.cast(ops.abs(places - others), found.dtype)
            found = smaller(found, ops.take(found, others, axis=axis) + along(away, axis, len(found.shape)))
        return found

    if isinstance(length, int):
        reach = 1
        while reach < length:
            far, reach = widen(reach, far), 2 * reach
        return far
    one = ops.convert_to_tensor(1, dtype='int32')
    _, far = ops.while_loop(
        lambda reach, found: reach < length, lambda reach, found: (2 * reach, widen(reach, found)), (one, far)
    )
    return far


def clip_to(places: Tensor, length: Tensor) -> Tensor:
    """The last pixel in place of those behind it."""
    return ops.where(places < length, places, 0 * places + length - 1)


def least_sums(squares: Tensor, axis: int, step: float) -> Tensor:
    """min over j of squares[j] + (step * (i - j))^2 along an axis."""
    places = places_of(squares, axis)

    def through(j: Tensor, found: Tensor) -> Tensor:
        away = ops.cast(places - j, found.dtype) * step
        here = ops.expand_dims(ops.take(squares, j, axis=axis), axis)
        return smaller(here + along(away**2, axis, len(found.shape)), found)

    return ops.fori_loop(0, ops.shape(squares)[axis], through, squares)


def both_sides(inside: Tensor, valid: Tensor, spacing: Sequence[float] | None, dtype: str) -> tuple[Tensor, Tensor]:
    """(N, *space, C) twice: the distance of a class's pixels to what is outside it, and of the pixels outside to the class.

    inside (N, *space, C) and valid (N, *space, 1) bool. 0 elsewhere, and for a class without an inside or an outside.
    """
    space = tuple(range(1, len(inside.shape) - 1))
    outside = ops.logical_and(valid, ops.logical_not(inside))
    bordered = ops.logical_and(ops.any(inside, axis=space, keepdims=True), ops.any(outside, axis=space, keepdims=True))
    both = ops.concatenate([ops.logical_and(x, bordered) for x in (outside, inside)], axis=-1)
    depth, gap = ops.split(distance_to(both, spacing, dtype), 2, axis=-1)
    zero = ops.zeros_like(depth)
    return ops.where(inside, depth, zero), ops.where(outside, gap, zero)
