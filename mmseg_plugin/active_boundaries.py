"""Where a prediction has its boundary, and the pixels around it, in PyTorch; without a Python number on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mmseg_plugin.arithmetic import accumulator_dtype
from mmseg_plugin.distributed import add_over_ranks, rank_and_size
from mmseg_plugin.inputs import Batch
from mmseg_plugin.skeletons import dilate
from mmseg_plugin.values import can_look
from shared_spec.inputs import FLOOR
from shared_spec.losses.boundary.active_boundary import DIRECTIONS, ActiveBoundaryLoss

LADDERS = {  # made here, for torch.compile warns of what is cached
    dtype: ActiveBoundaryLoss.thresholds(torch.finfo(dtype).max) for dtype in (torch.float32, torch.float64)
}
AROUND = 9  # pixels of a square of three by three


def of_all_pixels(batch: Batch) -> Batch:
    """The same predictions with no pixel absent: one that was has the weight of its image. Labels are gone."""
    weight = torch.where(batch.counts, batch.weight, batch.image_weight[:, None])
    other = Batch(
        batch.owner, batch.given, torch.zeros_like(weight, dtype=torch.uint8), weight, batch.image_weight,
        True, batch.softmax, batch.activation, batch.space, batch.visible,
    )  # fmt: skip
    other.look()
    return other


def absence(batch: Batch) -> Tensor | None:
    """(N, P) which pixels count; None where all do."""
    return batch.counts if batch.pixel_weight is not None or not batch.visible else None


def distributions(batch: Batch, given: Tensor) -> tuple[Tensor, Tensor]:
    """p and log p (N, K, ...) of predictions (N, C, ...), K = 2 of one channel: of the background and the foreground."""
    if not batch.logits:
        p = given if batch.softmax else torch.cat([1 - given, given], 1)
        return p, p.clamp(min=FLOOR).log()
    log_p = given.log_softmax(1) if batch.softmax else functional.logsigmoid(torch.cat([-given, given], 1))
    return log_p.exp(), log_p


def divergence(p: Tensor, log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) along axis 1; a class of probability 0 has no share, in the gradient neither."""
    gap, some = log_p - log_q, p != 0
    far = gap == torch.inf
    return torch.where(some & far, torch.inf, p * torch.where(some & ~far, gap, 0)).sum(1)


def edges_of(labels: Tensor, valid: Tensor | None) -> Tensor:
    """(N, 1, H, W) bool: where maps (N, K, H, W) differ from those of the pixel below or to the right, both ``valid``."""
    return differing(labels, valid, lambda one, other: (one != other).any(1, keepdim=True)).any(0)


