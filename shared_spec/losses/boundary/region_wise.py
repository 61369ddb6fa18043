"""Region-wise loss: probabilities times a map of each region, rectified or signed distances."""

import numpy as np

from shared_spec.checks import CLASSES, Choice
from shared_spec.declare import Example, Shared, loss_spec, param
from shared_spec.distance import LARGEST, DistanceTo, Mapped, both_sides, mean_over_pixels
from shared_spec.inputs import Batch
from shared_spec.typing import Classes
from shared_spec.values import TOLERANCE


@loss_spec
class RegionWiseLoss(Mapped, Shared):
    """Region-wise loss."""

    family = 'boundary'
    title = 'Region-wise loss'
    formula = (
        "one mean over the pixels of all images and classes that count of p * map; 'rectified': -d / max d inside the class, +1 outside; "
        "'boundary': d outside, -d inside, d the Euclidean distance to the other side"
    )
    source = 'Valverde & Tohka: Region-wise loss for biomedical image segmentation, arXiv 2108.01405; jmlipman/RegionWiseLoss'
    remarks = (
        "Hard labels alone. A class without an inside has the rectified map 1, one without an outside -1; in the map 'boundary' "
        'both are 0 (the official code there takes distances of the class before, or of a mask without border). '
        'max d is that of the class in the image. Ignored pixels are on no side of a boundary.'
    )

    map: str = param('rectified', Choice('rectified', 'boundary'), 'what the probabilities are multiplied with')
    classes: Classes = param(
        'all', CLASSES, "which classes count; 'auto' and 'present': those that an image has, of its own"
    )

    examples = {
        'default': Example(),
        'boundary': Example(dict(map='boundary', loss_weight=0.7)),
        'spacing': Example(dict(spacing=[2.0, 0.5], activation='sigmoid'), spatial_axes=(2,)),
        'foreground': Example(dict(map='boundary', spacing=[0.5, 3.0], classes=[1]), spatial_axes=(2,)),
    }

    @property
    def map_kind(self) -> str:
        return self.map

    @property
    def map_limits(self) -> tuple[float, float]:
        return (-LARGEST, LARGEST) if self.map == 'boundary' else (-1 - TOLERANCE, 1 + TOLERANCE)

    @property
    def own_limits(self) -> tuple[float, float]:
        return -LARGEST, (-self.least_step * (1 - TOLERANCE) if self.map == 'boundary' else 0.0)

    def map_of_image(self, inside: np.ndarray, valid: np.ndarray, distance_to: DistanceTo) -> np.ndarray:
        depth, gap = both_sides(inside, valid, distance_to)
        if self.map == 'boundary':
            return gap - depth
        deepest = depth.max(axis=tuple(range(1, depth.ndim)), keepdims=True, initial=0)
        return np.where(inside, np.where(deepest > 0, -depth / np.where(deepest > 0, deepest, 1), -1), 1)

    def of_batch(self, batch: Batch, distance_map: np.ndarray | None = None) -> float:
        """The loss of a ``Batch``."""
        cost = batch.prob * self.maps_of(batch, distance_map)
        return self.loss_weight * mean_over_pixels(self, batch, cost, self.classes)
