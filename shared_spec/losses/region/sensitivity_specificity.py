"""Sensitivity-specificity: squared errors on the structure and off it, each over its own size."""

import numpy as np

from shared_spec.checks import Real
from shared_spec.declare import Example, Region, loss_spec, param
from shared_spec.granularity import reduce_cells
from shared_spec.inputs import Batch
from shared_spec.overlap import total


@loss_spec
class SensitivitySpecificityLoss(Region):
    """Sensitivity-specificity loss."""

    title = 'Sensitivity-specificity loss'
    formula = (
        'weight * sum (y - p)^2 y / (sum y + smooth) + (1 - weight) * sum (y - p)^2 (1 - y) / (sum (1 - y) + smooth) '
        'per cell'
    )
    source = 'Brosch et al.: Deep convolutional encoder networks for MS lesion segmentation, 2015; NiftyNet'
    remarks = (
        'weight is the share of the term over y, the sensitivity. smooth stands in the denominators alone: a perfect '
        'prediction costs nothing. NiftyNet adds the classes up, here they are averaged.'
    )

    weight: float = param(0.05, Real(low=0, high=1), 'share of the sensitivity term, the rest is specificity')
    examples = {
        'default': Example(),
        'image_class': Example(dict(granularity={'I': 0.5, 'C': 0.5}, weight=0.4, smooth=1.0), class_weight=True),
        'all_smooth0': Example(dict(activation='sigmoid', smooth=0.0, classes='all', granularity='C', loss_weight=2.0)),
    }

    def cell_loss(self, missed: np.ndarray, size: np.ndarray, false: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """missed, false: the squared errors on the structure and off it; size, rest: the pixels there."""
        sensitivity = missed / np.where(size + self.smooth > 0, size + self.smooth, 1)
        specificity = false / np.where(rest + self.smooth > 0, rest + self.smooth, 1)
        return self.weight * sensitivity + (1 - self.weight) * specificity

    def of_batch(self, batch: Batch, reduction: str = 'mean') -> float | np.ndarray:
        """The loss of a ``Batch``; for the reduction 'none' those of its images or classes."""
        y, v, error = batch.target, batch.weight, (batch.target - batch.prob) ** 2
        statistics = total(v, error * y), total(v, y), total(v, error * (1 - y)), total(v, 1 - y)
        return reduce_cells(self, batch, statistics, self.cell_loss, reduction)
