"""Region-wise loss: probabilities times a map of each region, rectified or signed distances."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_plugin.distance import both_sides, largest
from mmseg_plugin.losses.boundary.maps import MappedMean
from mmseg_plugin.registry import register
from shared_spec import LOSSES


@register
class RegionWiseLoss(MappedMean):
    """Region-wise loss: mean of p * map; 'rectified': -d / max d inside the class, +1 outside; 'boundary': d outside, -d inside.

    ``distance_map`` (N, C, *space) at the call is the map; else the loss makes it from the labels. An absent class has the
    rectified map 1, the map 'boundary' 0; an ignored pixel counts nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show RegionWiseLoss``. Source: arXiv 2108.01405.
    """

    spec_class = LOSSES['RegionWiseLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        spacing: Sequence[float] | None = None,
        map: str = 'rectified',  # noqa: A002  # as the paper has it
        classes: str | Sequence[int] = 'all',
        loss_name: str = 'loss_region_wise',
    ) -> None:
        super().__init__(locals())

    def make_map(self, inside: Tensor, valid: Tensor, dtype: torch.dtype) -> Tensor:
        depth, gap = both_sides(inside, valid, self.spec.spacing, dtype)
        if self.spec.map == 'boundary':
            return gap - depth
        deepest = largest(depth)
        share = torch.where(deepest > 0, depth / torch.where(deepest > 0, deepest, 1), 1)
        return torch.where(inside, -share, 1)
