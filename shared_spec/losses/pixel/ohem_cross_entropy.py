"""Cross-entropy of hard pixels: those whose class is not probable enough, or less than that of most others."""

import math

import numpy as np

from shared_spec.checks import Integer, Real
from shared_spec.declare import Example, loss_spec, param
from shared_spec.losses.pixel.selection import ORDER, SelectedCrossEntropy


@loss_spec
class OhemCrossEntropyLoss(SelectedCrossEntropy):
    """Cross-entropy with online hard example mining."""

    title = 'Cross-entropy with online hard example mining'
    formula = (
        'mean of sum_c w_c * y_c * (-log p_c) over the pixels with q < max(thresh, the min_kept-th smallest q of the batch), '
        'q = exp(-sum_c y_c * (-log p_c)), of class ids the probability of the label'
    )
    source = 'Shrivastava et al.: Training region-based object detectors with online hard example mining, arXiv 1604.03540; PaddleSeg'
    remarks = (
        'The comparison is strict: where min_kept decides, one pixel less is in, and of equal pixels none. min_kept 0 leaves '
        'thresh alone; where no more than min_kept pixels count all are in. With no pixel in the loss is 0. '
        f'Class weights select nothing and are not in the denominator. {ORDER}'
    )

    thresh: float = param(0.7, Real(low=0, high=1), 'the probability of its label from which on a pixel is easy')
    min_kept: int = param(
        10000, Integer(low=0, high=2**31 - 1), 'so many hardest pixels of the batch set the limit, if it is higher'
    )

    examples = {
        'default': Example(),
        'thresh': Example(dict(min_kept=0, loss_weight=0.7)),
        'min_kept': Example(dict(thresh=0.1, min_kept=6)),
        'class_weight': Example(dict(thresh=0.4, min_kept=3), class_weight=True),
        'sigmoid': Example(dict(activation='sigmoid', thresh=0.5, min_kept=4)),
        'two_weights': Example(dict(thresh=0.6, min_kept=2, class_weight=[0.4, 1.7]), channels=('one',)),
    }

    @property
    def least_loss(self) -> float:
        """The loss of a pixel whose label has the probability ``thresh``."""
        return -math.log(self.thresh) if self.thresh > 0 else math.inf

    def rule(self, losses: np.ndarray, weighted: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        if self.min_kept >= len(losses):
            return np.ones_like(losses), losses, -math.inf
        edge = self.least_loss  # losses fall where probabilities rise, and do not run out of digits
        if self.min_kept > 0:
            edge = min(edge, np.sort(losses)[-self.min_kept])
        return (losses > edge).astype(float), losses, float(edge)
