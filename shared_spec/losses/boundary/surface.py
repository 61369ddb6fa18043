"""The boundary loss of Kervadec: probabilities times the signed distance to the boundary of their class."""

import numpy as np

from shared_spec.checks import CLASSES
from shared_spec.declare import Example, Shared, loss_spec, param
from shared_spec.distance import LARGEST, DistanceTo, Mapped, both_sides, mean_over_pixels
from shared_spec.inputs import Batch
from shared_spec.typing import Classes
from shared_spec.values import TOLERANCE


@loss_spec
class SurfaceLoss(Mapped, Shared):
    """Boundary loss."""

    family = 'boundary'
    title = 'Boundary loss'
    formula = (
        'one mean over the pixels of all images and classes that count of p * phi; phi = d outside the class, -(d - 1) inside, d the Euclidean '
        'distance to the other side'
    )
    source = 'Kervadec et al.: Boundary loss for highly unbalanced segmentation, 2019; LIVIAETS/boundary-loss'
    remarks = (
        'Hard labels alone. The 1 is that of the official code, not of the paper, and is not scaled by spacing. A class '
        'without an inside or an outside has phi 0 and its pixels count in the mean. The value has no floor at 0 and is '
        'negative near the optimum: add a region loss. Ignored pixels are on no side of a boundary.'
    )

    classes: Classes = param(
        'all', CLASSES, "which classes count; 'auto' and 'present': those that an image has, of its own"
    )

    examples = {
        'default': Example(),
        'spacing': Example(dict(spacing=[2.0, 0.5], loss_weight=0.7, activation='sigmoid'), spatial_axes=(2,)),
        'foreground': Example(dict(classes=[1])),
        'present': Example(dict(classes='present')),
    }

    @property
    def map_kind(self) -> str:
        return 'signed'

    @property
    def own_limits(self) -> tuple[float, float]:
        return -LARGEST, max(0.0, 1 - self.least_step) + TOLERANCE

    def map_of_image(self, inside: np.ndarray, valid: np.ndarray, distance_to: DistanceTo) -> np.ndarray:
        depth, gap = both_sides(inside, valid, distance_to)
        return gap - np.where(depth > 0, depth - 1, 0)

    def of_batch(self, batch: Batch, distance_map: np.ndarray | None = None) -> float:
        """The loss of a ``Batch``."""
        cost = batch.prob * self.maps_of(batch, distance_map)
        return self.loss_weight * mean_over_pixels(self, batch, cost, self.classes)
