"""Unified focal: focal cross-entropy and focal Tversky under one pair of parameters."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import clamp, power, ratio
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

    def pixel_sums(self, part: Batch) -> dict[str, Tensor]:
        """(N, C) focal cross-entropy, tp, fp, fn of each class; for sigmoid of all backgrounds, then all foregrounds."""
        _, background = self.spec.sides(part.channels, part.softmax)
        weights, focus, _ = self.spec.powers(background)
        if part.hard and part.softmax:
            others = clip(part.prob_of_others).scatter(1, part.own, 0)
            log_p, _ = part.log_both_of_own
            p, q = (clip(x) for x in part.prob_both_of_own)
            focal = part.of_own(weights) * q ** part.of_own(focus) * clipped_nll(log_p)
            return dict(focal=part.sum(focal), tp=part.sum_by_class(p), fp=part.sum(others), fn=part.sum_by_class(q))
        (log_p, log_q), (p, q), y = part.log_both, part.prob_both, part.target
        if not part.softmax:
            log_p, p, q, y = (torch.cat(pair, 1) for pair in ((log_q, log_p), (q, p), (p, q), (1 - y, y)))
        p, q = clip(p), clip(q)
        focal = part.of_each(weights) * q ** part.of_each(focus) * y * clipped_nll(log_p)
        return dict(focal=part.sum(focal), tp=part.sum(p * y), fp=part.sum(p * (1 - y)), fn=part.sum(q * y))

    def compute(self, batch: Batch) -> Tensor:
        spec, c = self.spec, batch.channels
        cells, background = spec.sides(c, batch.softmax)
        sums = batch.sums(self.pixel_sums)
        tversky = sums['tp'].new_tensor(spec.powers(background)[2])

        def cell_loss(tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
            wrong = spec.delta * fn + (1 - spec.delta) * fp
            return power(ratio(wrong, tp + wrong + spec.smooth, 0.0), tversky)

        size = batch.class_sizes if batch.hard else None
        if not batch.softmax:
            size = None if size is None else torch.cat([batch.mass[:, None] - size, size], 1)
        statistics = CellSums.stack(sums['tp'], sums['fp'], sums['fn'], size=size)
        parts = parts_of_mean(cells, batch if batch.softmax else batch.two_sided(), statistics, cell_loss)
        mass = batch.mass.sum() * (1 if batch.softmax else c)
        parts['focal'] = torch.stack([sums['focal'].sum(), mass])

        parts = sum_over_ranks(parts, spec.sync)
        focal, mass = parts['focal']
        focal, region = ratio(focal, mass, 0.0), mean_of_sums(cells, parts, cell_loss)
        return (spec.loss_weight * (spec.weight * focal + (1 - spec.weight) * region)).to(batch.dtype)


def clip(p: Tensor) -> Tensor:
    return clamp(p, FLOOR, 1 - FLOOR)


def clipped_nll(log_p: Tensor) -> Tensor:
    return -log_p.clamp(math.log(FLOOR), math.log1p(-FLOOR))
