"""tp, fp, fn of each (image, class) cell in PyTorch, in the two flavours of the catalogue."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.granularity import CellSums
from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.overlap import cpu
from mmseg_plugin.kernels.overlap.choice import choose
from mmseg_plugin.kernels.overlap.fused import fused_overlap
from mmseg_plugin.kernels.pixel_sums import in_blocks
from mmseg_plugin.resized import ResizedBatch

P = ParamSpec('P')


def by_parts(overlap: Callable[Concatenate[Batch, P], CellSums]) -> Callable[Concatenate[Batch, P], CellSums]:
    """Of predictions that are resized, each block is taken as a batch: the fused operator takes all of a batch at once."""

    @functools.wraps(overlap)
    def of_batch(batch: Batch, *rest: P.args, **named: P.kwargs) -> CellSums:
        if not isinstance(batch, ResizedBatch) or not in_blocks(batch):
            return overlap(batch, *rest, **named)

        def terms(part: Batch) -> dict[str, Tensor]:
            sums, size = overlap(part, *rest, **named)
            sizes = [] if not part.hard else [part.class_sizes if size is None else size]
            return {str(k): x for k, x in enumerate([*sums, *sizes])}

        name = overlap.__name__
        if name == 'metric_overlap' and batch.hard and batch.logits:
            name = 'product_overlap'  # the same for labels 0 and 1
        key = ' '.join(map(str, (name, *(n for n in (*rest, *named.values()) if n != 1))))
        if batch.shared is not None and key in batch.shared:
            return batch.shared[key]
        *sums, last = batch.sums(terms).values()
        cells = CellSums.stack(*sums, size=last.detach()) if batch.hard else CellSums.stack(*sums, last)
        if batch.shared is not None:
            batch.shared[key] = cells
        return cells

    return of_batch


@by_parts
def product_overlap(batch: Batch, norm: int = 1) -> CellSums:
    """tp = sum p*y, fp = |p| - tp, fn = |y| - tp, with p and y to the power ``norm`` in |.|: ``CellSums``."""
    cells = fused_cell_sums(batch, {1: 'product', 2: 'squared'}.get(norm))
    if cells is not None:
        return cells
    p, y = batch.prob, batch.target
    both = p * y  # subtracted before the sum, so that few wrong pixels among many survive in float32
    return CellSums.stack(batch.sum(both), batch.sum(p**norm - both), batch.sum(y**norm - both))


@by_parts
def exact_overlap(batch: Batch) -> CellSums:
    """The product statistics, each accurate where it is small: for losses that are steep where everything is right."""
    cells = fused_cell_sums(batch, 'exact')
    if cells is not None:
        return cells
    (p, q), y = batch.prob_both, batch.target
    return CellSums.stack(batch.sum(p * y), batch.sum(p * (1 - y)), batch.sum(q * y))


@by_parts
def metric_overlap(batch: Batch, norm: int = 1) -> CellSums:
    """tp = (|p| + |y| - |p - y|) / 2, fp = |p| - tp, fn = |y| - tp; at p = y the gradient splits evenly."""
    cells = fused_cell_sums(batch, {1: 'metric', 2: 'squared'}.get(norm))
    if cells is not None:
        return cells
    p, y = batch.prob, batch.target
    if norm == 1:
        both = torch.minimum(p, y)
    elif norm == 2:
        both = p * y
    else:
        both = (p**norm + y**norm - (p - y).abs() ** norm) / 2
    return CellSums.stack(batch.sum(both), batch.sum(p**norm - both), batch.sum(y**norm - both))


@by_parts
def squared_errors(batch: Batch) -> CellSums:
    """Sums of (p - y)^2 y, (p - y)^2 (1 - y), y."""
    cells = fused_cell_sums(batch, 'errors')
    if cells is not None:
        return cells
    y, error = batch.target, (batch.target - batch.prob) ** 2
    return CellSums.stack(batch.sum(error * y), batch.sum(error * (1 - y)), batch.sum(y))


def fused_cell_sums(batch: Batch, flavour: str | None) -> CellSums | None:
    """The ``CellSums`` of the fused operator, or None where it does not run or has no such flavour."""
    if flavour is None:
        return None
    if flavour == 'metric' and batch.hard and batch.logits:
        flavour = 'product'  # the same for labels 0 and 1
    if batch.shared is None:
        return cell_sums(batch, flavour)
    if flavour not in batch.shared:
        batch.shared[flavour] = cell_sums(batch, flavour)
    return batch.shared[flavour]


def shared_logs(batch: Batch) -> Tensor | None:
    """(N, C) the sums of -log p of the pixels of each class, beside statistics that another loss on the batch asks for.

    None where nothing is shared or a probability is too small for it.
    """
    if batch.shared is None or 'product' in batch.shared:
        return None
    if isinstance(batch, ResizedBatch) and in_blocks(batch):
        if 'product_overlap' in batch.shared:
            return None
        *sums, logs = batch.sums(sums_and_logs).values()
        batch.shared['product_overlap'] = CellSums.stack(*sums, size=(sums[0] + sums[2]).detach())
        return logs
    call = batch.given, batch.labels, batch.pixel_weight, batch.activation, 'product'
    statistics = fused_overlap(*call, logs=True)
    if statistics is None or not statistics.detach().sum().isfinite():
        return None
    batch.shared['product'] = with_size(batch, 'product', statistics[:3])
    return statistics[3]


def sums_and_logs(part: Batch) -> dict[str, Tensor]:
    """tp, fp, fn, and the sums of -log p of each class, from one softmax where they can be."""
    call = part.given, part.labels, part.pixel_weight, part.activation, 'product'
    if torch.is_grad_enabled():
        found = fused_overlap(*call, logs=True)
    else:
        found = cpu.forward(*call, logs=True)[0] if has_logs(part) else None
    if found is None or not found.detach().sum().isfinite():
        logs = part.sum_by_class(-part.log_prob_of_own)
        found = torch.stack([*product_overlap(part).sums, logs])
    return dict(zip(('tp', 'fp', 'fn', 'logs'), found))


def has_logs(part: Batch) -> bool:
    """Whether the fused operator takes a part without a gradient, with logarithms."""
    chosen = choose(part.given, part.labels, part.pixel_weight, part.activation, 'product')
    return chosen.way == 'cpu' and cpu.has_logs(part.labels, part.activation, part.channels)


def cell_sums(batch: Batch, flavour: str) -> CellSums | None:
    """The ``CellSums`` of the fused operator, computed."""
    statistics = fused_overlap(batch.given, batch.labels, batch.pixel_weight, batch.activation, flavour)
    if statistics is None:
        return None
    if not batch.visible:
        has_nan = statistics.detach().isnan().any(2).any(0)[:, None]
        statistics = statistics * torch.where(has_nan, torch.nan, 1.0)  # NaN of one class shows in all
    elif not statistics.detach().sum().isfinite():
        batch.look()  # for it may be refused
    return with_size(batch, flavour, statistics)


def with_size(batch: Batch, flavour: str, statistics: Tensor) -> CellSums:
    """The statistics with the sizes of the classes, which they show for class ids."""
    if not batch.hard:
        return CellSums(statistics)
    first, _, last = statistics.detach()
    return CellSums(statistics, last if flavour == 'errors' else first + last)


def score(tp: Tensor, fp: Tensor, fn: Tensor, alpha: float, beta: float, smooth: float) -> Tensor:
    """(tp + smooth) / (tp + alpha*fp + beta*fn + smooth); 0/0, no mass at all, is 1."""
    top = tp + smooth
    bottom = top.add(fp, alpha=alpha).add(fn, alpha=beta)
    return top / bottom if smooth > 0 else ratio(top, bottom)
