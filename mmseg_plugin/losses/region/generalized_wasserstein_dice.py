"""Generalized Wasserstein Dice: mistakes cost the distance between the classes that they mix up."""

import torch

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.granularity import image_sums
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
        self, *, activation='softmax', from_logits=True, ignore_index=None, sync=True, loss_weight=1.0,
        distance_matrix=None, weighting='default', background=0, smooth=2.0**-52,
        loss_name='loss_generalized_wasserstein_dice',
    ):  # fmt: skip
        super().__init__(locals())

    def compute(self, batch):
        spec, p, y = self.spec, batch.prob, batch.target
        costs = p.new_tensor(spec.costs(p.shape[1]))
        if p.shape[1] == 1:
            p, y = torch.cat([1 - p, p], 1), torch.cat([1 - y, y], 1)
        d = (costs[y.argmax(1)].movedim(-1, 1) * p).sum(1, keepdim=True)
        right, wrong, size = batch.sum(y * (1 - d)), batch.sum(y * d), batch.sum(y)
        if spec.weighting == 'default':
            alpha = torch.ones_like(size)
            alpha[:, spec.background] = 0
            wrong = wrong.sum(1)
        else:
            alpha = 1 / (size + 1)
            wrong = (alpha * wrong).sum(1)
        loss = ratio(wrong, 2 * (alpha * right).sum(1) + wrong + spec.smooth, 0.0)

        parts = sum_over_ranks({'mean': image_sums(batch, loss)}, spec.sync)
        return (spec.loss_weight * ratio(*parts['mean'], 0.0)).to(batch.dtype)
