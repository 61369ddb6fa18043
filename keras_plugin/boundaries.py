"""How much of each class is boundary in Keras: pixels with a neighbour along an axis that is outside."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_plugin import hard_pixels
from keras_plugin.arithmetic import minimum
from keras_plugin.inputs import Batch
from keras_plugin.typing import Tensor
from shared_spec.metrics.boundary.spec import boundary_width


def boundary_sizes(batch: Batch) -> Tensor:
    """(N, C) the weight of the boundary of each class; of soft labels y the sum of y less its smallest neighbour.

    What lies beyond the image is outside, and so is an absent pixel.
    """
    if len(batch.labels.shape) != 2:
        return ops.stop_gradient(batch.sum(boundary_of_maps(batch)))
    found = ops.cast(boundary_of_ids(batch), batch.dtype)
    if hard_pixels.takes(batch):
        (sizes,) = hard_pixels.sum_by_class(batch, found)
    else:
        sizes = batch.sum(batch.target * found[..., None])
    return ops.stop_gradient(sizes)


def boundary_of_ids(batch: Batch) -> Tensor:
    """(N, P) bool: which pixels are of the boundary of their class; any at absent pixels; for class ids."""
    ids = ops.where(batch.labelled, batch.labels, -1 * ops.ones_like(batch.labels))
    ids = ops.reshape(ids, (ops.shape(ids)[0], *batch.sizes))
    found = ops.zeros_like(ids, dtype='bool')
    for axis in range(1, len(ids.shape)):
        edge = ops.ones_like(lines(ids, axis, None, 1), dtype='bool')
        differs = lines(ids, axis, 1, None) != lines(ids, axis, None, -1)
        for pieces in ([edge, differs], [differs, edge]):
            found = ops.logical_or(found, ops.concatenate(pieces, axis=axis))
    return ops.reshape(found, ops.shape(batch.labels))


def boundary_of_maps(batch: Batch) -> Tensor:
    """(N, P, C) labels less the smallest of them and their neighbours along the axes, 0 beyond the image."""
    y = batch.target
    maps = inner = ops.reshape(y, (ops.shape(y)[0], *batch.sizes, batch.channels))
    for axis in range(1, len(maps.shape) - 1):
        edge = ops.zeros_like(lines(maps, axis, None, 1))
        for pieces in ([edge, lines(maps, axis, None, -1)], [lines(maps, axis, 1, None), edge]):
            inner = minimum(inner, ops.concatenate(pieces, axis=axis))
    return ops.reshape(maps - inner, ops.shape(y))


def wide_boundary(batch: Batch, ratio: float) -> Tensor:
    """(N, P) bool: the pixels that ``boundary_width`` erosions by the square take from the masks of the classes; for labels.

    What lies beyond the image is outside, and so is an absent pixel.
    """
    ids = ops.where(batch.counted_pixels, own_class(batch), -1 * ops.ones_like(own_class(batch)))
    ids, width = ops.reshape(ids, (ops.shape(ids)[0], *batch.space)), boundary_width(ratio, batch.sizes)
    padded = ops.pad(ids, ((0, 0), *((width, width) for _ in batch.space)), constant_values=-1)
    smallest = largest = padded
    for axis in range(1, len(ids.shape)):
        smallest = extreme(smallest, axis, 2 * width + 1, lambda one, other: ops.where(one < other, one, other))
        largest = extreme(largest, axis, 2 * width + 1, lambda one, other: ops.where(one < other, other, one))
    return ops.logical_and(ops.reshape(smallest != largest, ops.shape(batch.counted_pixels)), batch.counted_pixels)


def extreme(x: Tensor, axis: int, length: int, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The smallest or largest of all stretches of that length along an axis, from those of shorter ones."""
    done = 1
    while done < length:
        step = min(done, length - done)
        x = pick(lines(x, axis, None, -step), lines(x, axis, step, None))
        done += step
    return x


def class_edges(label: Tensor, reach: int) -> Tensor:
    """(N, *size) bool: the pixels at the edge of their class, ids below 0 are of none; as ``shared_spec.features`` has it."""
    found = ops.zeros_like(label, dtype='bool')
    for axis in range(1, len(label.shape)):
        alone, size = found == found, label.shape[axis]
        for step in range(1, (reach if size is None else min(reach, size - 1)) + 1):
            one, other = lines(label, axis, None, -step), lines(label, axis, step, None)
            alone = lines(alone, axis, None, -1)
            differs = ops.logical_and(ops.logical_and(one != other, alone), ops.logical_and(one >= 0, other >= 0))
            edge = ops.zeros_like(lines(label, axis, None, step), dtype='bool')
            for pieces in ([edge, differs], [differs, edge]):
                found = ops.logical_or(found, ops.concatenate(pieces, axis=axis))
            alone = ops.logical_and(alone, other < 0)
    return found


def own_class(batch: Batch) -> Tensor:
    """(N, P) int32 the class of each pixel of hard labels, 1 for the foreground of one channel."""
    if batch.channels == 1:
        return ops.cast(batch.target[..., 0] > 0.5, 'int32')
    own = batch.own if len(batch.labels.shape) == 2 else ops.argmax(batch.target, axis=-1)
    return ops.cast(own, 'int32')


def lines(x: Tensor, axis: int, start: int | None, stop: int | None) -> Tensor:
    """A slice of x along an axis."""
    index: list[Any] = [slice(None)] * len(x.shape)
    index[axis] = slice(start, stop)
    return x[tuple(index)]
