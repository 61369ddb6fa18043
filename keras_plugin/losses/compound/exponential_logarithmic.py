"""Exponential logarithmic loss: Dice and cross-entropy, each the power of a logarithm."""

import math
from collections.abc import Mapping, Sequence

import keras
from keras import ops

from keras_plugin import hard_pixels
from keras_plugin.arithmetic import at_least, clip, ratio
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.granularity import mean_of_sums, parts_of_mean
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import Loss
from keras_plugin.overlap import cells_and_margin, exact_overlap
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
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
        from_logits: bool = False,
        ignore_class: int | None = None,
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
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def cell_loss(self, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
        """(-log Dice)^gamma from Dice where it is small and from 1 - Dice where that is."""
        low, top, wrong = self.spec.clip, tp + self.spec.smooth, (fp + fn) / 2
        s, u = ratio(top, top + wrong), ratio(wrong, top + wrong, 0.0)
        log_s = ops.where(s < 0.5, ops.log(at_least(s, low)), ops.log1p(-clip(u, low, 0.5)))
        return (-log_s) ** self.spec.gamma_dice

    def power_of_log(self, log: Tensor) -> Tensor:
        """The cross-entropy of a pixel or class whose log-probability this is."""
        return clip(-log, -math.log1p(-self.spec.clip), -math.log(self.spec.clip)) ** self.spec.gamma_ce

    def compute(self, batch: Batch) -> Tensor:
        spec, c = self.spec, batch.channels
        if hard_pixels.takes(batch):
            cells, margin = cells_and_margin(batch)
            power = self.power_of_log(ops.log_sigmoid(margin))
            loss, size = ([x] for x in hard_pixels.sum_by_class(batch, power, ops.ones_like(margin)))
            mass = ops.sum(size[0])
        else:
            cells, y, (log_p, log_q) = exact_overlap(batch), batch.target, batch.log_both
            sides = [(y, log_p)] if batch.softmax else [(1 - y, log_q), (y, log_p)]
            loss = [batch.sum(share * self.power_of_log(log)) for share, log in sides]
            size = [batch.sum(share) for share, _ in sides]
            mass = ops.sum(batch.sum(ops.ones_like(y[..., :1]))) * (1 if batch.softmax else c)
        parts = parts_of_mean(spec, batch, cells, self.cell_loss)
        parts['ce'], parts['size'] = ops.sum(ops.stack(loss), axis=1), ops.sum(ops.stack(size), axis=1)
        parts['mass'] = mass

        parts = sum_over_replicas(parts, spec.sync)
        ce, size = parts['ce'], parts['size']
        if spec.class_weight == 'frequency':
            whole = ops.sum(size) if batch.softmax else ops.sum(size, axis=0)
            w = ops.sqrt(ratio(whole + ops.zeros_like(size), size, 0.0))
        else:
            w = ops.convert_to_tensor(spec.weights_of_list(c, batch.softmax)[-len(loss) :], dtype=size.dtype)
        ce = ratio(ops.sum(w * ce), parts['mass'], 0.0)
        dice = mean_of_sums(spec, parts, self.cell_loss)
        return ops.cast(spec.loss_weight * (spec.dice_weight * dice + spec.ce_weight * ce), batch.dtype)
