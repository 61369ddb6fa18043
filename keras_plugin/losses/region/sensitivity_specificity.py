"""Sensitivity-specificity: squared errors on the structure and off it, each over its own size."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from keras_plugin import hard_pixels
from keras_plugin.arithmetic import ratio
from keras_plugin.granularity import CellSums
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import RegionLoss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class SensitivitySpecificityLoss(RegionLoss):
    """Sensitivity-specificity: w * sum (y-p)^2 y / (sum y + smooth) + (1-w) * sum (y-p)^2 (1-y) / (sum (1-y) + smooth).

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show SensitivitySpecificityLoss``. Source: Brosch 2015, NiftyNet.
    """

    spec_class = LOSSES['SensitivitySpecificityLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        normalize_class_weight: bool = False,
        granularity: str | Mapping[str, float] = 'D',
        classes: str | Sequence[int] = 'auto',
        presence_threshold: float = 0.01,
        smooth: float = 1e-3,
        weight: float = 0.05,
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def statistics(self, batch: Batch) -> CellSums:
        """Squared errors on the structure, its size, squared errors off it, and the size of the rest."""
        if hard_pixels.takes(batch):
            margin, false = hard_pixels.margin_and_sums(batch, hard_pixels.SQUARE)
            _, rest = hard_pixels.own_and_rest(margin)
            missed, size = hard_pixels.sum_by_class(batch, rest**2, ops.ones_like(margin))
            rest = ops.sum(size, axis=1, keepdims=True) - size
            return CellSums((missed, size, false, rest), ops.stop_gradient(size))
        y, error = batch.target, (batch.target - batch.prob) ** 2
        return CellSums((batch.sum(error * y), batch.sum(y), batch.sum(error * (1 - y)), batch.sum(1 - y)))

    def cell_loss(self, missed: Tensor, size: Tensor, false: Tensor, rest: Tensor) -> Tensor:
        sensitivity = ratio(missed, size + self.spec.smooth, 0.0)
        specificity = ratio(false, rest + self.spec.smooth, 0.0)
        return self.spec.weight * sensitivity + (1 - self.spec.weight) * specificity
