"""Conditional boundary loss: features at a boundary are drawn to those of their class around them, and told from others."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.checks import Choice, Integer, OddInteger, Optional, Real
from shared_spec.declare import Example, Weighted, as_shared, loss_spec, param
from shared_spec.features import (
    Features,
    as_float32,
    embedding_of_case,
    features_of,
    neighbours,
    sampled,
)
from shared_spec.inputs import Batch, prepare, scale_part
from shared_spec.metrics.boundary.spec import boundary
from shared_spec.shapes import as_text, may_be_equal
from shared_spec.typing import Shape

TINY = 1e-5  # added to the number of neighbours of which a mean is taken


@loss_spec
class ConditionalBoundaryLoss(Weighted):
    """Conditional boundary loss."""

    family = 'boundary'
    labels = ('hard',)
    spatial_axes = (2,)
    extras = ('embedding', 'classifier', 'boundary')
    needs = ('embedding', 'classifier')
    gradient_of = ('embedding',)
    title = 'Conditional boundary loss'
    formula = (
        'weight_context * context + weight_classify * classify + weight_a2c * a2c; context: mean over images of the mean over '
        'boundary pixels i and the pixels j around each of (cos(e_i, e_j) - [same class])^2; m_i and r_i the sums of the '
        'e_j of the same class, r of those predicted right, over their number + 1e-5; classify: mean over classes of the '
        'mean cross-entropy of the classifier on m plus that on r; a2c: mean over classes of the mean of (e_i - r_i)^2, r '
        'detached, where i itself is predicted right'
    )
    source = (
        'Wu et al.: Conditional boundary loss for semantic segmentation, 2023; dywu98/CBL-Conditional-Boundary-Loss'
    )
    remarks = (
        'Of the official code, which has neither a temperature nor the other pairs of the paper. pred says what is '
        'predicted right and gets no gradient, and neither does the classifier. Pictures alone. Labels, weights and '
        'predictions are sampled at the places of an embedding of another size, nearest. Context leaves out boundary pixels '
        'whose window is cut by the border of the image and those of skip_class (0 officially); r has a part where it has a '
        'pixel and i is predicted right, m where it has one. A class without an r counts in neither mean. A boundary that '
        "is not given: what boundary_ratio * diagonal erosions by the 3 x 3 square take from each class's mask, to which what "
        'is beyond the image or does not count is outside. What is averaged weighs as the boundary pixel i, an image weight in '
        'the mean over images too; a pixel that does not count is no neighbour, but in context one of another class unless '
        "ignored='mask'. An embedding of 0 has cosine 0. One channel is told from its background, whose logit is 0."
    )

    from_logits: bool = as_shared('from_logits')
    ignore_index: int | None = as_shared('ignore_index')
    sync: bool = as_shared('sync')
    window: int = param(5, OddInteger(low=3), 'height and width of the square around a boundary pixel')
    weight_context: float = param(1.0, Real(low=0), 'factor on the cosines')
    weight_classify: float = param(0.2, Real(low=0), 'factor on the cross-entropy of the means')
    weight_a2c: float = param(2.0, Real(low=0), 'factor on the squared distance to the mean')
    skip_class: int | None = param(
        None, Optional(Integer(low=0)), 'a class whose boundary pixels have no part in context, 0 in the official code'
    )
    ignored: str = param(
        'differ',
        Choice('differ', 'mask'),
        'whether pixels that do not count are in context pixels of another class, as in the official code, or have no part',
    )
    boundary_ratio: float = param(
        0.02, Real(low=0, high=1, above=True), "width of a boundary that the loss makes over the image's diagonal"
    )

    examples = {
        'small': Example(dict(window=3, ignored='mask')),
        'official': Example(dict(window=3, skip_class=0, weight_a2c=0.5, loss_weight=0.7)),
        'default': Example(dict(weight_classify=1.0, ignored='mask')),
    }

    activation = 'softmax'

    def adapt_case(
        self, pred: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """An embedding that is larger by a pixel along each axis, with a classifier; skip_class: and with a boundary."""
        size = tuple(n + 1 for n in pred.shape[2:])
        x = embedding_of_case(rng, len(pred), size, None if self.ignored == 'differ' else self.ignore_index, target)
        weight, bias = (as_float32(rng.normal(0, 1, (pred.shape[1], *more))) for more in (x.shape[1:2], ()))
        extras = {'embedding': x, 'classifier': (weight, bias)}
        if self.skip_class is not None:
            boundary = rng.integers(0, 2, (len(pred), *pred.shape[2:]))
            absent = np.reshape(target, boundary.shape) == self.ignore_index if target.size == boundary.size else False
            extras['boundary'] = np.where(absent, 255, boundary)
        return pred, extras

    def held(
        self, pred: ArrayLike, target: ArrayLike, pixel_weight: ArrayLike | None = None, **extras: Any
    ) -> dict[str, Any]:
        batch = prepare(self, pred, target, pixel_weight, extras.get('ignore_index'))
        places = self.places(batch, extras['embedding'])
        return {'means': self.means(places, places.right)[0]}

    def check_classifier(self, weight: Shape, bias: Shape, channels: int, depth: int, layout: str = 'first') -> None:
        """ValueError for a classifier of other shapes than a layer on the embedding has them, and for a skip_class of none."""
        classes = max(channels, 2)
        if self.skip_class is not None and self.skip_class >= classes:
            raise ValueError(
                f'{type(self).__name__}: skip_class must be one of the {classes} classes, 0 to {classes - 1}, got '
                f'{self.skip_class}'
            )
        wanted, ones = ((channels, depth), (1, 1)) if layout == 'first' else ((depth, channels), (1, 1))
        kernels = [wanted, (*wanted, *ones) if layout == 'first' else (*ones, *wanted)]
        if tuple(weight) not in kernels or tuple(bias) != (channels,):
            raise ValueError(
                f'{type(self).__name__}: classifier must be a pair of shapes {wanted} and {(channels,)}, for the {channels} '
                f'channels of pred and the {depth} of embedding, got {tuple(weight)} and {tuple(bias)}'
            )

    def of_batch(
        self,
        batch: Batch,
        embedding: ArrayLike,
        classifier: Sequence[ArrayLike],
        boundary: ArrayLike | None = None,
        means: np.ndarray | None = None,
    ) -> float:
        """The loss of a ``Batch``; means: the r of ``a2c``, which have no gradient, made where it is None."""
        places = self.places(batch, embedding, boundary)
        weight, bias = (np.asarray(x, np.float64) for x in classifier)
        channels, depth = batch.prob.shape[1], places.features.embedding.shape[1]
        self.check_classifier(weight.shape, bias.shape, channels, depth)
        if not (places.features.sound and np.isfinite(weight).all() and np.isfinite(bias).all()):
            return float('nan')
        classify, a2c = self.of_means(places, weight.reshape(channels, depth), bias, means)
        parts = (self.weight_context, self.context(places)), (self.weight_classify, classify), (self.weight_a2c, a2c)
        return self.loss_weight * sum(scale_part(factor, part) for factor, part in parts)

    def places(self, batch: Batch, embedding: ArrayLike, boundary: ArrayLike | None = None) -> 'Places':
        """What the three parts look at."""
        features = features_of(type(self).__name__, batch, embedding, everywhere=self.ignored == 'differ')
        size, shape = features.label.shape[1:], (len(batch.weight), *batch.space)
        z = batch.prob if batch.logits is None else batch.logits
        right = (z[:, 0] > (batch.logits is None) / 2 if z.shape[1] == 1 else z.argmax(1)).astype(int)
        edge = self.edges(batch) if boundary is None else self.given_edges(batch, np.asarray(boundary))
        edge = sampled(edge.reshape(shape), size) & (features.weight > 0)
        return Places(features, sampled(right.reshape(shape), size) == features.label, edge, batch.image_weight)

    def edges(self, batch: Batch) -> np.ndarray:
        """(N, P) the boundary of the labels."""
        counts, y = batch.weight > 0, batch.target
        y = y if y.shape[1] > 1 else np.concatenate([1 - y, y], 1)
        masks = ((y > 0.5) & counts[:, None]).reshape(-1, *batch.space)
        found = [boundary(mask, self.boundary_ratio) for mask in masks]
        return np.any(np.reshape(found, y.shape), axis=1)

    def given_edges(self, batch: Batch, given: np.ndarray) -> np.ndarray:
        """(N, P) the boundary that a call was given; refuses what is none with ValueError."""
        self.check_boundary(given.shape, (len(batch.weight), *batch.space))
        given = given.reshape(batch.weight.shape)
        self.check_boundary_values(given, batch.weight > 0)
        return given == 1

    def check_boundary(self, shape: Shape, wanted: Shape) -> None:
        """ValueError for a map that is no map of the labels' pixels."""
        if not may_be_equal(tuple(shape), tuple(wanted)):
            raise ValueError(
                f'{type(self).__name__}: boundary must have one number for each pixel of the labels, {as_text(wanted)}, got '
                f'shape {as_text(tuple(shape))}'
            )

    def check_boundary_values(self, given: np.ndarray, counts: np.ndarray) -> None:
        """ValueError for numbers other than 0 and 1 where pixels count."""
        wrong = counts & (given != 0) & (given != 1)
        if wrong.any():
            raise ValueError(
                f'{type(self).__name__}: boundary must be 1 or 0 where a pixel counts, got {given[wrong].flat[0]:g}'
            )

    def context(self, places: 'Places') -> float:
        """The mean over images of how far cosines are from what they should be."""
        e, label, weight, _ = places.features
        length = np.sqrt((e**2).sum(1, keepdims=True))
        unit = e / np.where(length > 0, length, 1)
        centre = np.where(places.edge & (label != self.skip_class), weight, 0) * self.is_inner(label.shape[1:])
        total, pairs = np.zeros(len(e)), np.zeros(len(e))
        for there, other in zip(neighbours(label + 1, self.window), neighbours(unit, self.window)):
            same = there - 1 == label
            share = centre * ((there > 0) if self.ignored == 'mask' else 1)
            total += (share * ((unit * other).sum(1) - same) ** 2).sum((1, 2))
            pairs += share.sum((1, 2))
        some = pairs > 0
        image_weight = places.image_weight[some]
        return float((image_weight * total[some] / pairs[some]).sum() / image_weight.sum()) if some.any() else 0.0

    def is_inner(self, size: Sequence[int]) -> np.ndarray:
        """(*size) whether the whole window of a pixel lies in the image."""
        within = [np.minimum(np.arange(n), n - 1 - np.arange(n)) >= self.window // 2 for n in size]
        return within[0][:, None] & within[1]

    def means(self, places: 'Places', chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, D, *size) the mean of the ``chosen`` neighbours of the same class, and (N, *size) how many there are."""
        e, label, *_ = places.features
        total, number = np.zeros_like(e), np.zeros(label.shape)
        of_class = np.where(chosen, label + 1, 0)
        for there, other in zip(neighbours(of_class, self.window), neighbours(e, self.window)):
            same = there == label + 1
            total += np.where(same[:, None], other, 0)
            number += same
        return total / (number + TINY)[:, None], number

    def of_means(
        self, places: 'Places', weight: np.ndarray, bias: np.ndarray, detached: np.ndarray | None
    ) -> tuple[float, float]:
        """classify and a2c: means over the classes that have boundary pixels and neighbours predicted right."""
        e, label, w, _ = places.features
        (m, of_m), (r, of_r) = self.means(places, label >= 0), self.means(places, places.right)
        detached = r if detached is None else detached
        classify, a2c = [], []
        for c in range(max(2, len(bias))):
            own = np.where(places.edge & (label == c), w, 0)
            of_all, of_right = own * (of_m >= 1), own * (of_r >= 1) * places.right
            if not of_right.any():
                continue
            parts = [(of_all * cross_entropy(m, weight, bias, c)).sum() / of_all.sum()]
            parts += [(of_right * cross_entropy(r, weight, bias, c)).sum() / of_right.sum()]
            classify.append(sum(parts))
            a2c.append((of_right * ((e - detached) ** 2).mean(1)).sum() / of_right.sum())
        return (float(np.mean(classify)), float(np.mean(a2c))) if a2c else (0.0, 0.0)


class Places(NamedTuple):
    """``Features``, and at their places (N, *size): what is predicted right, and the boundary; image_weight (N,)."""

    features: Features
    right: np.ndarray
    edge: np.ndarray
    image_weight: np.ndarray


def cross_entropy(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, own: int) -> np.ndarray:
    """(N, *size) of a linear classifier on x (N, D, *size) against a class; one channel is told from a logit of 0."""
    z = np.moveaxis(np.moveaxis(x, 1, -1) @ weight.T + bias, -1, 1)
    z = z if len(bias) > 1 else np.concatenate([np.zeros_like(z), z], 1)
    return np.logaddexp.reduce(z, axis=1) - z[:, own]
