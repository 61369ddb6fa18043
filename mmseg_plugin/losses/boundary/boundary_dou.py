"""Boundary difference over union: what differs of a class, over a union that counts its inside the less, the larger it is."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.boundaries import boundary_sizes
from mmseg_plugin.granularity import CellSums
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import RegionLoss
from mmseg_plugin.overlap import product_overlap
from mmseg_plugin.registry import register
from shared_spec import LOSSES


@register
class BoundaryDoULoss(RegionLoss):
    """Boundary difference over union: (Z - 2*I) / (Z - (1 + a)*I), I = sum p*y, Z = sum p^2 + sum y^2 over the batch.

    a grows with the share of a class that is no boundary. An absent class costs nearly 1 and counts as ``classes`` says,
    an ignored pixel counts nowhere and is outside, an empty batch gives 0. Parameters, call and errors:
    ``segparity show BoundaryDoULoss``. Source: arXiv 2308.00220.
    """

    spec_class = LOSSES['BoundaryDoULoss']

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
        classes: str | Sequence[int] = 'all',
        presence_threshold: float = 0.01,
        smooth: float = 1e-5,
        max_alpha: float = 0.8,
        reduction: str = 'mean',
        loss_name: str = 'loss_boundary_do_u',
    ) -> None:
        super().__init__(locals())

    def statistics(self, batch: Batch) -> CellSums:
        (tp, fp, fn), size = product_overlap(batch, 2)
        whole = batch.class_sizes if size is None else size
        return CellSums.stack(tp, fp, fn, boundary_sizes(batch).to(tp.dtype), whole.to(tp.dtype), size=size)

    def cell_loss(self, tp: Tensor, fp: Tensor, fn: Tensor, boundary: Tensor, size: Tensor) -> Tensor:
        smooth = self.spec.smooth
        alpha = 1 - 2 * ratio(boundary + smooth, size + smooth)
        alpha = torch.where(alpha > self.spec.max_alpha, self.spec.max_alpha, alpha)
        differs = fp + fn + smooth
        return ratio(differs, differs + (1 - alpha) * tp, 0.0)
