"""Log-cosh Dice: a Dice loss with a bounded, smooth slope."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from keras_plugin.losses.region.soft_overlap import SoftOverlap
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class LogCoshDiceLoss(SoftOverlap):
    """Log-cosh Dice loss: log cosh x with x the soft Dice loss after its mean.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show LogCoshDiceLoss``. Source: Jadon 2020.
    """

    spec_class = LOSSES['LogCoshDiceLoss']

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
        norm: int = 1,
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def after_mean(self, mean: Tensor) -> Tensor:
        e = ops.expm1(mean / 2)  # ops.sinh rounds float64 to float32 on JAX
        return ops.log1p((e + e / (e + 1)) ** 2 / 2)
