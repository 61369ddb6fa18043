"""Pixel triplet loss: a feature at a boundary is nearer to those of its class around it than to those of others."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import backend, ops

from keras_plugin import values
from keras_plugin.active_boundaries import at, places_up_to
from keras_plugin.arithmetic import accumulator_dtype, at_least, cumulative_sum, ratio
from keras_plugin.boundaries import class_edges
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.features import features_of
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import Loss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES
from shared_spec.features import offsets


class Anchors(NamedTuple):
    """(N, A) the places of anchors in flattened maps, and which of them are some; wrong: whether any is none, if unseen."""

    places: Tensor
    some: Tensor
    wrong: Tensor | None = None


@keras.saving.register_keras_serializable(package='segparity')
class PixelTripletLoss(Loss):
    """max(0, d(a, p) - d(a, n) + margin) over the pixels p of the class of a and n of others around boundary pixels a.

    At the call: ``embedding`` (N, *size, D); ``anchors`` (N, A), the places of the a in the flattened embedding or -1, in
    place of those that the loss takes from the labels, evenly spaced where there are more than ``samples``. Without a
    triplet it is 0; an ignored pixel has no part. Parameters, call and errors: ``segparity show PixelTripletLoss``.
    Source: Wen et al., 2022.
    """

    spec_class = LOSSES['PixelTripletLoss']

    def __init__(
        self,
        *,
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        margin: float = 10.0,
        window: int = 5,
        samples: int = 1024,
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def compute(self, batch: Batch, embedding: Any, anchors: Any = None) -> Tensor:  # type: ignore[override]
        spec, features = self.spec, features_of(type(self).__name__, batch, embedding)
        e, size = features.embedding, tuple(features.label.shape[1:])
        n, pixels = ops.shape(e)[0], math.prod(size)
        e, label, weight = (
            ops.reshape(x, (n, pixels, k)) for x, k in ((e, e.shape[-1]), (features.label, 1), (features.weight, 1))
        )
        chosen = self.anchors(features.label) if anchors is None else self.given_anchors(anchors, label)
        there, around = neighbours(chosen.places, size, spec.window)
        own, others = at(label, chosen.places), at(label, around)[..., 0]
        there = ops.logical_and(there, others >= 0)
        same, differs = ops.logical_and(there, others == own), ops.logical_and(there, others != own)
        far = distances(e, chosen.places, around)
        costs = at_least(far[..., :, None] - far[..., None, :] + spec.margin, 0)
        costs = ops.where(ops.logical_and(same[..., :, None], differs[..., None, :]), costs, ops.zeros_like(costs))
        weight = at(weight, chosen.places)[..., 0]
        weight = ops.where(ops.logical_and(chosen.some, own[..., 0] >= 0), weight, ops.zeros_like(weight))
        wide = accumulator_dtype(e)
        number = ops.prod(ops.stack([ops.sum(ops.cast(x, wide), axis=2) for x in (same, differs)]), axis=0)
        weight = ops.cast(weight, wide)
        loss, mass = ops.sum(weight * ops.cast(ops.sum(costs, axis=(2, 3)), wide)), ops.sum(weight * number)
        nothing = ops.cast(values.nan_where(features.nothing, chosen.wrong), wide)
        sums = sum_over_replicas(dict(loss=loss, mass=mass, nothing=nothing), spec.sync)
        return ops.cast(spec.loss_weight * (ratio(sums['loss'], sums['mass'], 0.0) + sums['nothing']), batch.dtype)

    def anchors(self, label: Tensor) -> Anchors:
        """Pixels of maps (N, *size) at the edge of their class, ``samples`` of an image at most; as many as there may be."""
        pixels = math.prod(label.shape[1:])
        edge = ops.reshape(class_edges(label, self.spec.window // 2), (ops.shape(label)[0], pixels))
        order = ops.cast(cumulative_sum(ops.cast(edge, 'int32')), 'int32')
        count, most = order[:, -1:], min(self.spec.samples, pixels)
        number = ops.where(count > most, most * ops.ones_like(count), count)
        k, of = ops.arange(most, dtype='int32'), ops.where(number > 0, number, ops.ones_like(number))
        ordinal = k * (count // of) + k * (count % of) // of + 1  # floor(k * count / of), that many of which lie before
        return Anchors(places_up_to(order, ordinal), k < number)

    def given_anchors(self, anchors: Any, label: Tensor) -> Anchors:
        """Those that a call was given for maps (N, P, 1)."""
        anchors, pixels = values.to_tensor(anchors), label.shape[1]
        kind = backend.standardize_dtype(anchors.dtype)
        self.spec.check_anchors(tuple(anchors.shape), backend.is_int_dtype(kind), kind, label.shape[0])
        anchors = values.as_numbers(anchors)
        wrong = ops.logical_or(anchors < -1, anchors >= pixels)
        wrong = values.look(lambda x: self.spec.check_places(x, pixels), wrong, anchors)
        places = ops.cast(ops.where(ops.logical_and(anchors >= 0, anchors < pixels), anchors, 0 * anchors), 'int32')
        return Anchors(places, anchors >= 0, wrong if wrong is None else ops.any(wrong))


def neighbours(places: Tensor, size: Sequence[int], window: int) -> tuple[Tensor, Tensor]:
    """(N, A, W) each: whether the other pixels of the windows around places (N, A) lie in the image, and their places."""
    own = places[..., None]
    there, around = True, ops.zeros_like(own)
    for axis, (length, steps) in enumerate(zip(size, np.array(offsets(window, len(size)), 'int32').T)):
        stride = math.prod(size[axis + 1 :])
        moved = own // stride % length + ops.convert_to_tensor(steps)
        there = ops.logical_and(there, ops.logical_and(moved >= 0, moved < length))
        around = around + moved * stride
    return there, ops.where(there, around, own)


def distances(x: Tensor, places: Tensor, around: Tensor) -> Tensor:
    """(N, A, W) how far x (N, P, D) at places (N, A) is from what it is around them; a distance of 0 has the gradient 0."""
    squares = ops.sum((at(x, places)[:, :, None] - at(x, around)) ** 2, axis=-1)
    none = squares == 0
    return ops.where(none, ops.zeros_like(squares), ops.sqrt(ops.where(none, ops.ones_like(squares), squares)))
