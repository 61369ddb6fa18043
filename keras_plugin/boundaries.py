"""How much of each class is boundary in Keras: pixels with a neighbour along an axis that is outside."""

from typing import Any

from keras import ops

from keras_plugin import hard_pixels
from keras_plugin.arithmetic import minimum
from keras_plugin.inputs import Batch
from keras_plugin.typing import Tensor


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


def lines(x: Tensor, axis: int, start: int | None, stop: int | None) -> Tensor:
    """A slice of x along an axis."""
    index: list[Any] = [slice(None)] * len(x.shape)
    index[axis] = slice(start, stop)
    return x[tuple(index)]
