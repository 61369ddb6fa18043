"""Active boundary loss: predicted boundaries move, a pixel at a time, towards those of the labels."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_plugin import values
from keras_plugin.active_boundaries import (
    at,
    distributions,
    divergence,
    edges_of,
    neighbours,
    places_of,
    predicted,
    whole,
)
from keras_plugin.arithmetic import accumulator_dtype, at_least, clip, largest, ratio
from keras_plugin.distance import distance_to
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.inputs import Batch, prepare
from keras_plugin.losses.boundary.maps import Mapped
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES

ROUNDING = 2.0**-22  # of a root, which some devices round down where it is whole


@keras.saving.register_keras_serializable(package='segparity')
class ActiveBoundaryLoss(Mapped):
    """Cross-entropy of the direction in which each predicted boundary pixel has the boundary of the labels.

    ``distance_map`` (N, H, W) or (N, H, W, 1) at the call, or packed with the labels, is max(floor(d) - 1, 0), d the
    distance to the nearest boundary of the labels; else the loss makes it. Pictures alone. Without a boundary, and of an
    empty batch, it is 0; an ignored pixel counts nowhere unless ``ignored`` says so. Parameters, call and errors:
    ``segparity show ActiveBoundaryLoss``. Source: arXiv 2102.02696.
    """

    spec_class = LOSSES['ActiveBoundaryLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        spacing: Sequence[float] | None = None,
        label_smoothing: float = 0.2,
        max_clip_distance: float = 20.0,
        max_boundary_ratio: float = 0.01,
        detach: bool = True,
        budget: str = 'image',
        ignored: str = 'mask',
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def batch_of_call(self, y_true: Any, y_pred: Tensor, sample_weight: Tensor | None) -> Batch:
        """The batch; with ignored='boundary' one of pixels that all count, with the map of the labels as they came."""
        batch = super().batch_of_call(y_true, y_pred, sample_weight)
        if self.spec.ignored == 'mask':
            return batch
        weight = batch.labels_weight
        weight = ops.where(batch.counted_pixels, weight, batch.image_weight[:, None] * ops.ones_like(weight))
        weight = ops.reshape(weight, (ops.shape(weight)[0], *batch.sizes))
        spec = dataclasses.replace(self.spec, ignore_index=None)
        other = prepare(spec, ops.zeros_like(weight, dtype='int32'), y_pred, weight, self.dtype)
        other.distance_map = batch.distance_map
        return other

    def compute(self, batch: Batch) -> Tensor:
        self.spec.check_activation(batch.channels)
        maps = batch.distance_map[..., 0]
        places, some = places_of(predicted(batch, self.spec), self.spec)
        cost, moves = self.costs(batch, batch.pred, maps, places)
        v = at(batch.weight[..., None], places)[..., 0]
        v = ops.where(ops.logical_and(some, moves), v, ops.zeros_like(v))
        cost = ops.where(v == 0, ops.zeros_like(cost), v * cost)
        loss, share = (ops.sum(ops.cast(x, accumulator_dtype(x))) for x in (cost, v))
        zero = ops.zeros_like(loss)
        loss = loss + ops.where(ops.all(ops.isfinite(maps)), zero, zero + np.nan)
        if batch.doubted or not (values.is_seen_finite(batch.given) and values.is_seen_finite(maps)):
            loss = loss + ops.cast(ops.sum(batch.zero_loss), loss.dtype)
        parts = sum_over_replicas(dict(loss=loss, share=share), self.spec.sync)
        return ops.cast(self.spec.loss_weight * ratio(parts['loss'], parts['share'], 0.0), batch.dtype)

    def costs(self, batch: Batch, z: Tensor, maps: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """(N, K) the cost of pixels at places (N, K), and whether a neighbour is nearer to a boundary than they are."""
        there, around = neighbours(batch, places)
        own, far = at(maps[..., None], places)[..., 0], at(maps[..., None], around)[..., 0]
        far = ops.concatenate([ops.where(there, far, np.inf * ops.ones_like(far)), own[:, None]], axis=1)
        nearest = far == -largest(-far, axis=1, keepdims=True, least=-np.inf)
        before = ops.convert_to_tensor(np.arange(far.shape[1], 0, -1)[:, None], dtype=batch.dtype)
        first = largest(ops.where(nearest, before, ops.zeros_like(far)), axis=1)  # of several; the pixel is the last
        target = far.shape[1] - ops.cast(first, 'int32')
        p, log_p = distributions(batch, at(ops.stop_gradient(z) if self.spec.detach else z, around))
        _, log_own = distributions(batch, at(z, places))
        cost = self.cross_entropy(divergence(p, log_p, log_own[:, None]), target)
        share = clip(own, 0, self.spec.max_clip_distance) / self.spec.max_clip_distance
        return ops.where(share <= 0, ops.zeros_like(cost), share * cost), target < far.shape[1] - 1

    def cross_entropy(self, scores: Tensor, target: Tensor) -> Tensor:
        """(N, K) of scores (N, 8, K) and the direction to take (N, K), 0 where there is none; infinite where a score is."""
        infinite = ops.any(ops.isinf(scores), axis=1)
        log = ops.log_softmax(ops.where(infinite[:, None], ops.zeros_like(scores), scores), axis=1)
        other = self.spec.label_smoothing / scores.shape[1]
        is_target = target[:, None] == ops.arange(scores.shape[1], dtype=target.dtype)[:, None]
        own = (1 - self.spec.label_smoothing - other) * ops.sum(ops.where(is_target, log, ops.zeros_like(log)), axis=1)
        cost = -(own + other * ops.sum(log, axis=1))
        return ops.where(infinite, np.inf * ops.ones_like(cost), cost)

    def make_map(self, inside: Tensor, valid: Tensor, dtype: str) -> Tensor:
        labels, masked = ops.concatenate([inside, valid], axis=-1), self.spec.ignored == 'mask'
        edges = edges_of(labels, valid if masked else None)
        edges = edges if masked else ops.logical_or(edges, ops.logical_not(valid))
        distance = distance_to(edges, self.spec.spacing, dtype)
        return at_least(ops.cast(whole(distance * (1 + ROUNDING)), dtype) - 1, 0)
