"""Conditional boundary loss: features at a boundary are drawn to those of their class around them, and told from others."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_plugin import values
from keras_plugin.arithmetic import accumulator_dtype, ratio, scale_part
from keras_plugin.boundaries import wide_boundary
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.features import Features, features_of, neighbours, pairs, sampled
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import Loss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES
from shared_spec.features import offsets
from shared_spec.losses.boundary.conditional_boundary import TINY


class Places(NamedTuple):
    """``Features``, and at their places (N, H, W): what is predicted right, and the boundary; image_weight (N,)."""

    features: Features
    right: Tensor
    edge: Tensor
    image_weight: Tensor


@keras.saving.register_keras_serializable(package='segparity')
class ConditionalBoundaryLoss(Loss):
    """Three terms of features around boundary pixels: cosines, a frozen classifier on means, the distance to a mean.

    At the call: ``embedding`` (N, h, w, D); ``classifier``, the kernel (D, C) or (1, 1, D, C) and the bias (C,) of the layer
    that makes logits of features; ``boundary`` (N, H, W) of 0 and 1, made where it is not given. Pictures alone. Nothing
    to compare is 0, an ignored pixel has no part but in context, as ``ignored`` says. Parameters, call and errors:
    ``segparity show ConditionalBoundaryLoss``. Source: Wu et al., 2023.
    """

    spec_class = LOSSES['ConditionalBoundaryLoss']

    def __init__(
        self,
        *,
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        window: int = 5,
        weight_context: float = 1.0,
        weight_classify: float = 0.2,
        weight_a2c: float = 2.0,
        skip_class: int | None = None,
        ignored: str = 'differ',
        boundary_ratio: float = 0.02,
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def compute(  # type: ignore[override]
        self, batch: Batch, embedding: Any, classifier: Sequence[Any], boundary: Any = None
    ) -> Tensor:
        spec = self.spec
        places, wrong = self.places(batch, embedding, boundary)
        weight, bias = self.frozen(places.features.embedding, batch.channels, classifier)
        nothing = places.features.nothing + 0 * (ops.sum(weight) + ops.sum(bias))
        nothing = values.nan_where(nothing, wrong)
        context, means = self.context(places), self.of_means(places, weight, bias)
        sums = sum_over_replicas(dict(context=context, means=means, nothing=ops.cast(nothing, means.dtype)), spec.sync)
        of_all, all_weight, of_right, right_weight, gap = (sums['means'][k] for k in range(5))
        classify = over_classes(ratio(of_all, all_weight, 0.0) + ratio(of_right, right_weight, 0.0), right_weight)
        a2c = over_classes(ratio(gap, right_weight, 0.0), right_weight)
        context = ratio(sums['context'][0], sums['context'][1], 0.0)
        parts = (spec.weight_context, context), (spec.weight_classify, classify), (spec.weight_a2c, a2c)
        total = sum((scale_part(factor, part) for factor, part in parts), sums['nothing'])
        return ops.cast(spec.loss_weight * total, batch.dtype)

    def places(self, batch: Batch, embedding: Any, boundary: Any) -> tuple[Places, Tensor | None]:
        """What the three terms look at, and whether a boundary is none, where nobody has seen that it is one."""
        name, spec = type(self).__name__, self.spec
        features, wrong = features_of(name, batch, embedding, everywhere=spec.ignored == 'differ'), None
        size = tuple(features.label.shape[1:])
        if boundary is None:
            edge = wide_boundary(batch, spec.boundary_ratio)
        else:
            edge, wrong = self.given_edge(batch, boundary)
        edge = ops.logical_and(sampled(batch, edge, size), features.label >= 0)
        guess = sampled(batch, predicted_class(batch), size)
        return Places(features, guess == features.label, edge, batch.image_weight), wrong

    def given_edge(self, batch: Batch, boundary: Any) -> tuple[Tensor, Tensor | None]:
        """(N, P) the boundary that a call was given, and whether it is none, where nobody has seen that it is one."""
        given = values.as_numbers(values.to_tensor(boundary))
        self.spec.check_boundary(tuple(given.shape), (batch.given.shape[0], *batch.space))
        given, counts = ops.reshape(given, ops.shape(batch.counted_pixels)), batch.counted_pixels
        wrong = ops.logical_and(counts, ops.logical_not(ops.logical_or(given == 0, given == 1)))
        wrong = values.look(self.spec.check_boundary_values, wrong, given, counts)
        return given == 1, wrong if wrong is None else ops.any(wrong)

    def frozen(self, embedding: Tensor, channels: int, classifier: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """(D, C) and (C,) the classifier in the embedding's dtype, without a gradient."""
        if not isinstance(classifier, Sequence) or len(classifier) != 2:
            raise TypeError(f'{type(self).__name__}: classifier must be a pair of kernel and bias')
        weight, bias = (ops.stop_gradient(ops.cast(values.to_tensor(x), embedding.dtype)) for x in classifier)
        self.spec.check_classifier(tuple(weight.shape), tuple(bias.shape), channels, embedding.shape[-1], 'last')
        return ops.reshape(weight, (embedding.shape[-1], channels)), bias

    def context(self, places: Places) -> Tensor:
        """(2,) the sum over images of how far cosines are from what they should be, and the sum of the images' weights."""
        e, label, weight, _ = places.features
        squares = ops.sum(e * e, axis=-1, keepdims=True)
        none = squares == 0
        unit = e * ops.where(none, ops.zeros_like(squares), ops.rsqrt(ops.where(none, ops.ones_like(squares), squares)))
        wide, centre = accumulator_dtype(e), ops.logical_and(places.edge, inner(label.shape[1:], self.spec.window // 2))
        if self.spec.skip_class is not None:
            centre = ops.logical_and(centre, label != self.spec.skip_class)
        centre = ops.where(centre, weight, ops.zeros_like(weight))
        total = mass = ops.zeros_like(ops.cast(places.image_weight, wide))
        for step in offsets(self.spec.window, 2):
            if step < (0, 0):
                continue  # the same pairs, seen from the other pixel
            (one, other), (of_one, of_other), (own, theirs) = (pairs(x, step) for x in (unit, centre, label))
            if self.spec.ignored == 'mask':
                zero = ops.zeros_like(of_one)
                of_one, of_other = ops.where(theirs < 0, zero, of_one), ops.where(own < 0, zero, of_other)
            share = of_one + of_other
            cost = share * (ops.sum(one * other, axis=-1) - ops.cast(own == theirs, one.dtype)) ** 2
            total, mass = (old + ops.sum(ops.cast(x, wide), axis=(1, 2)) for old, x in ((total, cost), (mass, share)))
        images = ops.where(mass == 0, ops.zeros_like(mass), ops.cast(places.image_weight, wide))
        return ops.stack([ops.sum(images * ratio(total, mass, 0.0)), ops.sum(images)])

    def of_means(self, places: Places, weight: Tensor, bias: Tensor) -> Tensor:
        """(5, K) sums over the pixels of each class: cross-entropies and weights of m, and of r; squared distances to r."""
        e, label, w, _ = places.features
        scores = e @ weight  # of the classifier, which is as linear as a mean
        numbered = ops.concatenate([ops.ones_like(scores[..., :1]), scores], axis=-1)
        of_right = ops.where(places.right, label, -1 * ops.ones_like(label))
        nowhere, own_class = ops.zeros_like(w), ops.one_hot(label, max(2, bias.shape[0]), dtype=e.dtype)
        costs, share = [], ops.where(places.edge, w, nowhere)
        for codes, own in ((label, share), (of_right, ops.where(places.right, share, nowhere))):
            found = self.around(numbered, codes, label)
            number, z = found[..., 0], found[..., 1:] / (found[..., :1] + TINY) + bias
            z = z if z.shape[-1] > 1 else ops.concatenate([ops.zeros_like(z), z], axis=-1)
            loss = -ops.sum(own_class * ops.log_softmax(z, axis=-1), axis=-1)
            share = ops.where(number >= 1, own, nowhere)
            costs += [ops.where(share == 0, nowhere, share * loss), share]
        mean = self.around(ops.stop_gradient(e), of_right, label) / (ops.stop_gradient(found[..., :1]) + TINY)
        gap = ops.sum((e - mean) ** 2, axis=-1) / e.shape[-1]
        costs += [ops.where(share == 0, nowhere, share * gap)]
        wide, own_class = accumulator_dtype(e), ops.stop_gradient(own_class)
        of_lines = [ops.sum(ops.cast(x[..., None] * own_class, wide), axis=2) for x in costs]
        return ops.stack([ops.sum(x, axis=(0, 1)) for x in of_lines])

    def around(self, x: Tensor, codes: Tensor, label: Tensor) -> Tensor:
        """(N, H, W, K) the sum of x over the pixels of the window around each whose code is its own label."""
        total, zero = ops.zeros_like(x), ops.zeros_like(x)
        window = self.spec.window
        for code, other in zip(neighbours(codes, window, empty=-2), neighbours(x, window)):
            total = total + ops.where((code == label)[..., None], other, zero)
        return total


def predicted_class(batch: Batch) -> Tensor:
    """(N, P) int32 the class that has the largest logit or probability."""
    if batch.channels > 1:
        return ops.cast(ops.argmax(batch.pred, axis=-1), 'int32')
    return ops.cast(batch.pred[..., 0] > (0 if batch.logits else 0.5), 'int32')


def inner(size: Sequence[int], reach: int) -> Tensor:
    """(H, W) whether all pixels up to ``reach`` away lie in the image."""
    rows, columns = ((np.arange(n) >= reach) & (np.arange(n) < n - reach) for n in size)
    return ops.convert_to_tensor(rows[:, None] & columns)


def over_classes(x: Tensor, weight: Tensor) -> Tensor:
    """The mean of x (K,) over the classes whose weight is not 0; 0 where there is none."""
    some = weight != 0
    return ratio(ops.sum(ops.where(some, x, ops.zeros_like(x))), ops.sum(ops.cast(some, x.dtype)), 0.0)
