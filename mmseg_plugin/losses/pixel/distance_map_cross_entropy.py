"""Cross-entropy that costs more near the border of a region, by a map of distances."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_plugin.distance import both_sides, largest
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import PixelLoss
from mmseg_plugin.losses.boundary.maps import Mapped, map_of
from mmseg_plugin.registry import register
from shared_spec import LOSSES


@register
class DistanceMapCrossEntropyLoss(Mapped, PixelLoss):
    """(1 + Phi) * cross-entropy, Phi of a region = (max d - d) / max (max d - d), d the distance to the region's border.

    ``distance_map`` (N, *space) or (N, 1, *space) at the call is Phi; else the loss makes it from the labels. Phi is 0
    without a border; an ignored pixel counts nowhere, an empty batch gives 0. Parameters, call and errors: ``segparity
    show DistanceMapCrossEntropyLoss``. Source: Caliva 2019.
    """

    spec_class = LOSSES['DistanceMapCrossEntropyLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        spacing: Sequence[float] | None = None,
        regions: str = 'foreground',
        reduction: str = 'mean',
        loss_name: str = 'loss_distance_map_cross_entropy',
    ) -> None:
        super().__init__(locals())

    def compute(  # type: ignore[override]  # what reduction_of_call adds
        self,
        batch: Batch,
        reduction: str,
        avg_factor: float | Tensor | None,
        distance_map: Tensor | None = None,
    ) -> Tensor:
        self.spec.check_activation(batch.channels)
        return self.reduce(self.with_map(batch, distance_map), self.pixel_loss, reduction, avg_factor)

    def pixel_loss(self, part: Batch) -> Tensor:
        """(N, 1, P) the loss of each pixel."""
        if part.channels > 1:
            loss = -part.log_prob_of_own
        else:
            log_p, log_not_p = part.log_prob
            loss = -torch.where(part.target > 0.5, log_p, log_not_p)
        return (1 + map_of(part)) * loss

    def make_map(self, inside: Tensor, valid: Tensor, dtype: torch.dtype) -> Tensor:
        if self.spec.regions == 'foreground' or inside.shape[1] == 1:
            foreground = inside[:, 1:].any(1, keepdim=True) if inside.shape[1] > 1 else inside
            inside = torch.cat([foreground, valid & ~foreground], 1)
        depth, _ = both_sides(inside, valid, self.spec.spacing, dtype)
        penalty = torch.where(inside, largest(depth) - depth, 0)
        most = largest(penalty)
        return torch.where(most > 0, penalty / torch.where(most > 0, most, 1), 0).sum(1, keepdim=True)
