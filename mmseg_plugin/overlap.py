"""tp, fp, fn of each (image, class) cell in PyTorch, in the two flavours of the catalogue."""

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.granularity import CellSums
from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.overlap.fused import fused_overlap


def product_overlap(batch: Batch, norm: int = 1) -> CellSums:
    """tp = sum p*y, fp = |p| - tp, fn = |y| - tp, with p and y to the power ``norm`` in |.|: ``CellSums``."""
    cells = fused_cell_sums(batch, {1: 'product', 2: 'squared'}.get(norm))
    if cells is not None:
        return cells
    p, y = batch.prob, batch.target
    both = p * y  # subtracted before the sum, so that few wrong pixels among many survive in float32
    return CellSums.stack(batch.sum(both), batch.sum(p**norm - both), batch.sum(y**norm - both))


def exact_overlap(batch: Batch) -> CellSums:
    """The product statistics, each accurate where it is small: for losses that are steep where everything is right."""
    cells = fused_cell_sums(batch, 'exact')
    if cells is not None:
        return cells
    (p, q), y = batch.prob_both, batch.target
    return CellSums.stack(batch.sum(p * y), batch.sum(p * (1 - y)), batch.sum(q * y))


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
    call = batch.given, batch.labels, batch.pixel_weight, batch.activation, 'product'
    statistics = fused_overlap(*call, logs=True)
    if statistics is None or not statistics.detach().sum().isfinite():
        return None
    batch.shared['product'] = with_size(batch, 'product', statistics[:3])
    return statistics[3]


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
