"""Soft skeletons in Keras: what openings of a map take away, erosion by erosion; and their sums over pixels."""

from collections.abc import Callable

from keras import ops

from keras_plugin import hard_pixels
from keras_plugin.arithmetic import minimum
from keras_plugin.boundaries import lines
from keras_plugin.inputs import Batch
from keras_plugin.typing import Tensor


def skeleton_sums(batch: Batch, iterations: int, masked: bool) -> tuple[Tensor, ...]:
    """(N, C) each: sums of S(p)*y, S(p), S(y)*p and S(y), S the soft skeleton; masked: whether pixels may be absent."""
    p = hard_pixels.settle(batch.prob)  # whose copies must be equal to the last digit, for they are compared
    y, n = batch.target, ops.shape(p)[0]
    valid = ops.reshape(batch.counted_pixels, (n, *batch.sizes, 1)) if masked else None

    def of(x: Tensor) -> Tensor:
        found = skeleton(ops.reshape(x, (n, *batch.sizes, batch.channels)), valid, iterations)
        return ops.reshape(found, ops.shape(p))

    of_p, of_y = of(p), ops.stop_gradient(of(y))
    return batch.sum(of_p * y), batch.sum(of_p), batch.sum(of_y * p), batch.sum(of_y)


def skeleton(x: Tensor, valid: Tensor | None, iterations: int) -> Tensor:
    """(N, *space, C) the soft skeleton; valid (N, *space, 1) bool: which pixels take part, None for all."""
    eroded = erode(x, valid)
    found = taken_away(x, dilate(eroded, valid))
    for _ in range(iterations):
        x, eroded = eroded, erode(eroded, valid)
        delta = taken_away(x, dilate(eroded, valid))
        found = found + delta * (1 - found)
    return found


def taken_away(x: Tensor, opened: Tensor) -> Tensor:
    """max(x - opened, 0) by comparing the two: a compiler may subtract before it rounds, and equal ones then differ."""
    return ops.where(x <= opened, ops.zeros_like(x), x - opened)


def erode(x: Tensor, valid: Tensor | None) -> Tensor:
    """The least of each pixel and its neighbours along the axes."""
    x = x if valid is None else ops.where(valid, x, ops.ones_like(x))
    least = windows(x, 1, minimum)
    for axis in range(2, len(x.shape) - 1):
        least = minimum(least, windows(x, axis, minimum))
    return least


def dilate(x: Tensor, valid: Tensor | None) -> Tensor:
    """The largest of the square around each pixel."""
    x = x if valid is None else ops.where(valid, x, ops.zeros_like(x))
    for axis in range(1, len(x.shape) - 1):
        x = windows(x, axis, maximum)
    return x


def maximum(p: Tensor, y: Tensor) -> Tensor:
    return -minimum(-p, -y)


def windows(x: Tensor, axis: int, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """``pick`` of each pixel and its two neighbours along an axis; at an end of the image there is one."""
    first, last = lines(x, axis, None, 1), lines(x, axis, -1, None)
    pairs = pick(lines(x, axis, None, -1), lines(x, axis, 1, None))
    return pick(ops.concatenate([first, pairs], axis=axis), ops.concatenate([pairs, last], axis=axis))
