"""Log-cosh Dice: a Dice loss with a bounded, smooth slope."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

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
        norm: int = 1,
        loss_name: str = 'loss_log_cosh_dice',
    ) -> None:
        super().__init__(locals())

    def after_mean(self, mean: Tensor) -> Tensor:
        return torch.log1p(2 * torch.sinh(torch.as_tensor(mean) / 2) ** 2)
