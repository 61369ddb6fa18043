"""The D, I and C means over (image, class) cells in Keras, of the global batch under data parallelism."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from keras import backend, ops

from keras_plugin.arithmetic import largest, ratio
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.inputs import Batch
from keras_plugin.typing import SyncedCellParameters, Tensor
from shared_spec import shapes
from shared_spec.granularity import as_weights
from shared_spec.typing import CellParameters


class CellSums(NamedTuple):
    """What a loss adds up over the pixels of each (image, class) cell: ``sums``, such as tp, fp and fn, each (N, C).

    size (N, C): for class ids the weight of a class's pixels, which says where it is present; None if it is not known.
    """

    sums: tuple[Tensor, ...]
    size: Tensor | None = None


class PooledSums(CellSums):
    """Of all classes that count in one cell for each image: ``sums``, each (N, 1)."""


def pool(cells: CellSums, channels: Sequence[int]) -> PooledSums:
    """The sums over some channels."""
    every = len(channels) == cells.sums[0].shape[1]
    some = cells.sums if every else (ops.take(s, list(channels), axis=1) for s in cells.sums)
    return PooledSums(tuple(ops.sum(s, axis=1, keepdims=True) for s in some))


def counted_cells(spec: CellParameters, batch: Batch, size: Tensor | None = None) -> Tensor:
    """(N, C) which cells count; size: that of ``CellSums``."""
    c = batch.channels
    chosen = shapes.channel_indices(type(spec).__name__, spec.classes, c)
    classes = spec.classes
    if classes == 'auto':
        classes = 'present' if batch.hard else 'all'
    if classes == 'present':
        cells = batch.present(spec.presence_threshold, size)
    else:
        cells = ops.convert_to_tensor(np.array([[k in chosen for k in range(c)]]), dtype='bool')
    return ops.logical_and(cells, batch.has_pixel[:, None])


def mean_over_cells(
    spec: SyncedCellParameters,
    batch: Batch,
    cells: CellSums,
    cell_loss: Callable[..., Tensor],
    class_weight: Sequence[float] | None = None,
) -> Tensor:
    """A scalar: ``cell_loss`` of the ``CellSums``, averaged as the granularity of ``spec`` says.

    D adds the statistics over the batch first; I averages the counted classes of each image, then images; C averages
    the images in which a class counts, then classes. Everything that replicas add up travels in one vector.
    """
    parts = sum_over_replicas(parts_of_mean(spec, batch, cells, cell_loss, class_weight), spec.sync)
    return mean_of_sums(spec, parts, cell_loss, class_weight)


def parts_of_mean(
    spec: CellParameters,
    batch: Batch,
    cells: CellSums,
    cell_loss: Callable[..., Tensor],
    class_weight: Sequence[float] | None = None,
) -> dict[str, Tensor]:
    """What replicas add up for the mean over cells: name -> tensor."""
    pooled = isinstance(cells, PooledSums)
    c = 1 if pooled else batch.channels
    dtype = backend.standardize_dtype(cells.sums[0].dtype)
    shapes.check_class_weight(type(spec).__name__, class_weight, (c,))
    count = ops.cast(batch.has_pixel[:, None] if pooled else counted_cells(spec, batch, cells.size), dtype)
    class_weight = ops.convert_to_tensor(class_weight or [1.0] * c, dtype=dtype)
    image_weight = ops.cast(batch.image_weight, dtype)
    levels = as_weights(spec.granularity)
    parts = {}
    if 'D' in levels:
        parts['D'] = ops.stack([ops.sum(s, axis=0) for s in cells.sums])
        parts['counts'] = ops.sum(count, axis=0)
    if 'I' in levels or 'C' in levels:
        loss = count * cell_loss(*cells.sums) * class_weight
    if 'I' in levels:
        image_loss = ratio(ops.sum(loss, axis=1), ops.sum(count, axis=1), 0.0)
        w = image_weight * largest(count, axis=1)
        parts['I'] = ops.stack([ops.sum(w * image_loss), ops.sum(w)])
    if 'C' in levels:
        w = image_weight[:, None] * count
        parts['C'] = ops.stack([ops.sum(w * loss, axis=0), ops.sum(w, axis=0)])
    return parts


def image_sums(batch: Batch, loss: Tensor) -> Tensor:
    """What replicas add up for the mean over images of ``loss`` (N,): the weighted sum and the weights that count."""
    dtype = backend.standardize_dtype(loss.dtype)
    w = ops.cast(batch.image_weight, dtype) * ops.cast(batch.has_pixel, dtype)
    return ops.stack([ops.sum(w * loss), ops.sum(w)])


def mean_of_sums(
    spec: CellParameters,
    parts: Mapping[str, Tensor],
    cell_loss: Callable[..., Tensor],
    class_weight: Sequence[float] | None = None,
) -> Tensor:
    """The scalar mean over cells from the sums of all replicas."""
    levels = as_weights(spec.granularity)
    result = 0.0
    if 'D' in levels:
        loss = cell_loss(*(parts['D'][i] for i in range(parts['D'].shape[0])))
        count = ops.cast(parts['counts'] > 0, loss.dtype)
        if class_weight is not None:
            loss = loss * ops.convert_to_tensor(class_weight, dtype=loss.dtype)
        loss = count * loss
        result = result + levels['D'] * ratio(ops.sum(loss), ops.sum(count), 0.0)
    if 'I' in levels:
        result = result + levels['I'] * ratio(parts['I'][0], parts['I'][1], 0.0)
    if 'C' in levels:
        class_loss = ratio(parts['C'][0], parts['C'][1], 0.0)
        result = result + levels['C'] * ratio(
            ops.sum(class_loss), ops.sum(ops.cast(parts['C'][1] != 0, class_loss.dtype)), 0.0
        )
    return result
