"""Log-cosh Dice: a Dice loss with a bounded, smooth slope."""

import keras
from keras import ops

from keras_plugin.losses.region.soft_overlap import SoftOverlap
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class LogCoshDiceLoss(SoftOverlap):
    """Log-cosh Dice loss: log cosh x with x the soft Dice loss after its mean.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show LogCoshDiceLoss``. Source: Jadon 2020.
    """

    spec_class = LOSSES['LogCoshDiceLoss']

    def __init__(
        self, *, activation='softmax', from_logits=False, ignore_class=None, sync=True, loss_weight=1.0,
        class_weight=None, granularity='D', classes='auto', presence_threshold=0.01, smooth=1e-3, norm=1, name=None,
        reduction='sum_over_batch_size', dtype=None,
    ):  # fmt: skip
        super().__init__(locals())

    def after_mean(self, mean):
        e = ops.expm1(mean / 2)  # ops.sinh rounds float64 to float32 on JAX
        return ops.log1p((e + e / (e + 1)) ** 2 / 2)
