"""Generalized Dice with weights that absent classes do not blow up and the image's size does not change."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.overlap import metric_overlap, product_overlap
from mmseg_plugin.registry import register
from shared_spec import LOSSES, shapes
from shared_spec.granularity import as_weights
from shared_spec.losses.region.generalized_dice import EXPONENT


@register
class GeneralizedDiceLoss(Loss):
    """Generalized Dice: 1 - sum_c w_c*tp_c / sum_c w_c*(|p_c| + |y_c|)/2 with w_c = 1/|y_c|^2, scaled to sum 1.

    A class without a pixel weighs what ``absent`` says, an ignored pixel counts nowhere, an empty batch gives 0.
    Parameters, call and errors: ``segparity show GeneralizedDiceLoss``. Source: Sudre 2017, NiftyNet.
    """

    spec_class = LOSSES['GeneralizedDiceLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        smooth: float = 1e-3,
        granularity: str | Mapping[str, float] = 'D',
        classes: str | Sequence[int] = 'all',
        presence_threshold: float = 0.01,
        weighting: str = 'square',
        absent: str = 'max',
        overlap: str = 'product',
        loss_name: str = 'loss_generalized_dice',
    ) -> None:
        super().__init__(locals())

    def compute(self, batch: Batch) -> Tensor:
        spec, c = self.spec, batch.channels
        chosen = shapes.channel_indices(type(spec).__name__, spec.classes, c)
        sums, size = product_overlap(batch) if spec.overlap == 'product' else metric_overlap(batch)
        sums, present = sums[:, :, chosen], batch.present(spec.presence_threshold, size)[:, chosen]
        levels = as_weights(spec.granularity)
        parts = {}
        if 'D' in levels:
            parts['D'] = torch.cat([sums.sum(1), present.sum(0, keepdim=True)])
        if 'I' in levels:
            w = batch.image_weight.to(sums.dtype) * batch.has_pixel
            tp, fp, fn = sums
            parts['I'] = torch.stack([(w * self.ratio_loss(tp, fp, fn, present)).sum(), w.sum()])

        parts = sum_over_ranks(parts, spec.sync)
        result: Tensor | int = 0
        if 'D' in levels:
            tp, fp, fn, counts = parts['D']
            result = result + levels['D'] * self.ratio_loss(tp, fp, fn, counts > 0)
        if 'I' in levels:
            total, images = parts['I']
            result = result + levels['I'] * ratio(total, images, 0.0)
        return (spec.loss_weight * result).to(batch.dtype)

    def ratio_loss(self, tp: Tensor, fp: Tensor, fn: Tensor, present: Tensor) -> Tensor:
        """1 - the weighted ratio over the last axis; 0 where no class is present."""
        size = (tp + fn).detach()
        smallest = torch.where(present, size, torch.inf).amin(-1, keepdim=True)
        w = torch.where(present, ratio(smallest, size) ** EXPONENT[self.spec.weighting], 0)
        if self.spec.absent == 'max':
            w = torch.where(present, w, w.amax(-1, keepdim=True))
        w = ratio(w, w.sum(-1, keepdim=True), 0.0)
        top = (w * tp).sum(-1) + self.spec.smooth
        bottom = (w * (tp + fp / 2 + fn / 2)).sum(-1) + self.spec.smooth
        return torch.where(present.any(-1), 1 - ratio(top, bottom), 0)
