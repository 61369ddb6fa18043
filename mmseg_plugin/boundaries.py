"""How much of each class is boundary in PyTorch: pixels with a neighbour along an axis that is outside."""

from collections.abc import Callable

import torch
from torch import Tensor

from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.pixel_sums import class_value
from mmseg_plugin.values import can_look, is_traced
from shared_spec.features import ACROSS
from shared_spec.metrics.boundary.spec import boundary_width


@torch.no_grad()
def boundary_sizes(batch: Batch) -> Tensor:
    """(N, C) the weight of the boundary of each class; of soft labels y the sum of y less its smallest neighbour.

    What lies beyond the image is outside, and so is an absent pixel.
    """
    if batch.labels.dim() == 3:
        return class_value(batch, boundary_of_part)
    found = boundary_of_ids(batch)
    if not batch.visible or is_traced(found) or not found.is_cpu or not len(found):
        return batch.sum_by_class(found.to(batch.dtype)[:, None])
    return torch.stack([count_boundary(batch, found, i) for i in range(len(found))])


def count_boundary(batch: Batch, found: Tensor, image: int) -> Tensor:
    """(C,) the weight of the boundary of each class of an image, of which the few pixels of ``found`` are looked at."""
    weight, some = batch.pixel_weight, found[image].bool()
    if weight is not None:
        some = some & batch.counts[image]
        weight = None if weight.dtype == torch.bool else weight[image][some].double()
    return torch.bincount(batch.labels[image][some].long(), weight, batch.channels).double()


def boundary_of_part(part: Batch) -> Tensor:
    """(N, C) the same of a part with whole maps of classes."""
    y = part.target
    if part.pixel_weight is not None or not part.visible:
        y = torch.where(part.counts[:, None], y, 0)  # which holds anything at absent pixels
    return part.sum(boundary_of_maps(y, part.space))


def boundary_of_ids(batch: Batch) -> Tensor:
    """(N, P) bytes or bool: 1 at the pixels of the boundary of their class, anything at absent pixels; for class ids."""
    ids, absent = batch.labels.unflatten(1, batch.space), None
    if batch.pixel_weight is not None:
        absent = ~batch.counts.unflatten(1, batch.space)
    if ids.dtype == torch.uint8 and not is_traced(ids):
        found, differ = torch.zeros_like(ids), lambda a, b: torch.ne(a, b, out=torch.empty_like(a))
        absent = None if absent is None else absent.to(torch.uint8)
    else:
        found, differ = torch.zeros_like(ids, dtype=torch.bool), torch.ne
    for axis in range(1, ids.dim()):
        size = ids.shape[axis]
        if not size:
            continue
        found.select(axis, 0).fill_(1)
        found.select(axis, size - 1).fill_(1)
        before, after = (x.narrow(axis, start, size - 1) for x, start in ((found, 0), (found, 1)))
        edge = differ(ids.narrow(axis, 0, size - 1).contiguous(), ids.narrow(axis, 1, size - 1).contiguous())
        if absent is not None:
            edge = edge | absent.narrow(axis, 0, size - 1) | absent.narrow(axis, 1, size - 1)
        before |= edge
        after |= edge
    return found.flatten(1)


def boundary_of_maps(y: Tensor, space: tuple[int, ...]) -> Tensor:
    """(N, C, P) y less the smallest of y and its neighbours along the axes, 0 beyond the image."""
    maps = y.unflatten(2, space)
    inner = maps.clone()
    for axis in range(2, maps.dim()):
        size = maps.shape[axis]
        if not size:
            continue
        for at in (0, size - 1):
            inner.select(axis, at).clamp_(max=0)
        first, last = (x.narrow(axis, start, size - 1) for x, start in ((inner, 0), (inner, 1)))
        torch.minimum(first, maps.narrow(axis, 1, size - 1), out=first)
        torch.minimum(last, maps.narrow(axis, 0, size - 1), out=last)
    return (maps - inner).flatten(2)


def between_classes(ids: Tensor, counts: Tensor | None = None) -> Tensor:
    """(N, H, W) bool: the pixels at the edge of their class, of those that count; all if None."""
    if counts is not None:
        ids = torch.where(counts, ids.long(), -1)
    return class_edges(ids, ACROSS)


def class_edges(label: Tensor, reach: int) -> Tensor:
    """(N, *size) bool: the pixels at the edge of their class, ids below 0 are of none; as ``shared_spec.features`` has it."""
    found = torch.zeros_like(label, dtype=torch.bool)
    if reach > 1 and can_look(label) and not (label < 0).any():
        reach = 1
    for axis in range(1, label.dim()):
        alone = torch.ones((), dtype=torch.bool, device=label.device)
        for step in range(1, min(reach, label.shape[axis] - 1) + 1):
            length = label.shape[axis] - step
            one, other = label.narrow(axis, 0, length), label.narrow(axis, step, length)
            alone = alone.narrow(axis, 0, length) if alone.dim() else alone
            differs = alone & (one != other) & (one >= 0) & (other >= 0)
            for first in (0, step):
                part = found.narrow(axis, first, length)
                part |= differs
            alone = alone & (other < 0)
    return found


@torch.no_grad()
def wide_boundary(batch: Batch, ratio: float) -> Tensor:
    """(N, P) bool: the pixels that ``boundary_width`` erosions by the square take from the masks of the classes; for labels.

    What lies beyond the image is outside, and so is an absent pixel.
    """
    ids = batch.own[:, 0] if batch.channels > 1 else batch.labels[:, 0].long()
    ids = torch.where(batch.counts, ids, -1).unflatten(1, batch.space)
    width = boundary_width(ratio, batch.space)
    padded = torch.nn.functional.pad(ids, (width, width) * len(batch.space), value=-1)
    smallest, largest = padded, padded
    for axis in range(1, ids.dim()):
        smallest = extreme(smallest, axis, 2 * width + 1, torch.minimum)
        largest = extreme(largest, axis, 2 * width + 1, torch.maximum)
    return (smallest != largest).flatten(1) & batch.counts


def extreme(x: Tensor, axis: int, length: int, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The smallest or largest of all stretches of that length along an axis, from those of shorter ones."""
    done = 1
    while done < length:
        step = min(done, length - done)
        x = pick(x.narrow(axis, 0, x.shape[axis] - step), x.narrow(axis, step, x.shape[axis] - step))
        done += step
    return x
