"""Active boundary loss: predicted boundaries move, a pixel at a time, towards those of the labels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_plugin.active_boundaries import (
    absence,
    at,
    distributions,
    divergence,
    edges_of,
    neighbours,
    of_all_pixels,
    places_of,
    predicted,
)
from mmseg_plugin.arithmetic import accumulator_dtype, ratio
from mmseg_plugin.distance import distance_to
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import Loss, sum_of_zero_loss
from mmseg_plugin.losses.boundary.maps import Mapped, map_of
from mmseg_plugin.registry import register
from shared_spec import LOSSES


@register
class ActiveBoundaryLoss(Mapped, Loss):
    """Cross-entropy of the direction in which each predicted boundary pixel has the boundary of the labels.

    ``distance_map`` (N, H, W) or (N, 1, H, W) at the call is max(floor(d) - 1, 0), d the distance to the nearest boundary
    of the labels; else the loss makes it. Pictures alone. Without a boundary, and of an empty batch, it is 0; an ignored
    pixel counts nowhere unless ``ignored`` says so. Parameters, call and errors: ``segparity show ActiveBoundaryLoss``.
    Source: arXiv 2102.02696.
    """

    spec_class = LOSSES['ActiveBoundaryLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        spacing: Sequence[float] | None = None,
        label_smoothing: float = 0.2,
        max_clip_distance: float = 20.0,
        max_boundary_ratio: float = 0.01,
        detach: bool = True,
        budget: str = 'image',
        ignored: str = 'mask',
        loss_name: str = 'loss_active_boundary',
    ) -> None:
        super().__init__(locals())

    def compute(self, batch: Batch, distance_map: Tensor | None = None) -> Tensor:  # type: ignore[override]
        self.spec.check_activation(batch.channels)
        batch = self.with_map(batch, distance_map)
        maps = map_of(batch)[:, 0]
        batch = of_all_pixels(batch) if self.spec.ignored == 'boundary' else batch
        z = batch.pred  # with its gradient, before it is looked at without one
        places, some = places_of(predicted(batch, self.spec), self.spec)
        cost, moves = self.costs(batch, z, maps, places)
        v = torch.where(some & moves, batch.weight.gather(1, places), 0)
        wide = accumulator_dtype(v)
        loss, share = torch.where(v == 0, 0, v * cost).sum(dtype=wide), v.sum(dtype=wide)
        doubted = not (batch.visible and batch.is_sure())  # a pixel that nobody looks at may be no number
        if distance_map is not None:
            wrong = ~maps.isfinite().all()
            loss = loss + torch.where(wrong, torch.nan, 0.0).to(wide)
            doubted = doubted or bool(wrong)
        if doubted:  # so that NaN is in every gradient
            loss = loss + sum_of_zero_loss(batch)
        parts = sum_over_ranks(dict(loss=loss, share=share), self.spec.sync)
        mean = torch.where(parts['loss'].isnan(), parts['loss'], ratio(parts['loss'], parts['share'], 0.0))
        return (self.spec.loss_weight * mean).to(batch.dtype)

    def costs(self, batch: Batch, z: Tensor, maps: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """(N, K) the cost of pixels at places (N, K), and whether a neighbour is nearer to a boundary than they are."""
        counts = absence(batch)
        there, around = neighbours(places, batch.space, counts)
        away = maps if counts is None else torch.where(counts, maps, torch.inf)
        own, far = maps.gather(1, places), torch.where(there, at(away[:, None], around)[:, 0], torch.inf)
        target = torch.cat([far, own[:, None]], 1).argmin(1)  # the first of several; the pixel itself is the last
        p, log_p = distributions(batch, at(z.detach() if self.spec.detach else z, around))
        _, log_own = distributions(batch, at(z, places))
        cost = self.cross_entropy(divergence(p, log_p, log_own[:, :, None]), target.clamp(max=far.shape[1] - 1))
        share = own.clamp(max=self.spec.max_clip_distance) / self.spec.max_clip_distance
        return torch.where(share <= 0, 0, share * cost), target < far.shape[1]

    def cross_entropy(self, scores: Tensor, target: Tensor) -> Tensor:
        """(N, K) of scores (N, 8, K) and the direction to take (N, K); infinite where a score is."""
        infinite = scores.isinf().any(1)
        log = torch.where(infinite[:, None], 0, scores).log_softmax(1)
        other = self.spec.label_smoothing / scores.shape[1]
        own = (1 - self.spec.label_smoothing - other) * log.gather(1, target[:, None])[:, 0]
        return torch.where(infinite, torch.inf, -(own + other * log.sum(1)))

    def make_map(self, inside: Tensor, valid: Tensor, dtype: torch.dtype) -> Tensor:
        labels, masked = torch.cat([inside, valid], 1), self.spec.ignored == 'mask'
        edges = edges_of(labels, valid if masked else None)
        distance = distance_to(edges if masked else edges | ~valid, self.spec.spacing, dtype)
        return (distance.floor() - 1).clamp(min=0)
