"""Arithmetic of losses whose limits and gradients are what the formulas mean: 0/0, 0 * log 0, a power below 1 at 0."""

from typing import Any

import torch
from torch import Tensor

from mmseg_plugin.values import can_look, is_traced


def ratio(top: Tensor, bottom: Tensor, empty: float = 1.0) -> Tensor:
    """top / bottom, and ``empty`` with zero gradient where bottom is 0."""
    some = bottom != 0
    return torch.where(some, top / torch.where(some, bottom, 1), empty)


def multiply(weight: float, x: Tensor) -> Tensor:
    """weight * x for a number, without an operation where it is 1."""
    return x if weight == 1 else weight * x


def times_log(share: Tensor, log: Tensor) -> Tensor:
    """share * log of a probability, in which 0 * log 0 is 0."""
    if can_look(log) and (not log.numel() or log.detach().amin().item() > -torch.inf):
        return share * log
    return torch.where(log.isneginf() & (share == 0), 0, share * log)


def scale_part(weight: float, x: Tensor) -> Tensor | int:
    """weight * x for a number; 0 leaves x out, infinite or not, which another part tells of NaN."""
    return weight * x if weight > 0 else 0


def power(x: Tensor, exponent: float | Tensor) -> Tensor:
    """x ** exponent for x >= 0, with zero gradient at 0, where a power below 1 is infinitely steep."""
    some = ~(x <= 0)
    return torch.where(some, torch.where(some, x, 1) ** exponent, 0)


class Clamp(torch.autograd.Function):
    """``torch.clamp``, whose gradient takes several masks of bool in place of one of numbers."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        inside = x.clamp(low, high)
        ctx.save_for_backward(torch.eq(x, inside, out=torch.empty_like(x)))
        return inside

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (inside,) = ctx.saved_tensors
        return grad * inside, None, None


def clamp(x: Tensor, low: float, high: float) -> Tensor:
    """x within [low, high], with zero gradient outside, or NaN where it comes as NaN."""
    return x.clamp(low, high) if is_traced(x) else Clamp.apply(x, low, high)


def log1m_exp(x: Tensor) -> Tensor:
    """log(1 - exp(x)) for x < 0 that is not near 0."""
    return torch.log1p(-x.exp())


def accumulator_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which statistics are added and compared: float64 where the device has it."""
    return x.dtype if x.device.type == 'mps' else torch.float64
