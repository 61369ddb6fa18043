"""Cross-entropy that costs more near the border of a region, by a map of distances."""

import numpy as np

from shared_spec.checks import Choice
from shared_spec.declare import Example, Shared, loss_spec, param
from shared_spec.distance import DistanceTo, Mapped, both_sides
from shared_spec.inputs import Batch, reduce_pixels
from shared_spec.values import TOLERANCE


@loss_spec
class DistanceMapCrossEntropyLoss(Mapped, Shared):
    """Cross-entropy penalised by distance maps."""

    family = 'pixel'
    reductions = ('mean', 'sum', 'none')
    needs_softmax = True
    title = 'Distance map penalised cross-entropy'
    formula = (
        '(1 + Phi) * (-log p_y), mean over valid pixels; Phi of a region = (max d - d) / max (max d - d), d the Euclidean '
        'distance to the border of the region'
    )
    source = 'Caliva et al.: Distance map loss penalty term for semantic segmentation, 2019; SegLossOdyssey'
    remarks = (
        "Hard labels alone. 'foreground': the regions are the pixels of label 1 and above, and the others, as in the "
        "published code, which computes this and returns the plain cross-entropy. 'classes': each class is a region. Phi is 0 "
        'without a border and in a region all of whose pixels are equally near it. Probabilities are floored at 1e-7 before '
        'the logarithm.'
    )

    regions: str = param(
        'foreground',
        Choice('foreground', 'classes'),
        "'foreground': label 1 and above against 0; 'classes': each class",
    )

    examples = {
        'default': Example(),
        'classes': Example(dict(regions='classes', loss_weight=0.7)),
        'spacing': Example(dict(spacing=[2.0, 0.5]), spatial_axes=(2,)),
    }

    @property
    def map_kind(self) -> str:
        return f'penalty of {self.regions}'

    @property
    def map_limits(self) -> tuple[float, float]:
        return 0.0, 1 + TOLERANCE

    def check_activation(self, channels: int) -> None:
        """ValueError for several channels that are no distribution."""
        if channels > 1 and self.activation == 'sigmoid':
            raise ValueError(
                'DistanceMapCrossEntropyLoss: sigmoid channels are no distribution over classes, use softmax'
            )

    def map_channels(self, num_classes: int) -> int:
        return 1

    def map_of_image(self, inside: np.ndarray, valid: np.ndarray, distance_to: DistanceTo) -> np.ndarray:
        if self.regions == 'foreground' or len(inside) == 1:
            foreground = inside[1:].any(0) if len(inside) > 1 else inside[0]
            inside = np.stack([foreground, valid & ~foreground])
        depth, _ = both_sides(inside, valid, distance_to)
        phi = np.zeros(valid.shape)
        for mask, d in zip(inside, depth):
            penalty = np.where(mask, d.max(initial=0) - d, 0)
            largest = penalty.max(initial=0)
            phi += penalty / largest if largest > 0 else 0
        return phi[None]

    def of_batch(
        self, batch: Batch, reduction: str = 'mean', distance_map: np.ndarray | None = None
    ) -> float | np.ndarray:
        """The loss of a ``Batch``; a map (N, *space) for the reduction 'none'."""
        self.check_activation(batch.prob.shape[1])
        y, v = batch.target, batch.weight
        phi = self.maps_of(batch, distance_map)[:, 0]
        log_p, log_not_p = batch.log_prob()
        log_own = np.where(y > 0.5, log_p, 0).sum(1)
        if log_not_p is not None:
            log_own = np.where(y > 0.5, log_p, log_not_p)[:, 0]
        loss = self.loss_weight * np.where(v > 0, v * (1 + phi) * -log_own, 0)
        return reduce_pixels(batch, loss, reduction)
