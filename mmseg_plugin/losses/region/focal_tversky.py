"""Focal Tversky: the Tversky loss of each cell to the power 1/gamma."""

from mmseg_plugin.arithmetic import power, ratio
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
        self, *, activation='softmax', from_logits=True, ignore_index=None, sync=True, loss_weight=1.0,
        class_weight=None, granularity='D', classes='auto', presence_threshold=0.01, smooth=1e-3, alpha=0.3, beta=0.7,
        gamma=4 / 3, loss_name='loss_focal_tversky',
    ):  # fmt: skip
        super().__init__(locals())

    def statistics(self, batch):
        return exact_overlap(batch)

    def cell_loss(self, tp, fp, fn):
        wrong = self.spec.alpha * fp + self.spec.beta * fn
        return power(ratio(wrong, tp + wrong + self.spec.smooth, 0.0), 1 / self.spec.gamma)
