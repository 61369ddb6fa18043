"""The D, I and C means over (image, class) cells in Keras, of the global batch under data parallelism."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from keras import backend, ops

from keras_plugin.arithmetic import largest, ratio
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.inputs import Batch
from keras_plugin.typing import CellLoss, Tensor
from shared_spec import shapes
from shared_spec.granularity import as_weights, only_level
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


def reduce_cells(
    spec: CellLoss, batch: Batch, cells: CellSums, cell_loss: Callable[..., Tensor], reduction: str = 'mean'
) -> Tensor:
    """The mean over cells; for the reduction 'none' the losses of images (I) or of classes (D, C) that it averages last.

    Those of images (N,) are multiplied by the weights of the images and are this replica's; those of classes (C,) are
    of all replicas. 0 where an image or a class does not count.
    """
    weights = spec.class_weight, spec.normalize_class_weight
    if reduction == 'none':
        level, share = only_level(type(spec).__name__, spec.granularity)
        if level == 'I':
            loss, weight = losses_of_images(spec, batch, cells, cell_loss, *weights)
            return share * weight * loss
    parts = sum_over_replicas(parts_of_mean(spec, batch, cells, cell_loss, *weights), spec.sync)
    if reduction != 'none':
        return mean_of_sums(spec, parts, cell_loss, *weights)
    loss, counts = losses_of_classes(level, parts, cell_loss, spec.class_weight)
    ones = ops.ones_like(loss)
    loss = loss * ops.where(ops.any(ops.isnan(loss)), np.nan * ones, ones)  # a pixel belongs to all classes
    return share * loss * ratio(ops.sum(counts), total_weight(counts, *weights), 0.0)


def parts_of_mean(
    spec: CellParameters,
    batch: Batch,
    cells: CellSums,
    cell_loss: Callable[..., Tensor],
    class_weight: Sequence[float] | None = None,
    normalized: bool = False,
) -> dict[str, Tensor]:
    """What replicas add up for the mean over cells: name -> tensor.

    D adds the statistics over the batch first; I averages the counted classes of each image, then images; C averages
    the images in which a class counts, then classes. Everything travels in one vector.
    """
    dtype = backend.standardize_dtype(cells.sums[0].dtype)
    count = cells_that_count(spec, batch, cells)
    shapes.check_class_weight(type(spec).__name__, class_weight, (count.shape[1],))
    levels = as_weights(spec.granularity)
    parts = {}
    if 'D' in levels:
        parts['D'] = ops.stack([ops.sum(s, axis=0) for s in cells.sums])
        parts['counts'] = ops.sum(count, axis=0)
    if 'I' in levels:
        loss, w = losses_of_images(spec, batch, cells, cell_loss, class_weight, normalized)
        parts['I'] = ops.stack([ops.sum(w * loss), ops.sum(w)])
    if 'C' in levels:
        loss = count * weighted(cell_loss(*cells.sums), class_weight)
        w = ops.cast(batch.image_weight, dtype)[:, None] * count
        parts['C'] = ops.stack([ops.sum(w * loss, axis=0), ops.sum(w, axis=0)])
    return parts


def cells_that_count(spec: CellParameters, batch: Batch, cells: CellSums) -> Tensor:
    """(N, C) 1 for cells that count and 0 for others, or (N, 1) of images, for ``PooledSums``."""
    pooled = isinstance(cells, PooledSums)
    found = batch.has_pixel[:, None] if pooled else counted_cells(spec, batch, cells.size)
    return ops.cast(found, backend.standardize_dtype(cells.sums[0].dtype))


def weighted(x: Tensor, class_weight: Sequence[float] | None) -> Tensor:
    """x (..., C) times the class weights."""
    return x if class_weight is None else x * ops.convert_to_tensor(class_weight, dtype=x.dtype)


def total_weight(counts: Tensor, class_weight: Sequence[float] | None = None, normalized: bool = False) -> Tensor:
    """(...) what a sum of losses over classes is divided by: the number of those that count (..., C), or their weights."""
    return ops.sum(weighted(counts, class_weight if normalized else None), axis=-1)


def weighted_mean(total: Tensor, weight: Tensor, normalized: bool) -> Tensor:
    """total / weight, 0 where nothing counts; what is no number stays so where classes that count weigh nothing."""
    mean = ratio(total, weight, 0.0)
    return mean + 0 * total if normalized else mean


def losses_of_images(
    spec: CellParameters,
    batch: Batch,
    cells: CellSums,
    cell_loss: Callable[..., Tensor],
    class_weight: Sequence[float] | None = None,
    normalized: bool = False,
) -> tuple[Tensor, Tensor]:
    """(N,) the mean over the classes of each image, and the weights of the images in a mean, 0 where one does not count."""
    count = cells_that_count(spec, batch, cells)
    loss = count * weighted(cell_loss(*cells.sums), class_weight)
    image_loss = weighted_mean(ops.sum(loss, axis=1), total_weight(count, class_weight, normalized), normalized)
    return image_loss, ops.cast(batch.image_weight, count.dtype) * largest(count, axis=1)


def losses_of_classes(
    level: str,
    parts: Mapping[str, Tensor],
    cell_loss: Callable[..., Tensor],
    class_weight: Sequence[float] | None = None,
) -> tuple[Tensor, Tensor]:
    """(C,) the weighted loss of each class from the sums of all replicas, 0 where it does not count; 1 where it does."""
    if level == 'D':
        loss = weighted(cell_loss(*(parts['D'][i] for i in range(parts['D'].shape[0]))), class_weight)
        count = ops.cast(parts['counts'] > 0, loss.dtype)
        return count * loss, count
    loss = ratio(parts['C'][0], parts['C'][1], 0.0)
    return loss, ops.cast(parts['C'][1] != 0, loss.dtype)


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
    normalized: bool = False,
) -> Tensor:
    """The scalar mean over cells from the sums of all replicas."""
    result = 0.0
    for level, share in as_weights(spec.granularity).items():
        if level == 'I':
            result = result + share * ratio(parts['I'][0], parts['I'][1], 0.0)
        else:
            loss, count = losses_of_classes(level, parts, cell_loss, class_weight)
            total = total_weight(count, class_weight, normalized)
            result = result + share * weighted_mean(ops.sum(loss), total, normalized)
    return result
