"""The Lovasz losses: Lovasz softmax on probabilities, Lovasz hinge on logits."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import accumulator_dtype
from mmseg_plugin.distributed import rank_and_size, sum_over_ranks
from mmseg_plugin.granularity import CellSums, counted_cells, reduce_sums
from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.lovasz.extension import Ranks, lovasz_sums, pixels_of_classes
from mmseg_plugin.losses.base import RegionLoss
from mmseg_plugin.registry import register
from shared_spec import LOSSES, shapes


class Lovasz(RegionLoss):
    """What the two share: the sums of an (image, class) cell, whose means are those of the other region losses."""

    hinge: ClassVar[bool]

    def compute(self, batch: Batch, reduction: str = 'mean') -> Tensor:  # type: ignore[override]  # as in RegionLoss
        if self.spec.per_image:
            return super().compute(batch, reduction)
        return (self.spec.loss_weight * self.of_all_pixels(batch, reduction)).to(batch.dtype)

    def of_all_pixels(self, batch: Batch, reduction: str) -> Tensor:
        """A scalar, or for the reduction 'none' (C,): the pixels of all ranks together. Ranks exchange what there is, then errors or counts of them."""
        spec, dtype = self.spec, accumulator_dtype(batch.weight)
        shapes.check_class_weight(type(spec).__name__, spec.class_weight, (batch.channels,))
        parts = dict(counts=counted_cells(spec, batch, pixels_of_classes(batch)).sum(0, dtype=dtype))
        rank, world = rank_and_size(spec.sync)
        ranks, classes = Ranks([batch.weight.numel()]), self.chosen(batch)
        if world > 1:
            one = torch.eye(world, dtype=dtype, device=batch.weight.device)[rank]
            weighted = ((batch.weight != 0) & (batch.weight != 1)).any()
            parts = sum_over_ranks(dict(parts, pixels=one * batch.weight.numel(), weighted=one * weighted), spec.sync)
            found = {name: parts[name].tolist() for name in parts}
            ranks = Ranks([round(p) for p in found['pixels']], rank, not any(found['weighted']))
            classes = [k for k in classes if found['counts'][k]]
        parts['D'] = self.sums(batch, classes, ranks)
        return reduce_sums(spec, parts, self.cell_loss, reduction)

    def statistics(self, batch: Batch) -> CellSums:
        sums = self.sums(batch, self.chosen(batch), Ranks([batch.weight.shape[1]]))
        return CellSums(sums[None], pixels_of_classes(batch))

    def chosen(self, batch: Batch) -> Sequence[int]:
        return shapes.channel_indices(type(self.spec).__name__, self.spec.classes, batch.channels)

    def sums(self, batch: Batch, classes: Sequence[int], ranks: Ranks) -> Tensor:
        """(G, C) of the images, or of the one group of all pixels; 0 for other classes."""
        sums = lovasz_sums(batch, self.hinge, self.spec, classes, ranks)
        return sums.to(accumulator_dtype(sums))

    def cell_loss(self, sums: Tensor) -> Tensor:
        return sums


@register
class LovaszSoftmaxLoss(Lovasz):
    """Lovasz extension of the Jaccard loss: errors 1 - p_c at pixels of class c and p_c elsewhere, sorted.

    Forward and backward take 4 times the logits' memory at most at (2, 19, 512, 1024) on the CPU (benchmarks/lovasz.py),
    where float32 and pixels of equal weight are quickest. An absent class counts as ``classes`` says and then costs its
    largest error, an ignored pixel counts nowhere, an empty batch gives 0. No second derivatives. Ranks that share more
    than 65536 pixels add up counts in bins of the error: value within 1e-6, gradient within 1e-3 of its largest entry.
    Parameters, call and errors: ``segparity show LovaszSoftmaxLoss``. Source: arXiv 1705.08790.
    """

    spec_class = LOSSES['LovaszSoftmaxLoss']
    hinge = False

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        normalize_class_weight: bool = False,
        per_image: bool = False,
        classes: str | Sequence[int] = 'auto',
        reduction: str = 'mean',
        loss_name: str = 'loss_lovasz_softmax',
    ) -> None:
        super().__init__(locals())


@register
class LovaszHingeLoss(Lovasz):
    """Lovasz extension of the Jaccard loss on hinge errors max(1 - z*(2*y - 1), 0); one channel of logits.

    An image without foreground costs its largest error, an ignored pixel counts nowhere, an empty batch gives 0. No
    second derivatives. Ranks that share a batch: as ``LovaszSoftmaxLoss``.
    Parameters, call and errors: ``segparity show LovaszHingeLoss``. Source: arXiv 1705.08790.
    """

    spec_class = LOSSES['LovaszHingeLoss']
    hinge = True

    def __init__(
        self,
        *,
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        per_image: bool = True,
        reduction: str = 'mean',
        loss_name: str = 'loss_lovasz_hinge',
    ) -> None:
        super().__init__(locals())
