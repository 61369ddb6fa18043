"""Soft skeletons in PyTorch: what openings of a map take away, erosion by erosion; and their sums over pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.pixel_sums import class_sums


def skeleton_sums(batch: Batch, iterations: int) -> list[Tensor]:
    """(N, C) each: sums of S(p)*y, S(p), S(y)*p and S(y), S the soft skeleton of the map of a class.

    The maps of a few classes at a time are looked at, whose skeletons are made once more for the gradient.
    """

    def terms(part: Batch) -> dict[str, Tensor]:
        absent = part.pixel_weight is not None or not part.visible
        valid = part.counts.unflatten(1, part.space)[:, None] if absent else None
        p, y = part.pred, part.target
        y = torch.where(part.counts[:, None], y, 0) if absent else y
        of_p = skeleton(p.unflatten(2, part.space), valid, iterations).flatten(2)
        with torch.no_grad():
            of_y = skeleton(y.unflatten(2, part.space), valid, iterations).flatten(2)
        sums = of_p * y, of_p, of_y * p, of_y
        return {str(k): part.sum(x) for k, x in enumerate(sums)}

    return list(class_sums(of_probabilities(batch), terms).values())


def of_probabilities(batch: Batch) -> Batch:
    """The same batch with probabilities in place of logits, of which some classes can be taken alone."""
    batch.look()
    other = Batch(
        batch.owner,
        batch.prob,
        batch.labels,
        batch.pixel_weight,
        batch.image_weight,
        batch.hard,
        batch.softmax,
        'none',
        batch.space,
        batch.visible,
    )
    other.looked, other.masked = True, batch.masked
    return other


def skeleton(x: Tensor, valid: Tensor | None, iterations: int) -> Tensor:
    """(N, C, *space) the soft skeleton; valid (N, 1, *space) bool: which pixels take part, None for all."""
    eroded = erode(x, valid)
    found = taken_away(x, dilate(eroded, valid))
    for _ in range(iterations):
        x, eroded = eroded, erode(eroded, valid)
        delta = taken_away(x, dilate(eroded, valid))
        found = found + delta * (1 - found)
    return found


def taken_away(x: Tensor, opened: Tensor) -> Tensor:
    """max(x - opened, 0) by comparing the two: a compiler may subtract before it rounds, and equal ones then differ."""
    return torch.where(x <= opened, 0, x - opened)


def erode(x: Tensor, valid: Tensor | None) -> Tensor:
    """The least of each pixel and its neighbours along the axes."""
    x = x if valid is None else torch.where(valid, x, 1)
    least = windows(x, 2, torch.minimum)
    for axis in range(3, x.dim()):
        least = torch.minimum(least, windows(x, axis, torch.minimum))
    return least


def dilate(x: Tensor, valid: Tensor | None) -> Tensor:
    """The largest of the square around each pixel."""
    x = x if valid is None else torch.where(valid, x, 0)
    for axis in range(2, x.dim()):
        x = windows(x, axis, torch.maximum)
    return x


def windows(x: Tensor, axis: int, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """``pick`` of each pixel and its two neighbours along an axis."""
    size = x.shape[axis]
    if size < 2:
        return x
    pairs = pick(x.narrow(axis, 0, size - 1), x.narrow(axis, 1, size - 1))
    inner = pick(pairs.narrow(axis, 0, size - 2), pairs.narrow(axis, 1, size - 2))
    return torch.cat([pairs.narrow(axis, 0, 1), inner, pairs.narrow(axis, size - 2, 1)], axis)
