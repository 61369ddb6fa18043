"""The D, I and C means over (image, class) cells in PyTorch, of the global batch under data parallelism."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import multiply, ratio
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.inputs import Batch
from shared_spec import shapes
from shared_spec.granularity import as_weights, only_level

if TYPE_CHECKING:

    class CellParameters(Protocol):
        """What the means over cells read of a spec."""

        @property
        def granularity(self) -> str | tuple[tuple[str, float], ...]: ...

        @property
        def classes(self) -> str | tuple[int, ...]: ...

        @property
        def presence_threshold(self) -> float: ...

        @property
        def sync(self) -> bool: ...

    class CellLoss(CellParameters, Protocol):
        """What ``reduce_cells`` reads of a spec."""

        @property
        def class_weight(self) -> tuple[float, ...] | None: ...

        @property
        def normalize_class_weight(self) -> bool: ...


class CellSums(NamedTuple):
    """What a loss adds up over the pixels of each (image, class) cell: ``sums`` (K, N, C), such as tp, fp and fn.

    size (N, C): for class ids the weight of a class's pixels, which says where it is present; None if it is not known.
    """

    sums: Tensor
    size: Tensor | None = None

    @classmethod
    def stack(cls, *sums: Tensor, size: Tensor | None = None) -> CellSums:
        """From K tensors (N, C)."""
        return cls(torch.stack(sums), size)


class PooledSums(CellSums):
    """Of all classes that count in one cell for each image: ``sums`` (K, N, 1)."""


def pool(cells: CellSums, channels: Sequence[int]) -> PooledSums:
    """The sums over some channels."""
    some = cells.sums if len(channels) == cells.sums.shape[2] else cells.sums[:, :, channels]
    return PooledSums(some.sum(2, keepdim=True))


def counted_cells(spec: CellParameters, batch: Batch, size: Tensor | None = None) -> Tensor:
    """(N, C) which cells count; size: that of ``CellSums``."""
    n, c = len(batch.image_weight), batch.channels
    chosen = shapes.channel_indices(type(spec).__name__, spec.classes, c)
    classes = spec.classes
    if classes == 'auto':
        classes = 'present' if batch.hard else 'all'
    if classes == 'present':
        return batch.present(spec.presence_threshold, size)  # in a pixel that counts
    cells = batch.has_pixel[:, None].expand(n, c)
    return cells if len(chosen) == c else cells & torch.tensor([k in chosen for k in range(c)], device=cells.device)


def reduce_cells(
    spec: CellLoss, batch: Batch, cells: CellSums, cell_loss: Callable[..., Tensor], reduction: str = 'mean'
) -> Tensor:
    """The mean over cells; for the reduction 'none' the losses of images (I) or of classes (D, C) that it averages last.

    Those of images (N,) are multiplied by the weights of the images and are this rank's; those of classes (C,) are of
    all ranks. 0 where an image or a class does not count.
    """
    weights = spec.class_weight, spec.normalize_class_weight
    if reduction == 'none':
        level, share = only_level(type(spec).__name__, spec.granularity)
        if level == 'I':
            loss, weight = losses_of_images(spec, batch, cells, cell_loss, *weights)
            return multiply(share, weight * loss)
    parts = sum_over_ranks(parts_of_mean(spec, batch, cells, cell_loss, *weights), spec.sync)
    return reduce_sums(spec, parts, cell_loss, reduction)


def reduce_sums(
    spec: CellLoss, parts: dict[str, Tensor], cell_loss: Callable[..., Tensor], reduction: str = 'mean'
) -> Tensor:
    """The mean over cells from the sums of all ranks; for the reduction 'none' the losses of the classes (D, C)."""
    weights = spec.class_weight, spec.normalize_class_weight
    if reduction == 'mean':
        return mean_of_sums(spec, parts, cell_loss, *weights)
    level, share = only_level(type(spec).__name__, spec.granularity)
    loss, counts = losses_of_classes(level, parts, cell_loss, spec.class_weight)
    loss = loss * torch.where(loss.detach().isnan().any(), torch.nan, 1.0)  # a pixel belongs to all classes
    return multiply(share, loss * ratio(counts.sum().to(loss.dtype), total_weight(counts, loss, *weights), 0.0))


def parts_of_mean(
    spec: CellParameters,
    batch: Batch,
    cells: CellSums,
    cell_loss: Callable[..., Tensor],
    class_weight: Sequence[float] | None = None,
    normalized: bool = False,
) -> dict[str, Tensor]:
    """What ranks add up for the mean over cells: name -> tensor.

    D adds the statistics over the batch first; I averages the counted classes of each image, then images; C averages
    the images in which a class counts, then classes. Everything travels in one vector.
    """
    c = batch.channels
    shapes.check_class_weight(type(spec).__name__, class_weight, (c,))
    levels = as_weights(spec.granularity)
    counts = cells_that_count(spec, batch, cells)
    parts = {}
    if 'D' in levels:
        parts['D'] = cells.sums.sum(1)
        parts['counts'] = counts.sum(0, dtype=parts['D'].dtype)
    if 'I' in levels:
        loss, w = losses_of_images(spec, batch, cells, cell_loss, class_weight, normalized)
        parts['I'] = torch.stack([(w * loss).sum(), w.sum()])
    if 'C' in levels:
        loss = weighted_cells(counts, cell_loss(*cells.sums), class_weight)
        w = batch.image_weight.to(loss.dtype)[:, None] * counts
        parts['C'] = torch.stack([(w * loss).sum(0), w.sum(0)])
    return parts


def cells_that_count(spec: CellParameters, batch: Batch, cells: CellSums) -> Tensor:
    """(N, C) which cells count, or (N, 1) which images, for ``PooledSums``."""
    return batch.has_pixel[:, None] if isinstance(cells, PooledSums) else counted_cells(spec, batch, cells.size)


def weighted_cells(counts: Tensor, loss: Tensor, class_weight: Sequence[float] | None) -> Tensor:
    """(..., C) the losses times the class weights, 0 where a cell does not count."""
    return torch.where(counts, loss if class_weight is None else loss * loss.new_tensor(class_weight), 0)


def total_weight(
    counts: Tensor, loss: Tensor, class_weight: Sequence[float] | None = None, normalized: bool = False
) -> Tensor:
    """(...) what a sum of losses (..., C) over classes is divided by: the number of those that count, or their weights."""
    if class_weight is None or not normalized:
        return counts.sum(-1).to(loss.dtype)
    return (counts * loss.new_tensor(class_weight)).sum(-1)


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
    counts = cells_that_count(spec, batch, cells)
    loss = weighted_cells(counts, cell_loss(*cells.sums), class_weight)
    divisor = total_weight(counts, loss, class_weight, normalized)
    return weighted_mean(loss.sum(1), divisor, normalized), batch.image_weight.to(loss.dtype) * counts.any(1)


def losses_of_classes(
    level: str,
    parts: dict[str, Tensor],
    cell_loss: Callable[..., Tensor],
    class_weight: Sequence[float] | None = None,
) -> tuple[Tensor, Tensor]:
    """(C,) the weighted loss of each class from the sums of all ranks, 0 where it does not count, and where it does."""
    if level == 'D':
        counts = parts['counts'] > 0
        return weighted_cells(counts, cell_loss(*parts['D']), class_weight), counts
    loss, weight = parts['C']
    return ratio(loss, weight, 0.0), weight != 0


def image_sums(batch: Batch, loss: Tensor) -> Tensor:
    """What ranks add up for the mean over images of ``loss`` (N,): the weighted sum and the weights of images that count."""
    w = batch.image_weight.to(loss.dtype) * batch.has_pixel
    return torch.stack([(w * loss).sum(), w.sum()])


def mean_of_sums(
    spec: CellParameters,
    parts: dict[str, Tensor],
    cell_loss: Callable[..., Tensor],
    class_weight: Sequence[float] | None = None,
    normalized: bool = False,
) -> Tensor:
    """The scalar mean over cells from the sums of all ranks."""

    def mean(level: str) -> Tensor:
        if level == 'I':
            return ratio(parts['I'][0], parts['I'][1], 0.0)
        loss, counts = losses_of_classes(level, parts, cell_loss, class_weight)
        return weighted_mean(loss.sum(), total_weight(counts, loss, class_weight, normalized), normalized)

    return functools.reduce(
        torch.add, [multiply(share, mean(level)) for level, share in as_weights(spec.granularity).items()]
    )
