"""Generalized Wasserstein Dice: mistakes cost the distance between the classes that they mix up."""

from typing import Any

import numpy as np

from shared_spec.checks import Check, Choice, Each, Integer, Optional, Real
from shared_spec.declare import Example, Shared, SpecError, loss_spec, param
from shared_spec.inputs import Batch


class DistanceMatrix(Check):
    """A square matrix of numbers >= 0 with zeros on its diagonal and a positive entry."""

    rows = Each(Each(Real(low=0)))

    def describe(self) -> str:
        return 'a square matrix of numbers >= 0, zeros on its diagonal, one of them above 0'

    def schema(self) -> dict[str, Any]:
        row = {**self.rows.inner.schema(), 'minItems': 2}
        return {'type': 'array', 'items': row, 'minItems': 2, 'contains': {'contains': {'exclusiveMinimum': 0}}}

    def freeze(self, value: object) -> tuple[tuple[float, ...], ...]:
        matrix = self.rows.freeze(value)
        if any(len(row) != len(matrix) for row in matrix) or any(row[i] != 0 for i, row in enumerate(matrix)):
            raise ValueError
        if len(matrix) < 2 or max(map(max, matrix)) == 0:
            raise ValueError
        return matrix

    def thaw(self, value: Any) -> list[list[float]]:
        return self.rows.thaw(value)


TREE = [[0, 1, 1, 1], [1, 0, 0.6, 0.2], [1, 0.6, 0, 0.6], [1, 0.2, 0.6, 0]]
SLANTED = [[0, 2, 2, 2], [2, 0, 1, 0.5], [2, 1, 0, 1.5], [2, 0.75, 1.5, 0]]


@loss_spec
class GeneralizedWassersteinDiceLoss(Shared):
    """Generalized Wasserstein Dice loss."""

    family = 'region'
    title = 'Generalized Wasserstein Dice loss'
    formula = (
        'd(x) = sum_c M[y(x), c] p_c(x), M / max M; 1 - (2 tp + smooth) / (2 tp + sum d + smooth), tp = sum of 1 - d '
        "over the foreground; 'gdl': 1 - (2 sum a_y (1-d) + smooth) / (sum a_y (2-d) + smooth), a_c = 1/(n_c + 1)"
    )
    source = (
        'Fidon et al.: Generalised Wasserstein Dice score for imbalanced multi-class segmentation, arXiv 1707.00478'
    )
    remarks = (
        'Mean over images. Hard labels alone: for soft ones the Wasserstein distance has no closed form. One channel is '
        "background and foreground. With weighting='default' an image of background alone costs 1 unless it is perfect, "
        "as in the official code; 'gdl' does not have that trap. MONAI's is the same since its version "
        '1.6; before, it adds up pairs of images where there is more than one.'
    )
    labels = ('hard',)
    needs_softmax = True

    distance_matrix: tuple[tuple[float, ...], ...] | None = param(
        None,
        Optional(DistanceMatrix()),
        'cost of each mistake, C x C, rows are the true class; divided by its maximum; None: every mistake costs 1',
    )
    weighting: str = param('default', Choice('default', 'gdl'), "'default': the foreground counts; 'gdl': 1/(n_c + 1)")
    background: int = param(0, Integer(low=0), "the class that weighting='default' leaves out of tp")
    smooth: float = param(2.0**-52, Real(low=0), 'added to numerator and denominator of the score, in pixels')

    examples = {
        'default': Example(),
        'tree': Example(dict(distance_matrix=TREE, loss_weight=0.5), channels=('many',)),
        'gdl': Example(dict(weighting='gdl', smooth=1.0)),
        'gdl_slanted': Example(dict(weighting='gdl', distance_matrix=SLANTED), channels=('many',)),
        'other_background': Example(dict(background=1, smooth=0.0)),
    }

    def validate(self) -> None:
        size = None if self.distance_matrix is None else len(self.distance_matrix)
        if size is not None and self.background >= size:
            raise SpecError(
                owner='GeneralizedWassersteinDiceLoss',
                parameter='background',
                given=self.background,
                allowed=f'below the {size} classes of distance_matrix',
            )

    def costs(self, channels: int) -> np.ndarray:
        """(C, C) the distance matrix over its maximum. ValueError where it does not fit ``channels`` of pred."""
        c = max(channels, 2)
        if channels > 1 and self.activation == 'sigmoid':
            raise ValueError(
                'GeneralizedWassersteinDiceLoss: sigmoid channels are no distribution over classes, use softmax'
            )
        if self.distance_matrix is not None and len(self.distance_matrix) != c:
            raise ValueError(
                f'GeneralizedWassersteinDiceLoss: distance_matrix must be {c} x {c} for the {channels} channels of '
                f'pred, got {len(self.distance_matrix)} x {len(self.distance_matrix)}'
            )
        if self.background >= c:
            raise ValueError(
                f'GeneralizedWassersteinDiceLoss: background must be below the {c} classes, got {self.background}'
            )
        matrix = 1 - np.eye(c) if self.distance_matrix is None else np.array(self.distance_matrix)
        return matrix / matrix.max()

    def of_batch(self, batch: Batch) -> float:
        """The loss of a ``Batch``."""
        p, y, v = batch.prob, batch.target, batch.weight
        matrix = self.costs(p.shape[1])
        if p.shape[1] == 1:
            p, y = np.concatenate([1 - p, p], 1), np.concatenate([1 - y, y], 1)
        losses, weights = [], []
        for i in range(len(p)):
            if not batch.has_pixel[i]:
                continue
            d = ((matrix.T @ y[i]) * p[i]).sum(0)
            if self.weighting == 'default':
                foreground = 1 - y[i, self.background]
                tp, wrong = (v[i] * foreground * (1 - d)).sum(), (v[i] * d).sum()
            else:
                alpha = (y[i] / ((v[i] * y[i]).sum(1) + 1)[:, None]).sum(0)
                tp, wrong = (v[i] * alpha * (1 - d)).sum(), (v[i] * alpha * d).sum()
            bottom = 2 * tp + wrong + self.smooth
            losses.append(1 - (2 * tp + self.smooth) / bottom if bottom > 0 else 0.0)
            weights.append(batch.image_weight[i])
        return float(self.loss_weight * np.dot(weights, losses) / sum(weights)) if losses else 0.0
