"""Log-cosh Dice: a Dice loss with a bounded, smooth slope."""

import numpy as np

from shared_spec.checks import Integer
from shared_spec.declare import loss_spec, param
from shared_spec.granularity import mean_over_cells
from shared_spec.inputs import Batch
from shared_spec.losses.region.soft_overlap import NORM2, SoftOverlap
from shared_spec.overlap import product_overlap


@loss_spec
class LogCoshDiceLoss(SoftOverlap):
    """Log-cosh Dice loss."""

    reductions = ('mean',)
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

    def of_batch(self, batch: Batch) -> float:  # type: ignore[override]  # of a mean, not a mean
        """The loss of a ``Batch``."""
        weights = self.class_weight, self.normalize_class_weight
        x = mean_over_cells(self, batch, product_overlap(batch, self.norm), self.cell_loss, *weights)
        return float(self.loss_weight * np.log1p(2 * np.sinh(x / 2) ** 2))
