"""Focal Tversky: the Tversky loss of each cell to the power 1/gamma."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from mmseg_plugin.arithmetic import power, ratio
from mmseg_plugin.granularity import CellSums
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import RegionLoss
from mmseg_plugin.overlap import exact_overlap
from mmseg_plugin.registry import register
from shared_spec import LOSSES


@register
class FocalTverskyLoss(RegionLoss):
    """Focal Tversky loss: (1 - s)^(1/gamma), s = (tp + smooth) / (tp + alpha*fp + beta*fn + smooth), product overlap.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0; at s = 1 the gradient
    is 0. Parameters, call and errors: ``segparity show FocalTverskyLoss``. Source: Abraham 2018.
    """

    spec_class = LOSSES['FocalTverskyLoss']

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
        granularity: str | Mapping[str, float] = 'D',
        classes: str | Sequence[int] = 'auto',
        presence_threshold: float = 0.01,
        smooth: float = 1e-3,
        alpha: float = 0.3,
        beta: float = 0.7,
        gamma: float = 4 / 3,
        reduction: str = 'mean',
        loss_name: str = 'loss_focal_tversky',
    ) -> None:
        super().__init__(locals())

    def statistics(self, batch: Batch) -> CellSums:
        return exact_overlap(batch)

    def cell_loss(self, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
        wrong = self.spec.alpha * fp + self.spec.beta * fn
        return power(ratio(wrong, tp + wrong + self.spec.smooth, 0.0), 1 / self.spec.gamma)
