"""Sensitivity-specificity: squared errors on the structure and off it, each over its own size."""

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.granularity import CellSums
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
        self, *, activation='softmax', from_logits=True, ignore_index=None, sync=True, loss_weight=1.0,
        class_weight=None, granularity='D', classes='auto', presence_threshold=0.01, smooth=1e-3, weight=0.05,
        loss_name='loss_sensitivity_specificity',
    ):  # fmt: skip
        super().__init__(locals())

    def statistics(self, batch):
        (missed, false, labelled), size = squared_errors(batch)
        return CellSums.of(missed, labelled, false, batch.mass[:, None] - labelled, size=size)

    def cell_loss(self, missed, size, false, rest):
        sensitivity = ratio(missed, size + self.spec.smooth, 0.0)
        specificity = ratio(false, rest + self.spec.smooth, 0.0)
        return self.spec.weight * sensitivity + (1 - self.spec.weight) * specificity
