"""Pixel triplet loss: a feature at a boundary is nearer to those of its class around it than to those of others."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.checks import Integer, OddInteger, Real
from shared_spec.declare import Example, Weighted, as_shared, loss_spec, param
from shared_spec.features import Features, class_edges, embedding_of_case, features_of, offsets
from shared_spec.inputs import Batch, prepare
from shared_spec.shapes import as_text, may_be_equal
from shared_spec.typing import Shape

FEW = 8  # samples below which the checks give anchors


@loss_spec
class PixelTripletLoss(Weighted):
    """Pixel triplet loss."""

    family = 'boundary'
    spatial_axes = (1, 2, 3)
    labels = ('hard',)
    extras = ('embedding', 'anchors')
    needs = ('embedding',)
    gradient_of = ('embedding',)
    title = 'Pixel triplet loss'
    formula = (
        'mean over the triplets (a, p, n) of max(0, d(a, p) - d(a, n) + margin), d the Euclidean distance of embeddings, a a '
        'pixel at the edge of its class, p and n the pixels of its class and of others in the window around it'
    )
    source = (
        'Wen et al.: Pixel-wise triplet learning for enhancing boundary discrimination in medical image segmentation, 2022; '
        'margin, distance and embeddings without a norm of 1 as in the usage that its authors show '
        '(torch.nn.TripletMarginLoss(margin=10); 0.005 for anchors of the foreground and as much for others, beside a Dice loss)'
    )
    remarks = (
        'By the formula; there is no official code to compare with. Every positive in the window meets every negative in it. '
        'pred is looked at for its shape alone and gets no gradient. Labels and weights are sampled at the places of an '
        'embedding of another size, nearest. A is at the edge where the next pixel along an axis has another class, ignored '
        'pixels left out as far as the window reaches: a thin line of them between classes hides no edge. An '
        'image with more such pixels than samples has samples of them, evenly spaced in row-major order, the same every '
        'time; others are given as anchors. A triplet weighs as its anchor, and a pixel that does not count has no part in '
        'any. Without a triplet the loss is 0. A distance of 0 has the gradient 0.'
    )

    from_logits: bool = as_shared('from_logits')
    ignore_index: int | None = as_shared('ignore_index')
    sync: bool = as_shared('sync')
    margin: float = param(10.0, Real(low=0), 'by how much a pixel of the same class has to be nearer')
    window: int = param(5, OddInteger(low=3), 'the side of the square or cube around an anchor')
    samples: int = param(1024, Integer(low=1, high=2**15), 'how many anchors an image has at most')

    examples = {
        'small': Example(dict(window=3, margin=1.0)),
        'few': Example(dict(margin=0.5, samples=3, loss_weight=0.7)),
        'default': Example(),
    }

    activation = 'softmax'

    def adapt_case(
        self, pred: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """An embedding that is longer by a pixel; to few samples anchors are given."""
        size = (*pred.shape[2:-1], pred.shape[-1] + 1)
        extras = {'embedding': embedding_of_case(rng, len(pred), size, self.ignore_index, target)}
        if self.samples < FEW:
            extras['anchors'] = rng.integers(-1, math.prod(size), (len(pred), FEW))
        return pred, extras

    def held(
        self, pred: ArrayLike, target: ArrayLike, pixel_weight: ArrayLike | None = None, **extras: Any
    ) -> dict[str, Any]:
        batch = prepare(self, pred, target, pixel_weight, extras.get('ignore_index'))
        features = features_of(type(self).__name__, batch, extras['embedding'])
        return {'active': [gap > 0 for _, gap in self.gaps(features, extras.get('anchors'))]}

    def of_batch(
        self,
        batch: Batch,
        embedding: ArrayLike,
        anchors: ArrayLike | None = None,
        active: Sequence[np.ndarray] | None = None,
    ) -> float:
        """The loss of a ``Batch``; active: which triplets of each anchor cost something, those of which it is true if None."""
        features = features_of(type(self).__name__, batch, embedding)
        found = list(self.gaps(features, anchors))
        active = active or [gap > 0 for _, gap in found]
        total = sum(weight * (gap * costs).sum() for (weight, gap), costs in zip(found, active))
        mass = sum(weight * gap.size for weight, gap in found)
        if not features.sound:
            return math.nan
        return float(self.loss_weight * total / mass) if mass > 0 else 0.0

    def gaps(self, features: Features, anchors: ArrayLike | None) -> Iterator[tuple[float, np.ndarray]]:
        """Of each anchor its weight, and d(a, p) - d(a, n) + margin of its p and n, (P, M)."""
        e, label, weight, _ = features
        places = self.anchors(label) if anchors is None else self.given_anchors(np.asarray(anchors), label.shape)
        for image, chosen in enumerate(places):
            for place in chosen:
                at = np.unravel_index(place, label.shape[1:])
                if label[image][at] >= 0:
                    nearer, farther = self.distances(e[image], label[image], at)
                    yield weight[image][at], nearer[:, None] - farther + self.margin

    def distances(self, e: np.ndarray, label: np.ndarray, at: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
        """From a pixel of an image to those of its class in its window, and to those of others."""
        around = np.array(at) + offsets(self.window, label.ndim)
        others = tuple(around[((around >= 0) & (around < label.shape)).all(1)].T)
        x = np.moveaxis(e, 0, -1)
        length = np.sqrt(((x[others] - x[at]) ** 2).sum(1))
        same = label[others] == label[at]
        return length[same], length[~same & (label[others] >= 0)]

    def anchors(self, label: np.ndarray) -> list[np.ndarray]:
        """The places of each image at the edge of their class, in row-major order, ``samples`` of them at most."""
        found = [np.flatnonzero(image) for image in class_edges(label, self.window // 2)]
        return [
            places[[k * len(places) // self.number(places) for k in range(self.number(places))]] for places in found
        ]

    def number(self, places: np.ndarray) -> int:
        """How many anchors an image with these candidates has."""
        return min(self.samples, len(places))

    def given_anchors(self, anchors: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
        """The places of each image that a call was given."""
        self.check_anchors(anchors.shape, anchors.dtype.kind in 'iu', anchors.dtype, shape[0])
        self.check_places(anchors, math.prod(shape[1:]))
        return [image[image >= 0] for image in anchors]

    def check_anchors(self, shape: Shape, whole: bool, dtype: object, images: int | None) -> None:
        """TypeError or ValueError for what are no anchors."""
        owner = type(self).__name__
        if not whole:
            raise TypeError(f'{owner}: anchors must be integers, got {dtype}')
        if len(shape) != 2 or not may_be_equal(shape[:1], (images,)):
            raise ValueError(
                f'{owner}: anchors must be (N, A) with N = {"?" if images is None else images}, got {as_text(tuple(shape))}'
            )

    def check_places(self, anchors: np.ndarray, pixels: int) -> None:
        """ValueError for anchors that are no pixels."""
        wrong = (anchors < -1) | (anchors >= pixels)
        if wrong.any():
            raise ValueError(
                f'{type(self).__name__}: anchors must be -1 or below the {pixels} pixels of embedding, got {anchors[wrong][0]}'
            )
