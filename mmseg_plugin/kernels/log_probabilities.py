"""Log-probabilities of a softmax over classes, accurate on both sides, with gradients that PyTorch would compute in more passes.

z (N, C, P) are finite logits or -inf; own (N, 1, P) is a class of each pixel. No second derivatives.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class OwnLogProb(torch.autograd.Function):
    """(N, 1, P) the log-probability of each pixel's class."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, own: Tensor) -> Tensor:
        log_p = z.log_softmax(1)
        ctx.save_for_backward(log_p, own)
        return log_p.gather(1, own)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        log_p, own = ctx.saved_tensors
        return log_p.exp().mul_(-grad).scatter_add_(1, own, grad), None


class Lead(torch.autograd.Function):
    """(N, 1, P) z_y - log sum of exp z_k over the other classes k, the log-odds of class y; NaN and infinities as in both."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, own: Tensor) -> Tensor:
        others = z.scatter(1, own, -torch.inf)
        rest = others.logsumexp(1, keepdim=True)
        ctx.save_for_backward(others, rest, own)
        return z.gather(1, own) - rest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        others, rest, own = ctx.saved_tensors
        slope = (others - rest.clamp(min=torch.finfo(rest.dtype).min)).exp_().mul_(-grad)  # 0 where all others are -inf
        return slope.scatter_(1, own, grad), None
