"""Distances between feature vectors, such as those of a student and of its teacher."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared_spec import shapes
from shared_spec.checks import Choice
from shared_spec.declare import Example, Weighted, as_shared, loss_spec, param
from shared_spec.inputs import Batch, reduce_pixels
from shared_spec.typing import Shape

DISTANCES = ('jaccard', 'dice', 'l1', 'l2', 'cosine')
FEATURES = ('features',)
OF_SETS = ('jaccard', 'dice')  # which compare shares of a whole, so that a negative number has no meaning


@loss_spec
class FeatureDistanceLoss(Weighted):
    """Distance between two vectors of features, of each sample or of each pixel."""

    family = 'pixel'
    labels = FEATURES
    reductions = ('mean', 'sum', 'none')
    activation, from_logits, ignore_index = 'sigmoid', True, None  # of features nothing of these is asked
    title = 'Distance between feature vectors'
    formula = (
        'mean over samples of d(a, b), sums over the K features: jaccard = 1 - sum min(a, b) / sum max(a, b); '
        'dice = sum |a - b| / sum (a + b); l1 = sum |a - b|; l2 = sqrt(sum (a - b)^2); cosine = 1 - a.b / (|a| |b|)'
    )
    source = (
        'Wang, Ning, Blaschko: Jaccard Metric Losses, arXiv 2302.05666 (a distance between vectors, future work); '
        'Kosub: A note on the triangle inequality for the Jaccard distance, arXiv 1612.02696'
    )
    remarks = (
        'pred and target both hold features, (N, K) or (N, K, *space), in Keras (N, *space, K), of which every pixel is '
        'a sample; a weight of 0 leaves a sample out, no label does. The target is a constant, as labels are, and gets no gradient. '
        'jaccard and dice want features >= 0, such as those behind a ReLU, and lie in [0, 1], whatever the scale; jaccard, '
        'l1 and l2 are metrics, dice and cosine are not: they break the triangle inequality. Two zero vectors are at '
        'distance 0, of one the distance is 1 by jaccard, dice and cosine. Where a = b in a feature, |a - b| has the slope 0, '
        'and so has l2 where the vectors are equal. Features of NaN or infinity make the loss NaN.'
    )
    mmseg_line = "loss = dict(type='FeatureDistanceLoss', distance='jaccard')  # of a head that hands over two features"
    torch_line = "loss = FeatureDistanceLoss(distance='jaccard')  # loss(features, features_of_teacher)"
    keras_line = "loss = losses.FeatureDistanceLoss(distance='jaccard')  # y_true: features of the teacher"

    sync: bool = as_shared('sync')
    distance: str = param('jaccard', Choice(*DISTANCES), 'between the two vectors of a sample')

    examples = {
        'default': Example(labels=FEATURES),
        **{name: Example(dict(distance=name), labels=FEATURES) for name in ('dice', 'l1', 'cosine')},
        'l2': Example(dict(distance='l2', loss_weight=0.3), labels=FEATURES),
    }

    def check_call(self, pred: Shape, target: Shape, target_is_float: bool, dtype: object, layout: str) -> None:
        """ValueError or TypeError for a target that holds no features of pred's shape."""
        owner = type(self).__name__
        shapes.check_pred(owner, pred, layout, self.spatial_axes)
        if not shapes.may_be_equal(tuple(target), tuple(pred)):
            raise ValueError(
                f"{owner}: target must hold features of pred's shape {shapes.as_text(tuple(pred))}, got shape "
                f'{shapes.as_text(tuple(target))}'
            )
        if 0 in shapes.split(tuple(pred), layout)[1:2]:
            raise ValueError(f'{owner}: pred must have features, got shape {shapes.as_text(tuple(pred))}')
        if not target_is_float:
            raise TypeError(f'{owner}: target must be floating point features, got {dtype}')

    @property
    def refuses_negative(self) -> bool:
        return self.distance in OF_SETS

    def check_signs(self, features: ArrayLike, counts: ArrayLike) -> None:
        """ValueError for negative features that count, where the distance has no meaning for them."""
        features = np.asarray(features)
        wrong = (features < 0) & np.asarray(counts)
        if wrong.any():
            raise ValueError(
                f'{type(self).__name__}: distance={self.distance!r} needs features >= 0, such as those behind a ReLU, got '
                f"{features[wrong].flat[0]:g}; 'l1', 'l2' and 'cosine' take any"
            )

    def reference(
        self,
        pred: ArrayLike,
        target: ArrayLike,
        pixel_weight: ArrayLike | None = None,
        ignore_index: int | None = None,
        **extras: Any,
    ) -> float | Any:
        """As ``LossSpec.reference``; ``target`` holds features of pred's shape."""
        pred, target = np.asarray(pred), np.asarray(target)
        self.check_call(pred.shape, target.shape, target.dtype.kind == 'f', target.dtype, 'first')
        labels = np.zeros((*pred.shape[:1], *pred.shape[2:]), int)  # of which none is looked at
        return super().reference(pred, labels, pixel_weight, features=target, **extras)

    def of_batch(self, batch: Batch, features: np.ndarray, reduction: str = 'mean') -> float | np.ndarray:
        """The loss of a ``Batch`` whose logits are features, and of those of the target; a map for the reduction 'none'."""
        a, v = np.asarray(batch.logits), batch.weight
        counts = v[:, None] > 0
        b = np.where(counts, features.astype(np.float64).reshape(a.shape), 0)
        if self.refuses_negative:
            for x in (a, b):
                self.check_signs(x, counts)
        finite = np.isfinite(a).all(1) & np.isfinite(b).all(1)
        with np.errstate(invalid='ignore'):
            loss = self.loss_weight * np.where(finite, self.between(a, b), np.nan)
        return reduce_pixels(batch, np.where(v > 0, v * loss, 0), reduction)

    def between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The distances of vectors along axis 1."""
        gap = np.abs(a - b).sum(1)
        if self.distance == 'l1':
            return np.asarray(gap)
        if self.distance == 'l2':
            return np.sqrt(((a - b) ** 2).sum(1))
        if self.distance == 'cosine':
            lengths = np.sqrt((a**2).sum(1)) * np.sqrt((b**2).sum(1))
            neither = (a == 0).all(1) & (b == 0).all(1)
            cosine = np.where(lengths > 0, (a * b).sum(1) / np.where(lengths > 0, lengths, 1), 0)
            return np.where(neither, 0, 1 - cosine)
        smaller, larger = np.minimum(a, b).sum(1), np.maximum(a, b).sum(1)
        whole = larger if self.distance == 'jaccard' else larger + smaller
        shared = smaller if self.distance == 'jaccard' else 2 * smaller
        return np.where(whole > 0, 1 - shared / np.where(whole > 0, whole, 1), 0)
