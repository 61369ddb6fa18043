"""Losses that multiply with a map of distances: given at the call, or made from the labels."""

import copy
from typing import Any

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.pixel_sums import pixel_sum
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.values import are_within, can_look
from shared_spec import shapes
from shared_spec.distance import check_map, check_spacing


class Mapped:
    """A loss that takes ``distance_map`` at the call: (N, K, *space), or (N, *space) of one channel; no gradient of it.

    ``make_map(inside, valid, dtype)`` gives the map where there is none. ``handed_over`` is the map of the call at hand
    where a head has it from its data samples (``DistanceMapHook``).
    """

    spec: Any
    handed_over: Tensor | None = None

    def loss_of_call(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None,
        ignore_index: int | None,
        call: dict[str, Any],
        absent: bool,
        batches: dict[Any, Batch] | None = None,
    ) -> Tensor:
        if self.handed_over is not None and call.get('distance_map') is None:
            call['distance_map'] = self.handed_over
        of_loss: Any = super()
        return of_loss.loss_of_call(pred, target, weight, ignore_index, call, absent, batches)

    def make_map(self, inside: Tensor, valid: Tensor, dtype: torch.dtype) -> Tensor:
        """(N, K, *space); inside (N, C, *space) and valid (N, 1, *space) bool: where each class is, and what counts."""
        raise NotImplementedError(type(self).__name__)

    def with_map(self, batch: Batch, distance_map: Tensor | None) -> Batch:
        """The batch with ``distance_map`` (N, K, P) among its maps, of which its parts have theirs."""
        name, n, k = type(self.spec).__name__, len(batch.image_weight), self.spec.map_channels(batch.channels)
        check_spacing(name, self.spec.spacing, len(batch.space))
        batch.look()  # which marks predictions, whose gradient must know
        if distance_map is None:
            with torch.no_grad():
                valid = batch.counts.view(n, 1, *batch.space)
                inside = (batch.target > 0.5).view(n, batch.channels, *batch.space) & valid
                empty = inside.new_zeros(n, k, *batch.space, dtype=batch.dtype)
                found = self.make_map(inside, valid, batch.dtype) if inside.numel() else empty
        else:
            if not torch.is_tensor(distance_map) or not distance_map.is_floating_point():
                given = distance_map.dtype if torch.is_tensor(distance_map) else type(distance_map).__name__
                raise TypeError(f'{name}: distance_map must be a tensor of floating point numbers, got {given}')
            check_map(name, tuple(distance_map.shape), n, k, batch.space)
            found = nan_where_impossible(self.spec, distance_map.detach().reshape(n, k, batch.shape[2]), batch)
        batch = copy.copy(batch)
        batch.maps = dict(batch.maps, distance_map=found.reshape(n, k, batch.shape[2]))
        return batch


def nan_where_impossible(spec: Any, maps: Tensor, batch: Batch) -> Tensor:
    """Maps (N, K, P) given, NaN where no distance of the batch's labels can be: as one of another loss has it."""
    maps = where_between(maps, *spec.map_limits)
    if spec.has_whole_map:
        maps = torch.where(maps == maps.floor(), maps, torch.nan)
    if spec.own_limits is None:
        return maps
    if batch.softmax or batch.labels.dim() == 2:
        own = batch.at_own(maps)
    else:
        own = torch.where(batch.labels == 1, maps, 0)  # nothing is refused of an absent pixel: its map is left out
    low, high = spec.own_limits
    own = where_between(own, low, high, or_zero=True)
    if can_look(own) and not own.isnan().any():
        return maps
    return torch.where(own.isnan().any(1, keepdim=True), torch.nan, maps)


def where_between(x: Tensor, low: float, high: float, or_zero: bool = False) -> Tensor:
    """x, NaN where it is not in [low, high], nor 0 where that is allowed."""
    high, low = (max(min(limit, torch.finfo(x.dtype).max), -torch.finfo(x.dtype).max) for limit in (high, low))
    if can_look(x) and not or_zero and are_within(x, low, high):
        return x
    within = (x >= low) & (x <= high)
    return torch.where(within | (x == 0) if or_zero else within, x, torch.nan)


def map_of(part: Batch) -> Tensor:
    """(n, K, p) the map of a part, 0 at absent pixels, where one that was given may hold anything."""
    found = part.maps['distance_map'].to(part.dtype)
    return found if part.pixel_weight is None else torch.where(part.counts[:, None], found, 0)


class MappedMean(Mapped, Loss):
    """The mean of p * map over the pixels of the classes that count."""

    def compute(self, batch: Batch, distance_map: Tensor | None = None) -> Tensor:  # type: ignore[override]
        spec, batch = self.spec, self.with_map(batch, distance_map)
        cells = self.counted_cells(batch)

        def products(part: Batch) -> Tensor:
            product = part.prob * map_of(part)
            return product if cells is None else product * cells[part.images, :, None].to(part.dtype)

        counted = float(batch.channels) if cells is None else cells.sum(1)
        parts = dict(loss=pixel_sum(batch, products).sum(), share=(batch.mass * counted).sum())
        parts = sum_over_ranks(parts, spec.sync)
        return (spec.loss_weight * ratio(parts['loss'], parts['share'], 0.0)).to(batch.dtype)

    def counted_cells(self, batch: Batch) -> Tensor | None:
        """(N, C) 1 where a class of an image counts; None where all do."""
        classes = self.spec.classes
        chosen = shapes.channel_indices(type(self.spec).__name__, classes, batch.channels)
        if classes in ('auto', 'present'):
            return (~(batch.class_sizes <= 0)).to(batch.dtype)
        if len(chosen) == batch.channels:
            return None
        cells = batch.image_weight.new_zeros(len(batch.image_weight), batch.channels)
        cells[:, chosen] = 1
        return cells
