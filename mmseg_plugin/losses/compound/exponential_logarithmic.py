"""Exponential logarithmic loss: Dice and cross-entropy, each the power of a logarithm."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.granularity import mean_of_sums, parts_of_mean
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.overlap import exact_overlap
from mmseg_plugin.registry import register
from shared_spec import LOSSES


@register
class ExponentialLogarithmicLoss(Loss):
    """Exponential logarithmic: w_d * mean (-log Dice)^gamma_dice + w_c * mean w_y (-log p_y)^gamma_ce, clipped.

    A counted class that is absent costs (-log clip)^gamma_dice; an ignored pixel counts nowhere, an empty batch gives
    0. Parameters, call and errors: ``segparity show ExponentialLogarithmicLoss``. Source: Wong, arXiv 1809.00076.
    """

    spec_class = LOSSES['ExponentialLogarithmicLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        granularity: str | Mapping[str, float] = 'D',
        classes: str | Sequence[int] = 'auto',
        presence_threshold: float = 0.01,
        smooth: float = 1e-3,
        dice_weight: float = 0.8,
        ce_weight: float = 0.2,
        gamma_dice: float = 0.3,
        gamma_ce: float = 0.3,
        clip: float = 1e-7,
        class_weight: str | Sequence[float] | None = 'frequency',
        loss_name: str = 'loss_exponential_logarithmic',
    ) -> None:
        super().__init__(locals())

    def cell_loss(self, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
        """(-log Dice)^gamma from Dice where it is small and from 1 - Dice where that is."""
        clip, top, wrong = self.spec.clip, tp + self.spec.smooth, (fp + fn) / 2
        s, u = ratio(top, top + wrong), ratio(wrong, top + wrong, 0.0)
        log_s = torch.where(s < 0.5, s.clamp(min=clip).log(), torch.log1p(-u.clamp(clip, 0.5)))
        return (-log_s) ** self.spec.gamma_dice

    def pixel_sums(self, part: Batch) -> dict[str, Tensor]:
        """(N, C) sums of label * (-log p)^gamma_ce; for sigmoid those of the backgrounds before them."""
        if part.hard and part.softmax:
            return {'positive': part.sum_by_class(self.pixel_loss(part.log_both_of_own[0]))}
        (log_p, log_q), y = part.log_both, part.target
        sums = {'positive': part.sum(y * self.pixel_loss(log_p))}
        return sums if part.softmax else {'negative': part.sum((1 - y) * self.pixel_loss(log_q)), **sums}

    def pixel_loss(self, log_p: Tensor) -> Tensor:
        clip = self.spec.clip
        return (-log_p).clamp(-math.log1p(-clip), -math.log(clip)) ** self.spec.gamma_ce

    def compute(self, batch: Batch) -> Tensor:
        spec, c, mass = self.spec, batch.channels, batch.mass
        sums = batch.sums(self.pixel_sums)
        sizes = [batch.class_sizes] if batch.softmax else [mass[:, None] - batch.class_sizes, batch.class_sizes]
        parts = parts_of_mean(spec, batch, exact_overlap(batch), self.cell_loss)
        parts['ce'], parts['size'] = torch.stack(list(sums.values())).sum(1), torch.stack(sizes).sum(1)
        parts['mass'] = mass.sum() * (1 if batch.softmax else c)

        parts = sum_over_ranks(parts, spec.sync)
        ce, size = parts['ce'], parts['size']
        if spec.class_weight == 'frequency':
            whole = size.sum() if batch.softmax else size.sum(0)
            w = ratio(whole, size, 0.0).sqrt()
        else:
            w = size.new_tensor(spec.weights_of_list(c, batch.softmax)[-len(size) :])
        ce = ratio((w * ce).sum(), parts['mass'], 0.0)
        dice = mean_of_sums(spec, parts, self.cell_loss)
        return (spec.loss_weight * (spec.dice_weight * dice + spec.ce_weight * ce)).to(batch.dtype)
