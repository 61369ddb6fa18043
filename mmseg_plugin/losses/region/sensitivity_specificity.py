"""Sensitivity-specificity: squared errors on the structure and off it, each over its own size."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.granularity import CellSums
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import RegionLoss
from mmseg_plugin.overlap import squared_errors
from mmseg_plugin.registry import register
from shared_spec import LOSSES


@register
class SensitivitySpecificityLoss(RegionLoss):
    """Sensitivity-specificity: w * sum (y-p)^2 y / (sum y + smooth) + (1-w) * sum (y-p)^2 (1-y) / (sum (1-y) + smooth).

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show SensitivitySpecificityLoss``. Source: Brosch 2015, NiftyNet.
    """

    spec_class = LOSSES['SensitivitySpecificityLoss']

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
        weight: float = 0.05,
        reduction: str = 'mean',
        loss_name: str = 'loss_sensitivity_specificity',
    ) -> None:
        super().__init__(locals())

    def statistics(self, batch: Batch) -> CellSums:
        (missed, false, labelled), size = squared_errors(batch)
        return CellSums.stack(missed, labelled, false, batch.mass[:, None] - labelled, size=size)

    def cell_loss(self, missed: Tensor, size: Tensor, false: Tensor, rest: Tensor) -> Tensor:
        sensitivity = ratio(missed, size + self.spec.smooth, 0.0)
        specificity = ratio(false, rest + self.spec.smooth, 0.0)
        return self.spec.weight * sensitivity + (1 - self.spec.weight) * specificity
