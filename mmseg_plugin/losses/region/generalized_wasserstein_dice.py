"""Generalized Wasserstein Dice: mistakes cost the distance between the classes that they mix up."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.granularity import image_sums
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.registry import register
from shared_spec import LOSSES


@register
class GeneralizedWassersteinDiceLoss(Loss):
    """Generalized Wasserstein Dice: 1 - (2 tp + smooth) / (2 tp + sum d + smooth), d the cost of a pixel's mistake.

    Mean over images that have a pixel; an ignored pixel counts nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show GeneralizedWassersteinDiceLoss``. Source: Fidon 2017.
    """

    spec_class = LOSSES['GeneralizedWassersteinDiceLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        distance_matrix: Sequence[Sequence[float]] | None = None,
        weighting: str = 'default',
        background: int = 0,
        smooth: float = 2.0**-52,
        loss_name: str = 'loss_generalized_wasserstein_dice',
    ) -> None:
        super().__init__(locals())

    def pixel_sums(self, part: Batch) -> dict[str, Tensor]:
        """(N, C) of each class the sums of 1 - d and of d, and its pixels."""
        p = part.prob
        costs = p.new_tensor(self.spec.costs(part.channels))
        if part.channels == 1:
            p, y = torch.cat([1 - p, p], 1), torch.cat([1 - part.target, part.target], 1)
            d = (costs[y.argmax(1)].movedim(-1, 1) * p).sum(1, keepdim=True)
            return dict(right=part.sum(y * (1 - d)), wrong=part.sum(y * d), size=part.sum(y))
        d = (costs.mT[:, part.own[:, 0]].movedim(0, 1) * p).sum(1, keepdim=True)
        return dict(
            right=part.sum_by_class(1 - d), wrong=part.sum_by_class(d), size=part.sum_by_class(torch.ones_like(d))
        )

    def compute(self, batch: Batch) -> Tensor:
        spec = self.spec
        right, wrong, size = batch.sums(self.pixel_sums).values()
        if spec.weighting == 'default':
            alpha = torch.ones_like(size)
            alpha[:, spec.background] = 0
            wrong = wrong.sum(1)
        else:
            alpha = 1 / (size + 1)
            wrong = (alpha * wrong).sum(1)
        loss = ratio(wrong, 2 * (alpha * right).sum(1) + wrong + spec.smooth, 0.0)

        total, images = sum_over_ranks({'mean': image_sums(batch, loss)}, spec.sync)['mean']
        return (spec.loss_weight * ratio(total, images, 0.0)).to(batch.dtype)
