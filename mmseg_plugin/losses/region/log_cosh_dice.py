"""Log-cosh Dice: a Dice loss with a bounded, smooth slope."""

import torch

from mmseg_plugin.losses.region.soft_overlap import SoftOverlap
from mmseg_plugin.registry import register
from shared_spec import LOSSES


@register
class LogCoshDiceLoss(SoftOverlap):
    """Log-cosh Dice loss: log cosh x with x the soft Dice loss after its mean.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show LogCoshDiceLoss``. Source: Jadon 2020.
    """

    spec_class = LOSSES['LogCoshDiceLoss']

    def __init__(
        self, *, activation='softmax', from_logits=True, ignore_index=None, sync=True, loss_weight=1.0,
        class_weight=None, granularity='D', classes='auto', presence_threshold=0.01, smooth=1e-3, norm=1,
        loss_name='loss_log_cosh_dice',
    ):  # fmt: skip
        super().__init__(locals())

    def after_mean(self, mean):
        return torch.log1p(2 * torch.sinh(torch.as_tensor(mean) / 2) ** 2)
