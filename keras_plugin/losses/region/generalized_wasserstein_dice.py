"""Generalized Wasserstein Dice: mistakes cost the distance between the classes that they mix up."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_plugin import hard_pixels
from keras_plugin.arithmetic import ratio
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.granularity import image_sums
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import Loss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class GeneralizedWassersteinDiceLoss(Loss):
    """Generalized Wasserstein Dice: 1 - (2 tp + smooth) / (2 tp + sum d + smooth), d the cost of a pixel's mistake.

    Mean over images that have a pixel; an ignored pixel counts nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show GeneralizedWassersteinDiceLoss``. Source: Fidon 2017.
    """

    spec_class = LOSSES['GeneralizedWassersteinDiceLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        distance_matrix: Sequence[Sequence[float]] | None = None,
        weighting: str = 'default',
        background: int = 0,
        smooth: float = 2.0**-52,
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def compute(self, batch: Batch) -> Tensor:
        spec = self.spec
        costs = ops.convert_to_tensor(spec.costs(batch.channels), dtype=batch.dtype)
        right, wrong, size = (hard_sums if hard_pixels.takes(batch) else dense_sums)(batch, costs)
        if spec.weighting == 'default':
            classes = ops.arange(size.shape[-1], dtype='int32')
            alpha = ops.cast(classes != spec.background, size.dtype)
            wrong = ops.sum(wrong, axis=1)
        else:
            alpha = 1 / (size + 1)
            wrong = ops.sum(alpha * wrong, axis=1)
        loss = ratio(wrong, 2 * ops.sum(alpha * right, axis=1) + wrong + spec.smooth, 0.0)

        parts = sum_over_replicas({'mean': image_sums(batch, loss)}, spec.sync)
        return ops.cast(spec.loss_weight * ratio(parts['mean'][0], parts['mean'][1], 0.0), batch.dtype)


def dense_sums(batch: Batch, costs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, C) sums over the pixels of each class of 1 - d, of d and of 1; costs (C, C)."""
    p, y = batch.prob, batch.target
    if p.shape[-1] == 1:
        p, y = ops.concatenate([1 - p, p], -1), ops.concatenate([1 - y, y], -1)
    d = ops.sum(ops.take(costs, ops.argmax(y, axis=-1), axis=0) * p, axis=-1, keepdims=True)
    return batch.sum(y * (1 - d)), batch.sum(y * d), batch.sum(y)


def hard_sums(batch: Batch, costs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same of class ids and logits."""
    d = hard_pixels.mean_over_others(batch, costs)
    right, wrong, size = hard_pixels.sum_by_class(batch, 1 - d, d, ops.ones_like(d))
    return right, wrong, size
