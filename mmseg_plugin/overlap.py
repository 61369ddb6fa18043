"""tp, fp, fn of each (image, class) cell in PyTorch, in the two flavours of the catalogue."""

import torch

from mmseg_plugin.fused_overlap import fused_overlap


def product_overlap(batch, norm=1):
    """tp = sum p*y, fp = |p| - tp, fn = |y| - tp, with p and y to the power ``norm`` in |.|; each (N, C)."""
    statistics = fused(batch, {1: 'product', 2: 'squared'}.get(norm))
    if statistics is not None:
        return statistics
    p, y = batch.prob, batch.target
    both = p * y  # subtracted before the sum, so that few wrong pixels among many survive in float32
    return batch.sum(both), batch.sum(p**norm - both), batch.sum(y**norm - both)


def exact_overlap(batch):
    """The product statistics, each accurate where it is small: for losses that are steep where everything is right."""
    statistics = fused(batch, 'exact')
    if statistics is not None:
        return statistics
    (p, q), y = batch.prob_both, batch.target
    return batch.sum(p * y), batch.sum(p * (1 - y)), batch.sum(q * y)


def metric_overlap(batch, norm=1):
    """tp = (|p| + |y| - |p - y|) / 2, fp = |p| - tp, fn = |y| - tp; each (N, C); at p = y the gradient splits evenly."""
    statistics = fused(batch, {1: 'metric', 2: 'squared'}.get(norm))
    if statistics is not None:
        return statistics
    p, y = batch.prob, batch.target
    if norm == 1:
        both = torch.minimum(p, y)
    elif norm == 2:
        both = p * y
    else:
        both = (p**norm + y**norm - (p - y).abs() ** norm) / 2
    return batch.sum(both), batch.sum(p**norm - both), batch.sum(y**norm - both)


def squared_errors(batch):
    """Sums of (p - y)^2 y, (p - y)^2 (1 - y), y; each (N, C)."""
    statistics = fused(batch, 'errors')
    if statistics is not None:
        return statistics
    y, error = batch.target, (batch.target - batch.prob) ** 2
    return batch.sum(error * y), batch.sum(error * (1 - y)), batch.sum(y)


def fused(batch, flavour):
    """(3, N, C) the statistics from the fused operator, or None where it does not run or has no such flavour."""
    if flavour is None:
        return None
    if flavour == 'metric' and batch.hard and batch.logits:
        flavour = 'product'  # the same for labels 0 and 1
    statistics = fused_overlap(batch.given, batch.labels, batch.pixel_weight, batch.activation, flavour)
    if statistics is None:
        return None
    if not batch.visible:
        spoiled = statistics.detach().isnan().any(2).any(0)[:, None]
        statistics = statistics * torch.where(spoiled, torch.nan, 1.0)  # NaN of one class shows in all
    elif not statistics.detach().sum().isfinite():
        batch.look()  # for it may be refused
    if batch.hard:
        first, _, last = statistics.detach()
        batch.size = last if flavour == 'errors' else first + last
    return statistics


def as_tensor(statistics):
    """(3, N, C) of three tensors, or of one that is already."""
    return statistics if isinstance(statistics, torch.Tensor) else torch.stack(statistics)


def score(tp, fp, fn, alpha, beta, smooth):
    """(tp + smooth) / (tp + alpha*fp + beta*fn + smooth); 0/0, no mass at all, is 1."""
    top = tp + smooth
    bottom = top.add(fp, alpha=alpha).add(fn, alpha=beta)
    return top / bottom if smooth > 0 else ratio(top, bottom)


def ratio(top, bottom, empty=1.0):
    """top / bottom, and ``empty`` with zero gradient where bottom is 0."""
    some = bottom != 0
    return torch.where(some, top / torch.where(some, bottom, 1), empty)


def times(weight, x):
    """weight * x for a number, without an operation where it is 1."""
    return x if weight == 1 else weight * x


def part(weight, x):
    """weight * x for a number; 0 leaves x out, infinite or not, which another part tells of NaN."""
    return weight * x if weight > 0 else 0


def power(x, exponent):
    """x ** exponent for x >= 0, with zero gradient at 0, where a power below 1 is infinitely steep."""
    some = ~(x <= 0)
    return torch.where(some, torch.where(some, x, 1) ** exponent, 0)
