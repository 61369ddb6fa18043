"""Semantic encoding: which classes an image has, predicted for the image as a whole."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_plugin import values
from keras_plugin.inputs import Batch, prepare
from keras_plugin.losses.base import PixelLoss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES
from shared_spec.losses.pixel.semantic_encoding import check_presence


@keras.saving.register_keras_serializable(package='segparity')
class SemanticEncodingLoss(PixelLoss):
    """Cross-entropy of the presence of each class in an image: y_pred (N, C) or (N, 1, 1, C), of a branch for the whole image.

    y_true holds the labels of the pixels, or (N, C) the numbers 0 and 1. An image without a pixel that counts counts
    nowhere, an empty batch gives 0. Parameters, call and errors: ``segparity show SemanticEncodingLoss``. Source: Zhang et
    al., arXiv 1803.08904.
    """

    spec_class = LOSSES['SemanticEncodingLoss']

    def __init__(
        self,
        *,
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())
        self.spec_of_images = self.spec.of_images()

    def batch_of_call(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None) -> Batch:
        """The batch of images, each a pixel that is labelled with the classes that are there."""
        pred, target = values.to_tensor(y_pred), values.to_tensor(y_true)
        _, c, space = self.spec.space_of(tuple(pred.shape), tuple(target.shape), 'last')
        n = ops.shape(pred)[0]
        if space is None:
            present, weight = told(type(self).__name__, target, sample_weight)
        else:
            sizes = ops.shape(target)[1:-1] if len(space) < len(target.shape) - 1 else ops.shape(target)[1:]
            given = ops.zeros((n, *sizes, c), dtype='float32')
            batch = prepare(self.spec, target, given, sample_weight, self.dtype)
            present, weight = batch.present(0.5), ops.where(batch.has_pixel, batch.image_weight, 0 * batch.image_weight)
            wrong = ops.any(ops.isnan(batch.weight), axis=1)
            if batch.unseen:
                wrong = ops.logical_or(wrong, ops.any(ops.isnan(batch.target), axis=(1, 2)))
            weight = values.nan_where(weight, wrong)
        present = ops.cast(present, 'int32')
        return prepare(
            self.spec_of_images, present[:, None], ops.reshape(pred, (n, 1, c)), ops.stop_gradient(weight), self.dtype
        )

    def compute(self, batch: Batch) -> Tensor:
        log_p, log_not_p = batch.log_prob
        loss = batch.times_log(batch.target, log_p) + batch.times_log(1 - batch.target, log_not_p)
        return self.reduce(batch, -ops.sum(loss, axis=-1) / batch.channels)


def told(owner: str, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Any]:
    """(N, C) which classes are there, by labels that say so, and the weights of the images; NaN where something is wrong."""
    wrong = ops.logical_not(ops.logical_or(target == 0, target == 1))
    if values.can_look(target):
        check_presence(owner, np.asarray(ops.convert_to_numpy(target)))
    wrong = ops.any(wrong, axis=1)
    ones = ops.ones_like(ops.cast(wrong, 'float32'))
    weight = ones if weight is None else ops.cast(values.to_tensor(weight), 'float32')
    return target == 1, values.nan_where(weight, wrong)
