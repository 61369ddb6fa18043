"""Combo: cross-entropy that weighs missed foreground, less the Dice score."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import ratio, scale_part, times_log
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.granularity import mean_of_sums, parts_of_mean
from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.pixel_sums import pixel_sum
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.overlap import product_overlap, score
from mmseg_plugin.registry import register
from shared_spec import LOSSES


@register
class ComboLoss(Loss):
    """Combo: alpha * CE - (1 - alpha) * Dice score, CE with weight beta on missed foreground.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show ComboLoss``. Source: Taghanaki, arXiv 1805.02798.
    """

    spec_class = LOSSES['ComboLoss']

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
        alpha: float = 0.5,
        beta: float = 0.5,
        loss_name: str = 'loss_combo',
    ) -> None:
        super().__init__(locals())

    def cell_loss(self, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
        return score(tp, fp, fn, 0.5, 0.5, self.spec.smooth)

    def pixel_loss(self, part: Batch) -> Tensor:
        """(N, 1, P) the cross-entropy of each pixel, mean over the foreground classes."""
        beta = self.spec.beta
        if part.hard and part.softmax and part.channels == 2:
            log_p = part.log_prob_of_own
            missed, false = log_p.new_tensor([beta, 1 - beta])
            return -times_log(torch.where(part.own > 0, missed, false), log_p)
        if part.hard and part.softmax:
            log_p, complements = part.log_own_and_complements
            positive = torch.where(part.own > 0, log_p, 0)
            loss: Any = scale_part(beta, positive) + scale_part(1 - beta, complements)
            return -loss / (part.channels - 1)
        log_p, log_q = part.log_both
        y = part.target
        loss = -times_log(beta * y, log_p) - times_log((1 - beta) * (1 - y), log_q)
        return loss if y.shape[1] == 1 else loss[:, 1:].mean(1, keepdim=True)

    def compute(self, batch: Batch) -> Tensor:
        spec = self.spec
        loss = pixel_sum(batch, self.pixel_loss)
        parts = parts_of_mean(spec, batch, product_overlap(batch), self.cell_loss)
        parts['ce'] = torch.stack([loss.sum(), batch.mass.sum()])

        parts = sum_over_ranks(parts, spec.sync)
        loss, mass = parts['ce']
        ce, dice = ratio(loss, mass, 0.0), mean_of_sums(spec, parts, self.cell_loss)
        return (spec.loss_weight * (scale_part(spec.alpha, ce) - (1 - spec.alpha) * dice)).to(batch.dtype)
