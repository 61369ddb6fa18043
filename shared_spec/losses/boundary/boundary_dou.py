"""Boundary difference over union: what differs of a class, over a union that counts its inside the less, the larger it is."""

import numpy as np

from shared_spec.checks import CLASSES, Real
from shared_spec.declare import CellWeighted, Counted, Example, Shared, loss_spec, param
from shared_spec.granularity import divided, reduce_cells
from shared_spec.inputs import Batch
from shared_spec.overlap import product_overlap, total
from shared_spec.typing import Classes


@loss_spec
class BoundaryDoULoss(Counted, CellWeighted, Shared):
    """Boundary difference over union."""

    family = 'boundary'
    spatial_axes = (1, 2, 3)
    of_overlap = True
    granularity = 'D'
    title = 'Boundary difference over union'
    formula = (
        '(Z - 2*I + smooth) / (Z - (1 + a)*I + smooth) of each class over the batch; I = sum p*y, Z = sum p^2 + sum y^2; '
        'a = min(2*(1 - (B + smooth) / (S + smooth)) - 1, max_alpha), S the size of the class, B that of its boundary: '
        'pixels with a 4-neighbour (6 in 3-D, 2 in 1-D) outside'
    )
    source = (
        'Sun, Luo, Li: Boundary difference over union loss, arXiv 2308.00220; github.com/sunfan-bvb/BoundaryDoULoss'
    )
    remarks = (
        'As the official code, which squares p and y. The edge of the image is outside every class, and so is an ignored '
        'pixel. a has no gradient: at a = -1 (an object of boundary alone) the loss is that of Dice with norm 2, at a = 0 '
        'that of Jaccard, near 1 it looks at what differs alone; max_alpha is in the code, not in the paper. A class that '
        "is absent costs nearly 1 whatever is predicted, nothing predicted included, and with classes='all' takes its "
        "share of the mean: classes='present' leaves it out. Of soft labels B is the sum of y less the smallest of y and "
        'its neighbours, which is the same for labels 0 and 1; the loss is lowest at p = y.'
    )

    classes: Classes = param(
        'all', CLASSES, "which classes count; 'auto': those present for hard labels, all for soft labels"
    )
    smooth: float = param(1e-5, Real(low=0), 'added to numerators and denominators, in pixels')
    max_alpha: float = param(0.8, Real(low=-1, high=1, below=True), 'the largest a')

    examples = {
        'default': Example(),
        'present': Example(dict(classes='present', smooth=1.0, max_alpha=0.3), class_weight=True),
        'sigmoid_smooth0': Example(dict(activation='sigmoid', smooth=0.0, loss_weight=0.7, classes=[1])),
    }

    def cell_loss(
        self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, boundary: np.ndarray, size: np.ndarray
    ) -> np.ndarray:
        alpha = np.minimum(1 - 2 * divided(boundary + self.smooth, size + self.smooth, 1), self.max_alpha)
        differs = fp + fn + self.smooth
        return divided(differs, differs + (1 - alpha) * tp, 0)

    def of_batch(self, batch: Batch, reduction: str = 'mean') -> float | np.ndarray:
        """The loss of a ``Batch``; for the reduction 'none' those of its images or classes."""
        y = np.where(batch.weight[:, None] > 0, batch.target, 0)
        statistics = (
            *product_overlap(batch, 2),
            total(batch.weight, boundary_of(y, batch.space)),
            total(batch.weight, y),
        )
        return reduce_cells(self, batch, statistics, self.cell_loss, reduction)


def boundary_of(y: np.ndarray, space: tuple[int, ...]) -> np.ndarray:
    """(N, C, P) y less the smallest of y and its neighbours along the axes, 0 beyond the image."""
    maps = y.reshape(*y.shape[:2], *space)
    inner = maps.copy()
    for axis in range(2, maps.ndim):
        edge = np.zeros_like(maps.take([0], axis)) if maps.shape[axis] else maps
        around = np.concatenate([edge, maps, edge], axis)
        for step in (0, 2):
            inner = np.minimum(inner, around.take(range(step, step + maps.shape[axis]), axis))
    return (maps - inner).reshape(y.shape)
