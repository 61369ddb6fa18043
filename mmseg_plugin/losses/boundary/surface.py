"""The boundary loss of Kervadec: probabilities times the signed distance to the boundary of their class."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_plugin.distance import both_sides
from mmseg_plugin.losses.boundary.maps import MappedMean
from mmseg_plugin.registry import register
from shared_spec import LOSSES


@register
class SurfaceLoss(MappedMean):
    """Boundary loss: mean of p * phi; phi = d outside the class, -(d - 1) inside, d the distance to the other side.

    ``distance_map`` (N, C, *space) at the call is phi; else the loss makes it from the labels. A class without an inside
    or an outside has phi 0, an ignored pixel counts nowhere, an empty batch gives 0. Parameters, call and errors:
    ``segparity show SurfaceLoss``. Source: Kervadec 2019.
    """

    spec_class = LOSSES['SurfaceLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        spacing: Sequence[float] | None = None,
        classes: str | Sequence[int] = 'all',
        loss_name: str = 'loss_surface',
    ) -> None:
        super().__init__(locals())

    def make_map(self, inside: Tensor, valid: Tensor, dtype: torch.dtype) -> Tensor:
        depth, gap = both_sides(inside, valid, self.spec.spacing, dtype)
        return gap - torch.where(depth > 0, depth - 1, 0)