def differing(x: Tensor, valid: Tensor | None, compare: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """(2, N, 1, H, W) what ``compare`` gives of each pixel and of the one below, and to the right; 0 where there is none."""
    found = []
    for axis, pad in ((2, (0, 0, 0, 1)), (3, (0, 1))):
        size = max(0, x.shape[axis] - 1)
        pairs = compare(x.narrow(axis, 0, size), x.narrow(axis, x.shape[axis] - size, size))
        if valid is not None:
            both = valid.narrow(axis, 0, size) & valid.narrow(axis, x.shape[axis] - size, size)
            pairs = torch.where(both, pairs, 0)
        found.append(functional.pad(pairs, pad if x.shape[axis] else (0, 0)))
    return torch.stack(found)


@torch.no_grad()
def divergences(batch: Batch) -> Tensor:
    """(N, P) KL(p || p below) + KL(p || p to the right), image by image."""
    n, (height, width) = len(batch.image_weight), batch.space
    valid = absence(batch)
    valid = valid if valid is None else valid.view(n, 1, height, width)
    maps = batch.pred.detach().unflatten(2, (height, width))

    def compare(one: Tensor, other: Tensor) -> Tensor:
        k = one.shape[1] // 2
        return divergence(one[:, :k], one[:, k:], other[:, k:])[:, None]

    found = [
        differing(
            torch.cat(distributions(batch, maps[i : i + 1]), 1), valid if valid is None else valid[i : i + 1], compare
        ).sum(0)
        for i in range(n)
    ]
    return torch.cat(found).flatten(1) if found else maps.new_zeros(0, height * width)


@torch.no_grad()
def predicted(batch: Batch, spec: Any) -> Tensor:
    """(N, P) bool: the predicted boundary."""
    kl, counts, images = divergences(batch), batch.counts, None
    n, numbers = len(kl), counts.sum(1).to(accumulator_dtype(kl))
    allowed = (spec.max_boundary_ratio * numbers).floor()
    if spec.budget == 'batch':
        kl, allowed, images = kl.view(1, -1), allowed.sum()[None], batch.has_pixel.sum()[None].to(allowed.dtype)
    found = exceeding(kl, allowed, spec, images).view(n, 1, *batch.space)
    return dilate(found, None).flatten(1) & counts


def exceeding(kl: Tensor, allowed: Tensor, spec: Any, images: Tensor | None = None) -> Tensor:
    """(G, P) where kl exceeds the least threshold that ``allowed`` (G,) of a row or fewer exceed.

    images (1,): of how many, on all ranks, what is allowed is the mean.
    """
    ladder = LADDERS[kl.dtype]
    passed = torch.bucketize(kl, torch.tensor(ladder, dtype=kl.dtype, device=kl.device))  # thresholds below each
    sizes = allowed.new_zeros(len(kl), len(ladder) + 1).scatter_add(1, passed, allowed.new_ones(()).expand_as(passed))
    if images is not None:
        vector = torch.cat([sizes[0], allowed, images])
        vector = add_over_ranks(vector) if rank_and_size(spec.sync)[1] > 1 else vector
        sizes, allowed = vector[None, :-2], (vector[-2:-1] / vector[-1:].clamp(min=1)).floor()
    exceed = sizes.flip(1).cumsum(1).flip(1)[:, 1:]  # how many exceed each threshold
    return passed > (exceed > allowed[:, None]).sum(1, keepdim=True)


@torch.no_grad()
def places_of(chosen: Tensor, spec: Any) -> tuple[Tensor, Tensor]:
    """(N, K) the places of chosen pixels (N, P), and which of them are some: as many as there may be, or are where that is seen."""
    pixels, count = chosen.shape[1], chosen.sum(1)
    if can_look(chosen):
        k = int(count.amax()) if count.numel() else 0
    elif spec.budget == 'batch' and rank_and_size(spec.sync)[1] > 1:
        k = pixels  # of other ranks' images, which may be larger
    else:
        k = min(pixels, AROUND * int(spec.max_boundary_ratio * pixels))
    slots = torch.where(chosen, chosen.cumsum(1) - 1, k)
    places = torch.arange(pixels, device=chosen.device).expand_as(slots)
    found = slots.new_zeros(len(slots), k + 1).scatter(1, slots, places)[:, :k]
    return found, torch.arange(k, device=chosen.device) < count[:, None]


@torch.no_grad()
def neighbours(places: Tensor, space: tuple[int, ...], counts: Tensor | None) -> tuple[Tensor, Tensor]:
    """(N, 8, K) each: whether the neighbours of pixels (N, K) count, and their places.

    Else the place of the first that counts of the pixel in the same row, the one in the same column and the pixel itself.
    """
    height, width = space
    down, right = places.new_tensor(DIRECTIONS).T[:, :, None]
    own = places[:, None].expand(-1, len(DIRECTIONS), -1)
    y, x = own // max(1, width), own % max(1, width)
    there, found = torch.zeros_like(own, dtype=torch.bool), own
    for dy, dx in ((down, 0 * right), (0 * down, right), (down, right)):  # the last has the last word
        to_y, to_x = y + dy, x + dx
        there = (to_y >= 0) & (to_y < height) & (to_x >= 0) & (to_x < width)
        to = torch.where(there, to_y * width + to_x, own)
        if counts is not None:
            there = there & counts.gather(1, to.flatten(1)).view_as(there)
        found = torch.where(there, to, found)
    return there, found


def at(x: Tensor, places: Tensor) -> Tensor:
    """(N, C, ...) of x (N, C, P) at places (N, ...)."""
    flat = places.flatten(1)[:, None].expand(-1, x.shape[1], -1)
    return x.gather(2, flat).view(*x.shape[:2], *places.shape[1:])
