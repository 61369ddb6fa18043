"""What a loss receives, in PyTorch: logits or probabilities, hard or soft labels, ignored pixels, weights."""

import os
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from shared_spec import shapes
from shared_spec.inputs import FLOOR

DEBUG = os.environ.get('SEGPARITY_DEBUG', '') not in ('', '0')

is_compiling = getattr(torch.compiler, 'is_compiling', lambda: False)  # older PyTorch has no such question


class Batch(NamedTuple):
    """One call's inputs with the spatial axes flattened to P pixels, in the wider of float32 and pred's dtype.

    pred (N, C, P) logits or probabilities, target (N, C, P) in [0, 1], weight (N, P) with 0 where ignored,
    image_weight (N,), hard: whether the target came as class ids, softmax or sigmoid, logits: what pred holds.
    """

    pred: Tensor
    target: Tensor
    weight: Tensor
    image_weight: Tensor
    hard: bool
    softmax: bool
    logits: bool
    space: tuple

    @property
    def prob(self):
        """(N, C, P) probabilities."""
        if not self.logits:
            return self.pred
        return self.pred.softmax(1) if self.softmax else self.pred.sigmoid()

    @property
    def log_prob(self):
        """(N, C, P) log-probabilities, and for sigmoid also those of the complement (None for softmax)."""
        if self.logits:
            if self.softmax:
                return self.pred.log_softmax(1), None
            return functional.logsigmoid(self.pred), functional.logsigmoid(-self.pred)
        log_p = self.pred.clamp(min=FLOOR).log()
        return log_p, None if self.softmax else (1 - self.pred).clamp(min=FLOOR).log()

    @property
    def prob_both(self):
        """(N, C, P) p and 1 - p of every class by itself, each accurate where it is small."""
        if not self.logits:
            return self.pred, 1 - self.pred
        log_p, log_q = self.log_both
        return log_p.exp(), log_q.exp()

    @property
    def log_both(self):
        """(N, C, P) log p and log(1 - p) of every class by itself, each accurate where p is near 1."""
        log_p, log_q = self.log_prob
        if log_q is not None:
            return log_p, log_q
        if not self.logits:
            if log_p.shape[1] == 2:
                return log_p, log_p.flip(1)
            return log_p, (1 - self.pred).clamp(min=FLOOR).log()
        top = torch.zeros_like(log_p, dtype=torch.bool).scatter_(1, log_p.argmax(1, keepdim=True), True)
        rest = torch.where(top, -torch.inf, log_p).logsumexp(1, keepdim=True)  # log(1 - p) of the largest p
        log_q = torch.where(top, rest, log1m_exp(torch.where(top, -1.0, log_p)))
        near_one = top & (rest < -1)
        log_p = torch.where(near_one, log1m_exp(torch.where(near_one, rest, -1.0)), log_p)
        return log_p, log_q

    @property
    def has_pixel(self):
        """(N,) whether an image has any pixel that counts."""
        return (self.weight > 0).any(1)

    @property
    def largest_target(self):
        """(N, C) largest target among the pixels that count, 0 where none does."""
        return self.target.amax(2)

    def sum(self, x):
        """(N, C) sum over pixels of weight * x; short float32 sums are added in float64, so small classes survive."""
        x = (x * self.weight[:, None]).unflatten(2, (-1, self.space[-1])).sum(3)
        return x.to(accumulator(x)).sum(2)


def log1m_exp(x):
    """log(1 - exp(x)) for x < 0 that is not near 0."""
    return torch.log1p(-x.exp())


def accumulator(x):
    """The dtype in which statistics are added and compared: float64 where the device has it."""
    return x.dtype if x.device.type == 'mps' else torch.float64


def prepare(spec, pred, target, weight=None, ignore_index=None):
    """The ``Batch`` of one call; refuses shapes with ValueError and dtypes with TypeError."""
    owner = type(spec).__name__
    shapes.check_pred(owner, pred.shape, 'first', spec.spatial_axes)
    if not pred.is_floating_point():
        raise TypeError(f'{owner}: pred must be floating point, got {pred.dtype}')
    kind = shapes.label_kind(owner, pred.shape, target.shape, 'first')
    n, c, space = shapes.split(tuple(pred.shape), 'first')
    shapes.check_channels(owner, spec.channels, c)
    shapes.check_hard(owner, spec.labels, kind, target.is_floating_point(), c, target.dtype, tuple(target.shape))
    ignored = shapes.check_ignore(owner, spec.ignore_index, ignore_index, c)
    pred = pred.to(torch.promote_types(pred.dtype, torch.float32)).flatten(2)
    valid = torch.ones((n, pred.shape[2]), dtype=torch.bool, device=pred.device)

    if c == 1:
        hard = not target.is_floating_point()
        target = target.reshape(n, -1).to(pred.dtype)
        for i in ignored:
            valid = valid & (target != i)
        check_values(owner, target, valid, 0, 1, 'a one-channel target must lie in [0, 1]')
        target = target[:, None]
    elif kind == 'channels':
        hard = 'soft' not in spec.labels  # one-hot integers
        target = target.flatten(2).to(pred.dtype)
    else:
        hard = True
        ids = target.reshape(n, -1).long()
        for i in ignored:
            valid = valid & (ids != i)
        check_values(owner, ids, valid, 0, c - 1, f'target labels must be below {c}')
        target = (ids[:, None] == torch.arange(c, device=ids.device)[:, None]).to(pred.dtype)

    pixel_weight, image_weight = valid.to(pred.dtype), pred.new_ones(n)
    if weight is not None:
        weight = weight.to(pred.dtype)
        if shapes.weight_kind(owner, (n, c, *space), weight.shape, 'first') == 'image':
            image_weight = weight
            pixel_weight = pixel_weight * weight[:, None]
        else:
            pixel_weight = pixel_weight * weight.reshape(n, -1)

    counts = (pixel_weight > 0)[:, None]
    pred = torch.where(counts, pred, 0)  # an ignored pixel's prediction may be anything, NaN too
    target = torch.where(counts, target, 0)
    softmax = c > 1 and spec.activation == 'softmax'
    return Batch(pred, target, pixel_weight, image_weight, hard, softmax, spec.from_logits, space)


def check_values(owner, values, valid, low, high, rule):
    """Refuses labels outside their range where looking costs no device synchronisation, or under SEGPARITY_DEBUG=1."""
    if is_compiling() or not (DEBUG or values.device.type == 'cpu'):
        return
    wrong = valid & ((values < low) | (values > high))
    if wrong.any():
        raise ValueError(f'{owner}: {rule}, got {values[wrong][0].item():g}')
