"""Topology-aware focal loss: focal cross-entropy and how far the components and holes of a prediction are from the labels'."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.pixel_sums import pixel_sum
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.losses.pixel.focal_cross_entropy import pixel_losses
from mmseg_plugin.registry import register
from mmseg_plugin.topology import topology_terms
from shared_spec import LOSSES, shapes


@register
class TopologyAwareFocalLoss(Loss):
    """Focal cross-entropy, and the squared Wasserstein distance between the persistence diagrams of 1 - p and 1 - y.

    The mean of the first is over pixels, of the second over images and classes. The diagrams are made on the CPU, by GUDHI.
    An ignored pixel is outside every class and an empty batch gives 0. Parameters, call and errors: ``segparity show
    TopologyAwareFocalLoss``. Source: arXiv 2304.12223.
    """

    spec_class = LOSSES['TopologyAwareFocalLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        gamma: float = 2.0,
        topology_weight: float = 0.1,
        classes: str | Sequence[int] = 'all',
        dimensions: Sequence[int] | None = None,
        loss_name: str = 'loss_topology_aware_focal',
    ) -> None:
        super().__init__(locals())

    def compute(self, batch: Batch) -> Tensor:
        spec = self.spec
        dimensions, cells = spec.dimensions_of(len(batch.space)), self.counted_cells(batch)
        focal = pixel_sum(batch, lambda part: pixel_losses(part, spec.gamma, None)).sum()
        parts = dict(focal=focal, mass=batch.mass.sum())
        if spec.topology_weight > 0:
            share = (batch.image_weight[:, None] * cells).to(focal.dtype)
            terms = self.terms(batch, cells, dimensions).to(focal.dtype)
            parts |= dict(topology=torch.where(cells, share * terms, 0).sum(), share=share.sum())
        parts = sum_over_ranks(parts, spec.sync)
        loss = ratio(parts['focal'], parts['mass'], 0.0)
        if spec.topology_weight > 0:
            loss = loss + spec.topology_weight * ratio(parts['topology'], parts['share'], 0.0)
        return (spec.loss_weight * loss).to(batch.dtype)

    def counted_cells(self, batch: Batch) -> Tensor:
        """(N, C) bool: whose topology counts."""
        classes = self.spec.classes
        chosen = shapes.channel_indices(type(self.spec).__name__, classes, batch.channels)
        listed = torch.tensor([k in chosen for k in range(batch.channels)], device=batch.given.device)
        cells = batch.has_pixel[:, None] & listed
        return cells & (batch.largest_target > 0.5) if classes in ('auto', 'present') else cells

    def terms(self, batch: Batch, cells: Tensor, dimensions: Sequence[int]) -> Tensor:
        """(N, C) the topological term of each cell."""
        counts = batch.counts.unflatten(1, batch.space)
        prob, target = (x.unflatten(2, batch.space) for x in (batch.prob, batch.target))
        return topology_terms(prob, target, counts, cells, dimensions)
