"""Log-probabilities of a softmax over classes, accurate on both sides, with gradients that PyTorch would compute in more passes.

z (N, C, P) are finite logits or -inf; own (N, 1, P) is a class of each pixel. No second derivatives.
"""

from typing import Any

import torch
from torch import Tensor

from mmseg_plugin.kernels.twice import once_differentiable

SPAN = 80  # exp of less underflows in float32


class Lead(torch.autograd.Function):
    """(N, 1, P) z_y - log sum of exp z_k over the other classes k: the log-odds of class y, inf where p is 1."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, own: Tensor) -> Tensor:
        others, rest, lead = of_others(z, own)
        ctx.save_for_backward(others, rest, own)
        return lead

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        others, rest, own = ctx.saved_tensors
        slope = others * torch.where(rest > 0, -grad / rest, 0)
        return slope.scatter_(1, own, grad), None


class Others(torch.autograd.Function):
    """(p of every class but the pixel's own, where 0 stands, (N, C, P); log-odds of its own class, (N, 1, P))."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        p, rest, lead = of_others(z, own)
        p.mul_(torch.where(rest > 0, (-lead).sigmoid() / rest, 0))
        ctx.save_for_backward(p, lead, own)
        return p, lead

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, of_lead: Tensor) -> tuple[Tensor, None]:
        p, lead, own = ctx.saved_tensors
        slope = grad * p
        through = slope.sum(1, keepdim=True)
        share = torch.where(lead < torch.inf, of_lead / (-lead).sigmoid(), 0)
        slope.sub_(p * (through + share))
        return slope.scatter_(1, own, of_lead - lead.sigmoid() * through), None


def of_others(z: Tensor, own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(exp(z - largest z) with 0 at the own class (N, C, P), its sum over classes, log-odds of the own class (N, 1, P))."""
    top = z.amax(1, keepdim=True)
    others = (z - top).exp_().scatter_(1, own, 0)
    rest = others.sum(1, keepdim=True)
    return others, rest, z.gather(1, own) - top - rest.log()


class LogBoth(torch.autograd.Function):
    """(log p, log(1 - p)) of every class (N, C, P), for logits that differ by less than SPAN everywhere."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> tuple[Tensor, Tensor]:
        log_p = z - z.amax(1, keepdim=True)
        top = torch.eq(log_p, 0, out=torch.empty_like(log_p))  # numbers: masks of bool are many times as slow
        one = (top.sum(1, keepdim=True) == 1).to(z.dtype)
        top *= one  # of equal ones none is above 1/2
        p = log_p.exp()
        others = p - p * top
        rest = others.sum(1, keepdim=True)
        total = rest + one
        log_total = torch.log1p(rest + (one - 1))
        log_q = others.mul_(-1 / total).log1p_().add_(top.mul(rest.log() - log_total))
        p *= 1 / total
        ctx.save_for_backward(p, top, total / rest)
        return log_p.sub_(log_total), log_q

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_p: Tensor, of_q: Tensor) -> tuple[Tensor]:
        """Of log p_c: [k = c] - p_k; of log q_c: (p_k p_c / q_c for k != c, -p_c for k = c), where q of the largest is small."""
        p, top, scale = ctx.saved_tensors
        h = of_q * p
        of_top = h * top
        h = h.sub_(of_top).div_(1 - p + top)
        of_top = of_top.sum(1, keepdim=True)
        largest = of_p * top  # 1 - p of the largest is 1 / scale: of_p - p * of_p has lost its digits where p is near 1
        slope = of_p - largest
        through = h.sum(1, keepdim=True) - slope.sum(1, keepdim=True)
        slope += p * (through - (1 - top) * largest.sum(1, keepdim=True)) - h
        slope += largest / scale
        return slope.add_((p - p * top).mul_(scale * of_top)).sub_(top * of_top)


class LeadAndComplements(torch.autograd.Function):
    """(log-odds of the own class, sum of log(1 - p) over the classes that are neither 0 nor it), each (N, 1, P).

    For logits that differ by less than SPAN everywhere. The sum is the logarithm of one product: of probabilities that
    add up to 1 only the largest can be near 1, so that the product of the other complements is above exp(-2). Where the
    largest is one of those classes, its entry of ``p`` is 0 and it stands for itself in maps of pixels.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        top = z.amax(1, keepdim=True)
        e = (z - top).exp_()
        of_own = e.gather(1, own)
        first = e[:, :1] * torch.ne(own, 0, out=torch.empty_like(top))
        e.scatter_(1, own, 0)
        e[:, :1] = 0
        largest = torch.eq(e, 1, out=torch.empty_like(e))  # numbers: masks of bool are many times as slow
        count = largest.sum(1, keepdim=True)
        e -= largest
        small = e.sum(1, keepdim=True)
        others = small + first + count
        rest = small + first + of_own + (count - 1)  # of a largest one: all but it
        total = rest + 1
        p = e.mul_(1 / total)
        lead = z.gather(1, own) - top - others.log()
        log_q = count * torch.where(count > 0, rest / total, 1).log()
        complements = (1 - p).prod(1, keepdim=True).log_().add_(log_q)
        ctx.save_for_backward(
            p, largest, own, count, of_own / total, first / total, 1 / rest, total / others, 1 / total
        )
        return lead, complements

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, of_sum: Tensor) -> tuple[Tensor, None]:
        """Of the sum with h_k = p_k / (1 - p_k): p_c * (sum of h_k over k != c - [c counts])."""
        p, largest, own, count, of_own, first, odds, per_other, of_largest = ctx.saved_tensors
        h = p / (1 - p)
        small = h.sum(1, keepdim=True)
        odds = torch.where(count > 0, odds, 0)
        whole = small + count * odds
        share = grad * per_other
        slope = torch.addcmul(of_sum * (whole - 1) - share, h, of_sum, value=-1).mul_(p)
        slope.addcmul_(largest, of_largest * (of_sum * (small + (count - 1) * odds - 1) - share))
        slope[:, :1] += first * (of_sum * whole - share)
        return slope.scatter_(1, own, grad + of_own * of_sum * whole), None
