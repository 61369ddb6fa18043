"""Pixel triplet loss: a feature at a boundary is nearer to those of its class around it than to those of others."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mmseg_plugin.active_boundaries import at
from mmseg_plugin.arithmetic import accumulator_dtype, ratio
from mmseg_plugin.boundaries import class_edges
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.features import features_of
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.registry import register
from mmseg_plugin.values import can_look
from shared_spec import LOSSES
from shared_spec.features import offsets


class Anchors(NamedTuple):
    """(N, A) the places of anchors in flattened maps, and which of them are some; wrong: 0, or NaN for places that are none."""

    places: Tensor
    some: Tensor
    wrong: Tensor | float = 0.0


@register
class PixelTripletLoss(Loss):
    """max(0, d(a, p) - d(a, n) + margin) over the pixels p of the class of a and n of others around boundary pixels a.

    At the call: ``embedding`` (N, D, *size); ``anchors`` (N, A), the places of the a in the flattened embedding or -1, in
    place of those that the loss takes from the labels, evenly spaced where there are more than ``samples``. Without a
    triplet it is 0; an ignored pixel has no part. Parameters, call and errors: ``segparity show PixelTripletLoss``.
    Source: Wen et al., 2022.
    """

    spec_class = LOSSES['PixelTripletLoss']

    def __init__(
        self,
        *,
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        margin: float = 10.0,
        window: int = 5,
        samples: int = 1024,
        loss_name: str = 'loss_pixel_triplet',
    ) -> None:
        super().__init__(locals())

    def compute(self, batch: Batch, embedding: Tensor, anchors: Tensor | None = None) -> Tensor:  # type: ignore[override]
        spec, features = self.spec, features_of(batch, embedding)
        label, size = features.label.flatten(1), embedding.shape[2:]
        chosen = self.anchors(features.label) if anchors is None else self.given_anchors(anchors, label)
        there, around = neighbours(chosen.places, size, spec.window)
        own, others = label.gather(1, chosen.places), at(label[:, None], around)[:, 0]
        there = there & (others >= 0)
        same, differs = there & (others == own[..., None]), there & (others != own[..., None])
        far = distances(features.embedding.flatten(2), chosen.places, around)
        costs = far[..., :, None] - far[..., None, :] + spec.margin
        costs = torch.where(same[..., :, None] & differs[..., None, :] & ~(costs <= 0), costs, 0).sum((2, 3))
        weight = torch.where(chosen.some & (own >= 0), features.weight.flatten(1).gather(1, chosen.places), 0)
        wide = accumulator_dtype(costs)
        loss = (weight * costs).sum(dtype=wide)
        mass = (weight * (same.sum(2) * differs.sum(2)).to(weight.dtype)).sum(dtype=wide)
        nothing = (features.nothing + chosen.wrong).to(wide)
        sums = sum_over_ranks(dict(loss=loss, mass=mass, nothing=nothing), spec.sync)
        return (spec.loss_weight * (ratio(sums['loss'], sums['mass'], 0.0) + sums['nothing'])).to(batch.dtype)

    @torch.no_grad()
    def anchors(self, label: Tensor) -> Anchors:
        """Pixels of maps (N, *size) at the edge of their class, ``samples`` of an image at most; as many as are seen or may be."""
        order = class_edges(label, self.spec.window // 2).flatten(1).cumsum(1)
        n, pixels = order.shape
        count = order[:, -1] if pixels else order.new_zeros(n)
        number = count.clamp(max=self.spec.samples)
        most = min(self.spec.samples, pixels)
        if can_look(order):
            most = int(number.amax()) if n else 0
        k, of = torch.arange(most, device=label.device), number.clamp(min=1)[:, None]
        whole, rest = count[:, None] // of, count[:, None] % of
        ordinal = k * whole + k * rest // of + 1  # floor(k * count / of), that many of which lie before
        places = torch.searchsorted(order, ordinal).clamp(max=max(0, pixels - 1))
        return Anchors(places, k < number[:, None])

    def given_anchors(self, anchors: Tensor, label: Tensor) -> Anchors:
        """Those that a call was given for maps (N, P)."""
        spec, (n, pixels) = self.spec, label.shape
        if not torch.is_tensor(anchors):
            raise TypeError(f'{type(spec).__name__}: anchors must be a torch.Tensor, got {type(anchors).__name__}')
        whole = not (anchors.is_floating_point() or anchors.is_complex() or anchors.dtype == torch.bool)
        spec.check_anchors(anchors.shape, whole, anchors.dtype, n)
        if can_look(anchors):
            spec.check_places(anchors.cpu().numpy(), pixels)
        places = anchors.long() if pixels else anchors.long()[:, :0]
        wrong = ((places < -1) | (places >= pixels)).any()
        return Anchors(places.clamp(0, max(0, pixels - 1)), places >= 0, torch.where(wrong, torch.nan, 0.0))


@torch.no_grad()
def neighbours(places: Tensor, size: tuple[int, ...], window: int) -> tuple[Tensor, Tensor]:
    """(N, A, W) each: whether the other pixels of the windows around places (N, A) lie in the image, and their places."""
    steps = places.new_tensor(offsets(window, len(size)))
    there, around = torch.ones((), dtype=torch.bool, device=places.device), torch.zeros_like(places)[..., None]
    for axis, length in enumerate(size):
        stride = math.prod(size[axis + 1 :])
        moved = (places // max(1, stride) % max(1, length))[..., None] + steps[:, axis]
        there = there & (moved >= 0) & (moved < length)
        around = around + moved * stride
    return there, torch.where(there, around, places[..., None])


def distances(x: Tensor, places: Tensor, around: Tensor) -> Tensor:
    """(N, A, W) how far x (N, D, P) at places (N, A) is from what it is around them; a distance of 0 has the gradient 0."""
    squares = ((at(x, places)[..., None] - at(x, around)) ** 2).sum(1)
    none = squares == 0
    return torch.where(none, 0, torch.where(none, 1, squares).sqrt())
