"""Cross-entropy of the hardest share of the pixels of a batch."""

import math
from fractions import Fraction

import numpy as np

from shared_spec.checks import Real
from shared_spec.declare import Example, loss_spec, param
from shared_spec.losses.pixel.selection import ORDER, SelectedCrossEntropy

FINEST = 10**6  # the largest denominator of k


@loss_spec
class TopKCrossEntropyLoss(SelectedCrossEntropy):
    """Mean of the largest k per cent of the pixel losses."""

    title = 'Top-k cross-entropy'
    formula = (
        'mean of the max(1, floor(k * n / 100)) largest sum_c w_c * y_c * (-log p_c) of the batch, n the number of pixels '
        'that count'
    )
    source = (
        'Wu et al.: Bridging category-level and instance-level semantic image segmentation, arXiv 1605.06885; nnU-Net'
    )
    remarks = (
        'Class weights act on the losses that are compared, as in nnU-Net, and not in the denominator. Equal losses share '
        'the places that are left for them, so that they have the same gradient. k is the nearest fraction of a '
        f'denominator up to a million: 7 % of 100 pixels are 7. Ignored pixels are no pixels here; in nnU-Net they count as losses of 0. {ORDER}'
    )

    k: float = param(10.0, Real(low=0, high=100, above=True), 'how many of the pixels count, per cent')

    examples = {
        'default': Example(),
        'third': Example(dict(k=100 / 3, loss_weight=0.7)),
        'class_weight': Example(dict(k=60), class_weight=True),
        'sigmoid': Example(dict(activation='sigmoid', k=45)),
        'two_weights': Example(dict(k=50, class_weight=[0.4, 1.7]), channels=('one',)),
        'all': Example(dict(k=100)),
    }

    @property
    def share(self) -> Fraction:
        """k / 100 as a fraction of whole numbers, whose denominator is at most 10^8."""
        return Fraction(self.k).limit_denominator(FINEST) / 100

    def rule(self, losses: np.ndarray, weighted: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        number = max(1, math.floor(self.share * len(weighted)))
        edge = np.sort(weighted)[-number]
        above, tied = weighted > edge, weighted == edge
        return above + tied * (number - above.sum()) / tied.sum(), weighted, float(edge)
