"""Focal Tversky: the Tversky loss of each cell to the power 1/gamma."""

from collections.abc import Mapping, Sequence

import keras

from keras_plugin.arithmetic import power, ratio
from keras_plugin.granularity import CellSums
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import RegionLoss
from keras_plugin.overlap import exact_overlap
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class FocalTverskyLoss(RegionLoss):
    """Focal Tversky loss: (1 - s)^(1/gamma), s = (tp + smooth) / (tp + alpha*fp + beta*fn + smooth), product overlap.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0; at s = 1 the gradient
    is 0. Parameters, call and errors: ``segparity show FocalTverskyLoss``. Source: Abraham 2018.
    """

    spec_class = LOSSES['FocalTverskyLoss']

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
        alpha: float = 0.3,
        beta: float = 0.7,
        gamma: float = 4 / 3,
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def statistics(self, batch: Batch) -> CellSums:
        return exact_overlap(batch)

    def cell_loss(self, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
        wrong = self.spec.alpha * fp + self.spec.beta * fn
        return power(ratio(wrong, tp + wrong + self.spec.smooth, 0.0), 1 / self.spec.gamma)
