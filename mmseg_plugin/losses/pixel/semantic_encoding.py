"""Semantic encoding: which classes an image has, predicted for the image as a whole."""

from typing import Any

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import times_log
from mmseg_plugin.inputs import Batch, prepare
from mmseg_plugin.losses.base import PixelLoss, check_tensors, in_common
from mmseg_plugin.registry import register
from mmseg_plugin.values import can_look
from shared_spec import LOSSES
from shared_spec.losses.pixel.semantic_encoding import check_presence


@register
class SemanticEncodingLoss(PixelLoss):
    """Cross-entropy of the presence of each class in an image: pred (N, C) or (N, C, 1, 1), of a branch for the whole image.

    target holds the labels of the pixels, or (N, C) the numbers 0 and 1, as MMSegmentation's EncHead gives them. An image
    without a pixel that counts counts nowhere, an empty batch gives 0. Parameters, call and errors: ``segparity show
    SemanticEncodingLoss``. Source: Zhang et al., arXiv 1803.08904.
    """

    spec_class = LOSSES['SemanticEncodingLoss']

    def __init__(
        self,
        *,
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_semantic_encoding',
    ) -> None:
        super().__init__(locals())
        self.spec_of_images = self.spec.of_images()

    def loss_of_call(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None,
        ignore_index: int | None,
        call: dict[str, Any],
        absent: bool,
        batches: dict[Any, Batch] | None = None,
    ) -> Tensor:
        check_tensors(self.spec_class.__name__, pred=pred, target=target, weight=weight)
        if call.pop('align_corners', None) is not None:
            raise TypeError(f'{self.spec_class.__name__}: align_corners has no meaning, pred is not of pixels')
        present, weight = self.presence(pred, target, weight, ignore_index)
        batch = prepare(self.spec_of_images, pred.reshape(*pred.shape[:2], 1), present[:, :, None], weight)
        return super().loss_of_call(pred, target, None, None, call, absent, {in_common(self.spec): batch})

    @torch.no_grad()
    def presence(
        self, pred: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int | None
    ) -> tuple[Tensor, Tensor | None]:
        """(N, C) 0 and 1, which classes are there, and (N,) the weights of the images; NaN where something is wrong."""
        spec = self.spec
        n, c, space = spec.space_of(tuple(pred.shape), tuple(target.shape), 'first')
        if space is None:
            present = (target > 0.5).long()
            wrong = ((target != 0) & (target != 1)).any(1)
            if can_look(target):
                check_presence(type(spec).__name__, target.numpy())
                return present, weight
            weight = torch.ones_like(pred[:, 0].reshape(n)) if weight is None else weight
            return present, torch.where(wrong, torch.nan, weight)
        given = pred.new_zeros(()).expand(n, c, *space)
        batch = prepare(spec, given, target, weight, ignore_index)
        sizes = batch.class_sizes
        wrong = sizes.isnan().any(1)
        counted = torch.where(batch.has_pixel, batch.image_weight, 0)
        return (~(sizes <= 0)).long(), torch.where(wrong, torch.nan, counted)

    def compute(self, batch: Batch, reduction: str, avg_factor: Any) -> Tensor:  # type: ignore[override]
        return self.reduce(batch, entropy, reduction, avg_factor)


def entropy(part: Batch) -> Tensor:
    """(N, 1, P) the cross-entropy of each image, mean over classes."""
    log_p, log_not_p = part.log_prob
    return -(times_log(part.target, log_p) + times_log(1 - part.target, log_not_p)).mean(1, keepdim=True)
