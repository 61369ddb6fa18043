"""Unified focal: focal cross-entropy and focal Tversky under one pair of parameters."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import power, ratio
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.granularity import CellSums, mean_of_sums, parts_of_mean
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.registry import register
from shared_spec import LOSSES
from shared_spec.inputs import FLOOR


@register
class UnifiedFocalLoss(Loss):
    """Unified focal: weight * focal cross-entropy + (1 - weight) * focal Tversky, symmetric or asymmetric.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0; where p is clipped the
    gradient is 0. Parameters, call and errors: ``segparity show UnifiedFocalLoss``. Source: Yeung, arXiv 2102.04525.
    """

    spec_class = LOSSES['UnifiedFocalLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        granularity: str | Mapping[str, float] = 'I',
        classes: str | Sequence[int] = 'all',
        presence_threshold: float = 0.01,
        smooth: float = 1e-7,
        weight: float = 0.5,
        delta: float = 0.6,
        gamma: float = 0.5,
        asymmetric: bool = False,
        loss_name: str = 'loss_unified_focal',
    ) -> None:
        super().__init__(locals())

    def compute(self, batch: Batch) -> Tensor:
        spec, y, c = self.spec, batch.target, batch.target.shape[1]
        (log_p, log_q), (p, q) = batch.log_both, batch.prob_both
        if not batch.softmax:  # all backgrounds, then all foregrounds
            log_p, p, q = torch.cat([log_q, log_p], 1), torch.cat([q, p], 1), torch.cat([p, q], 1)
            y = torch.where(batch.weight[:, None] != 0, torch.cat([1 - y, y], 1), 0)
        cells, background = spec.sides(c, batch.softmax)
        weights, focus, tversky = (p.new_tensor(x) for x in spec.powers(background))
        nll = -log_p.clamp(math.log(FLOOR), math.log1p(-FLOOR))
        p, q = p.clamp(FLOOR, 1 - FLOOR), q.clamp(FLOOR, 1 - FLOOR)

        def cell_loss(tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
            wrong = spec.delta * fn + (1 - spec.delta) * fp
            return power(ratio(wrong, tp + wrong + spec.smooth, 0.0), tversky)

        focal = batch.sum(weights[:, None] * q ** focus[:, None] * y * nll)
        sums = CellSums.stack(batch.sum(p * y), batch.sum(p * (1 - y)), batch.sum(q * y))
        parts = parts_of_mean(cells, batch.with_target(y), sums, cell_loss)
        mass = batch.sum(torch.ones_like(y[:, :1])) * (1 if batch.softmax else c)
        parts['focal'] = torch.stack([focal.sum(), mass.sum()])

        parts = sum_over_ranks(parts, spec.sync)
        focal, mass = parts['focal']
        focal, region = ratio(focal, mass, 0.0), mean_of_sums(cells, parts, cell_loss)
        return (spec.loss_weight * (spec.weight * focal + (1 - spec.weight) * region)).to(batch.dtype)
