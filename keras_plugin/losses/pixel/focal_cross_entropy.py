"""Focal cross-entropy: pixels that are right already count less."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_plugin import hard_pixels
from keras_plugin.arithmetic import clip
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import PixelLoss
from keras_plugin.losses.pixel.weighted_cross_entropy import apply_class_weight
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES

LEAST, MOST = -100.0, -1e-30  # between which 1 - p follows log p: beyond, p or 1 - p is nothing


@keras.saving.register_keras_serializable(package='segparity')
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
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        gamma: float = 2.0,
        alpha: float | Sequence[float] | None = None,
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def compute(self, batch: Batch) -> Tensor:
        return self.reduce(batch, self.pixel_loss(batch))

    def pixel_loss(self, batch: Batch) -> Tensor:
        """(N, P) the loss of each pixel."""
        return pixel_losses(batch, self.spec.gamma, self.spec.alphas(batch.channels, batch.softmax))


def pixel_losses(batch: Batch, gamma: float, weights: tuple[Sequence[float], Sequence[float]] | None) -> Tensor:
    """(N, P) the loss of each pixel; weights: of each channel's positives, and under sigmoid of its negatives."""
    positive, negative = weights or (None, None)
    if hard_pixels.takes(batch):
        log_p = ops.log_sigmoid(hard_pixels.own_margin(batch))
        loss = -log_p if gamma == 0 else -focus(log_p, gamma) * log_p
        if positive is None:
            return loss
        return apply_class_weight(ops.take(ops.convert_to_tensor(positive, dtype=loss.dtype), batch.own), loss)
    log_p, log_not_p = batch.log_prob
    loss = focal(batch, batch.target, positive, log_p, gamma)
    if log_not_p is None:
        return ops.sum(loss, axis=-1)
    loss = loss + focal(batch, 1 - batch.target, negative, log_not_p, gamma)
    return ops.sum(loss, axis=-1) / batch.channels  # for ops.mean rounds float64


def focal(batch: Batch, y: Tensor, alpha: Sequence[float] | None, log_p: Tensor, gamma: float) -> Tensor:
    """(N, P, C) alpha * y * (1 - p)^gamma * (-log p)."""
    share = y if alpha is None else ops.convert_to_tensor(alpha, dtype=y.dtype) * y
    share = share if gamma == 0 else share * focus(log_p, gamma)
    return -batch.times_log(share, log_p)


def focus(log_p: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma, whose gradient is finite wherever p is."""
    return (-ops.expm1(clip(log_p, LEAST, MOST))) ** gamma
