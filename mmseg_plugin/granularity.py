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
from shared_spec.granularity import as_weights

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


def mean_over_cells(
    spec: CellParameters,
    batch: Batch,
    cells: CellSums,
    cell_loss: Callable[..., Tensor],
    class_weight: Sequence[float] | None = None,
) -> Tensor:
    """A scalar: ``cell_loss`` of the ``CellSums``, averaged as the granularity of ``spec`` says.

    D adds the statistics over the batch first; I averages the counted classes of each image, then images; C averages
    the images in which a class counts, then classes. Everything that ranks add up travels in one vector.
    """
    parts = sum_over_ranks(parts_of_mean(spec, batch, cells, cell_loss, class_weight), spec.sync)
    return mean_of_sums(spec, parts, cell_loss, class_weight)


def parts_of_mean(
    spec: CellParameters,
    batch: Batch,
    cells: CellSums,
    cell_loss: Callable[..., Tensor],
    class_weight: Sequence[float] | None = None,
) -> dict[str, Tensor]:
    """What ranks add up for the mean over cells: name -> tensor."""
    c = batch.channels
    shapes.check_class_weight(type(spec).__name__, class_weight, (c,))
    counts = batch.has_pixel[:, None] if isinstance(cells, PooledSums) else counted_cells(spec, batch, cells.size)
    levels = as_weights(spec.granularity)
    parts = {}
    if 'D' in levels:
        parts['D'] = cells.sums.sum(1)
        parts['counts'] = counts.sum(0, dtype=parts['D'].dtype)
    if 'I' in levels or 'C' in levels:
        loss = cell_loss(*cells.sums)
        image_weight = batch.image_weight.to(loss.dtype)
        loss = torch.where(counts, loss if class_weight is None else loss * loss.new_tensor(class_weight), 0)
    if 'I' in levels:
        image_loss = ratio(loss.sum(1), counts.sum(1), 0.0)
        w = image_weight * counts.any(1)
        parts['I'] = torch.stack([(w * image_loss).sum(), w.sum()])
    if 'C' in levels:
        w = image_weight[:, None] * counts
        parts['C'] = torch.stack([(w * loss).sum(0), w.sum(0)])
    return parts


def image_sums(batch: Batch, loss: Tensor) -> Tensor:
    """What ranks add up for the mean over images of ``loss`` (N,): the weighted sum and the weights of images that count."""
    w = batch.image_weight.to(loss.dtype) * batch.has_pixel
    return torch.stack([(w * loss).sum(), w.sum()])


def mean_of_sums(
    spec: CellParameters,
    parts: dict[str, Tensor],
    cell_loss: Callable[..., Tensor],
    class_weight: Sequence[float] | None = None,
) -> Tensor:
    """The scalar mean over cells from the sums of all ranks."""
    means = {}
    if 'D' in parts:
        loss = cell_loss(*parts['D'])
        if class_weight is not None:
            loss = loss * loss.new_tensor(class_weight)
        means['D'] = mean_where(parts['counts'] > 0, loss)
    if 'I' in parts:
        loss, weight = parts['I']
        means['I'] = ratio(loss, weight, 0.0)
    if 'C' in parts:
        loss, weight = parts['C']
        means['C'] = mean_where(weight != 0, ratio(loss, weight, 0.0))
    return functools.reduce(
        torch.add, [multiply(share, means[level]) for level, share in as_weights(spec.granularity).items()]
    )


def mean_where(counts: Tensor, loss: Tensor) -> Tensor:
    """The mean of the losses that count; 0 where none does."""
    return torch.where(counts, loss, 0).sum() / counts.sum().clamp(min=1)
