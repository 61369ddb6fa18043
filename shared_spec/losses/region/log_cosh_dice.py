"""Log-cosh Dice: a Dice loss with a bounded, smooth slope."""

import numpy as np

from shared_spec.checks import Integer
from shared_spec.declare import loss_spec, param
from shared_spec.losses.region.soft_overlap import NORM2, SoftOverlap


@loss_spec
class LogCoshDiceLoss(SoftOverlap):
    """Log-cosh Dice loss."""

    title = 'Log-cosh Dice loss'
    formula = 'loss = log cosh x, x the soft Dice loss after its mean: D = (tp + smooth) / (tp + fp/2 + fn/2 + smooth)'
    source = 'Jadon: A survey of loss functions for semantic segmentation, 2020'
    remarks = (
        'Computed as log1p(2 sinh^2(x/2)): log(cosh x) in float32 is 0 below x = 1e-4. smooth here is half of the one '
        'in (2*tp + a) / (|p| + |y| + a). ' + SoftOverlap.remarks
    )

    norm: int = param(1, Integer(low=1, high=2), 'power of p and y in their sizes |p|, |y|')
    examples = {**SoftOverlap.examples, **NORM2}

    @property
    def tversky_weights(self) -> tuple[float, float]:
        return 0.5, 0.5

    def after_mean(self, x: float) -> float:
        return np.log1p(2 * np.sinh(x / 2) ** 2)
