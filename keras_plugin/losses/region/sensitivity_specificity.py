"""Sensitivity-specificity: squared errors on the structure and off it, each over its own size."""

import keras

from keras_plugin.arithmetic import ratio
from keras_plugin.granularity import CellSums
from keras_plugin.losses.base import RegionLoss
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class SensitivitySpecificityLoss(RegionLoss):
    """Sensitivity-specificity: w * sum (y-p)^2 y / (sum y + smooth) + (1-w) * sum (y-p)^2 (1-y) / (sum (1-y) + smooth).

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show SensitivitySpecificityLoss``. Source: Brosch 2015, NiftyNet.
    """

    spec_class = LOSSES['SensitivitySpecificityLoss']

    def __init__(
        self, *, activation='softmax', from_logits=False, ignore_class=None, sync=True, loss_weight=1.0,
        class_weight=None, granularity='D', classes='auto', presence_threshold=0.01, smooth=1e-3, weight=0.05,
        name=None, reduction='sum_over_batch_size', dtype=None,
    ):  # fmt: skip
        super().__init__(locals())

    def statistics(self, batch):
        y, error = batch.target, (batch.target - batch.prob) ** 2
        return CellSums((batch.sum(error * y), batch.sum(y), batch.sum(error * (1 - y)), batch.sum(1 - y)))

    def cell_loss(self, missed, size, false, rest):
        sensitivity = ratio(missed, size + self.spec.smooth, 0.0)
        specificity = ratio(false, rest + self.spec.smooth, 0.0)
        return self.spec.weight * sensitivity + (1 - self.spec.weight) * specificity
