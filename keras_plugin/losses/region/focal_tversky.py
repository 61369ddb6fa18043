"""Focal Tversky: the Tversky loss of each cell to the power 1/gamma."""

import keras

from keras_plugin.arithmetic import power, ratio
from keras_plugin.losses.base import RegionLoss
from keras_plugin.overlap import exact_overlap
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class FocalTverskyLoss(RegionLoss):
    """Focal Tversky loss: (1 - s)^(1/gamma), s = (tp + smooth) / (tp + alpha*fp + beta*fn + smooth), product overlap.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0; at s = 1 the gradient
    is 0. Parameters, call and errors: ``segparity show FocalTverskyLoss``. Source: Abraham 2018.
    """

    spec_class = LOSSES['FocalTverskyLoss']

    def __init__(
        self, *, activation='softmax', from_logits=False, ignore_class=None, sync=True, loss_weight=1.0,
        class_weight=None, granularity='D', classes='auto', presence_threshold=0.01, smooth=1e-3, alpha=0.3, beta=0.7,
        gamma=4 / 3, name=None, reduction='sum_over_batch_size', dtype=None,
    ):  # fmt: skip
        super().__init__(locals())

    def statistics(self, batch):
        return exact_overlap(batch)

    def cell_loss(self, tp, fp, fn):
        wrong = self.spec.alpha * fp + self.spec.beta * fn
        return power(ratio(wrong, tp + wrong + self.spec.smooth, 0.0), 1 / self.spec.gamma)
