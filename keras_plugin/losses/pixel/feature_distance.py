"""Distances between feature vectors, such as those of a student and of its teacher."""

import keras
import numpy as np
from keras import backend, ops

from keras_plugin import values
from keras_plugin.arithmetic import largest
from keras_plugin.inputs import Batch, keep_pixels, prepare
from keras_plugin.losses.base import PixelLoss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class FeatureDistanceLoss(PixelLoss):
    """Distance between two vectors of features, y_pred and y_true, both (N, K) or (N, *space, K); mean over samples.

    distance: 'jaccard' and 'dice' of features >= 0, 'l1', 'l2' and 'cosine' of any. y_true gets no gradient. A sample of
    weight 0 counts nowhere, an empty batch gives 0. Parameters, call and errors: ``segparity show FeatureDistanceLoss``.
    Source: arXiv 2302.05666.
    """

    spec_class = LOSSES['FeatureDistanceLoss']

    def __init__(
        self,
        *,
        loss_weight: float = 1.0,
        sync: bool = True,
        distance: str = 'jaccard',
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def batch_of_call(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None) -> Batch:
        """The batch of y_pred, with y_true's features (N, P, K) as its ``features``, 0 where a sample is absent."""
        target, shape = values.to_tensor(y_true), tuple(y_pred.shape)
        kind = backend.standardize_dtype(target.dtype)
        self.spec.check_call(shape, tuple(target.shape), backend.is_float_dtype(kind), kind, 'last')
        labels = ops.zeros(ops.shape(y_pred)[:-1], dtype='int32')
        batch = prepare(self.spec, labels, y_pred, sample_weight, self.dtype)
        features = ops.reshape(ops.cast(ops.stop_gradient(target), batch.dtype), ops.shape(batch.given))
        batch.features = keep_pixels(batch.counted_pixels, features)
        if self.spec.refuses_negative:
            counts = ops.broadcast_to(batch.counted_pixels[..., None], ops.shape(features))
            for x in (batch.given, batch.features):
                values.look(self.spec.check_signs, ops.logical_and(x < 0, counts), x, counts)
        return batch

    def compute(self, batch: Batch) -> Tensor:
        return self.reduce(batch, self.pixel_loss(batch))

    def pixel_loss(self, batch: Batch) -> Tensor:
        """(N, P) the distance of each pixel's vectors."""
        kind, a, b = self.spec.distance, batch.pred, batch.features
        if kind == 'cosine':
            return cosine_distance(a, b)[..., 0]
        size = ops.maximum(scale(a), scale(b))  # so that no square, and no sum of a set's, goes beyond the range
        a, b = a / size, b / size
        if kind == 'l2':
            return (size * length(a - b))[..., 0]
        gap = ops.sum(ops.abs(a - b), axis=-1, keepdims=True)
        if kind == 'l1':
            return (size * gap)[..., 0]
        total = ops.sum(a + b, axis=-1, keepdims=True)
        negative = ops.any(ops.logical_or(a < 0, b < 0), axis=-1, keepdims=True)
        gap = ops.where(negative, np.nan * ops.ones_like(gap), gap)
        whole, twice = (total + gap, 2) if kind == 'jaccard' else (total, 1)
        return (twice * gap / ops.where(total == 0, ops.ones_like(whole), whole))[..., 0]


def scale(x: Tensor) -> Tensor:
    """(N, P, 1) the largest absolute value of each vector, 1 where it is 0; without a gradient."""
    found = largest(ops.abs(ops.stop_gradient(x)), axis=-1, keepdims=True)
    return ops.where(found == 0, ops.ones_like(found), found)


def length(x: Tensor) -> Tensor:
    """(N, P, 1) the length of each vector, with a gradient of 0 where it is 0."""
    square = ops.sum(x * x, axis=-1, keepdims=True)
    nothing = square == 0
    return ops.where(nothing, ops.zeros_like(square), ops.sqrt(ops.where(nothing, ops.ones_like(square), square)))


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """(N, P, 1) half the squared distance of the unit vectors; 1 where one of two vectors is 0."""
    a, b = a / scale(a), b / scale(b)
    of_a, of_b = length(a), length(b)
    one = ops.ones_like(of_a)
    a, b = a / ops.where(of_a == 0, one, of_a), b / ops.where(of_b == 0, one, of_b)
    half = ops.sum((a - b) ** 2, axis=-1, keepdims=True) / 2
    return ops.where(ops.logical_xor(of_a == 0, of_b == 0), one, half)
