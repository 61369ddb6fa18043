"""Focal cross-entropy: pixels that are right already count less."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import times_log
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import PixelLoss
from mmseg_plugin.losses.pixel.weighted_cross_entropy import apply_class_weight
from mmseg_plugin.registry import register
from shared_spec import LOSSES

LEAST, MOST = -100.0, -1e-30  # between which 1 - p follows log p: beyond, p or 1 - p is nothing


@register
class FocalCrossEntropyLoss(PixelLoss):
    """Cross-entropy weighed by (1 - p)^gamma, hard or soft labels; softmax or sigmoid.

    The mean is over the pixels that count, whatever alpha is. An ignored pixel counts nowhere, an empty batch gives 0.
    Parameters, call and errors: ``segparity show FocalCrossEntropyLoss``. Source: Lin et al., arXiv 1708.02002.
    """

    spec_class = LOSSES['FocalCrossEntropyLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        gamma: float = 2.0,
        alpha: float | Sequence[float] | None = None,
        reduction: str = 'mean',
        loss_name: str = 'loss_focal_cross_entropy',
    ) -> None:
        super().__init__(locals())

    def compute(  # type: ignore[override]  # what reduction_of_call adds
        self, batch: Batch, reduction: str, avg_factor: float | Tensor | None
    ) -> Tensor:
        self.spec.alphas(batch.channels, batch.softmax)  # which refuses a list of another length
        return self.reduce(batch, self.pixel_loss, reduction, avg_factor)

    def pixel_loss(self, part: Batch) -> Tensor:
        """(N, 1, P) the loss of each pixel."""
        return pixel_losses(part, self.spec.gamma, self.spec.alphas(part.channels, part.softmax))


def pixel_losses(part: Batch, gamma: float, weights: tuple[Sequence[float], Sequence[float]] | None) -> Tensor:
    """(N, 1, P) the loss of each pixel; weights: of each channel's positives, and under sigmoid of its negatives."""
    positive, negative = (
        (None, None) if weights is None else (part.image_weight.new_tensor(x)[:, None] for x in weights)
    )
    if part.softmax and part.hard:
        log_p = part.log_prob_of_own
        loss = -log_p if gamma == 0 else -focus(log_p, gamma) * log_p
        return loss if positive is None else apply_class_weight(positive[:, 0][part.own], loss)
    log_p, log_not_p = part.log_prob
    loss = focal(part.target, positive, log_p, gamma)
    if log_not_p is None:
        return loss.sum(1, keepdim=True)
    return (loss + focal(1 - part.target, negative, log_not_p, gamma)).mean(1, keepdim=True)


def focal(y: Tensor, alpha: Tensor | None, log_p: Tensor, gamma: float) -> Tensor:
    """(N, C, P) alpha * y * (1 - p)^gamma * (-log p)."""
    share = y if alpha is None else alpha * y
    return -times_log(share if gamma == 0 else share * focus(log_p, gamma), log_p)


def focus(log_p: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma, whose gradient is finite wherever p is."""
    rest: Tensor = -torch.expm1(log_p.clamp(LEAST, MOST))
    return rest**gamma
