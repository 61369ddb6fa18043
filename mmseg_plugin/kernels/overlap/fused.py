"""``torch.ops.segparity.overlap``: tp, fp, fn from logits in one operator whose gradient is written by hand.

When it runs: ``choice``.
"""

from typing import Any, NoReturn

import torch
from torch import Tensor

from mmseg_plugin import values
from mmseg_plugin.kernels.overlap import cpu, triton_launch
from mmseg_plugin.kernels.overlap.choice import HAS_OPERATORS, choose, has_kernels

REMEDY = 'with SEGPARITY_OVERLAP=plain in the environment it can'
ONCE = f'the gradient of fused overlap statistics cannot be taken twice, the first overwrote what it needs: {REMEDY}'
FIRST_ORDER = f'the gradient of fused overlap statistics cannot be differentiated again: {REMEDY}'


def fused_overlap(
    pred: Tensor, target: Tensor, weight: Tensor | None, activation: str, flavour: str, logs: bool = False
) -> Tensor | None:
    """(3, N, C) tp, fp, fn in float64, with a gradient for pred; None where PyTorch's own operators are to be used.

    pred (N, C, P) logits, or probabilities with activation 'none'; target class ids (N, P) or soft labels (N, C, P);
    weight None or (N, P), False or 0 where a pixel is absent: there pred and target may hold anything. activation:
    softmax, sigmoid, none. With sums over pixels of weight * terms, flavour is

        product   p y, p - p y, y - p y
        exact     the same, with (1 - p) y for the last and in the gradient accurate where p is near 1
        metric    min(p, y), p - min(p, y), y - min(p, y); where p = y the gradient splits evenly
        squared   p y, p^2 - p y, y^2 - p y
        errors    (p - y)^2 y, (p - y)^2 (1 - y), y

    logs: (4, N, C) with the sums of -log p of the true class, infinite or NaN where a p is too small for that; None
    where there are none.
    """
    chosen = choose(pred, target, weight, activation, flavour)
    if chosen.way == 'plain' or (logs and not (chosen.overwrites and cpu.has_logs(target, activation, pred.shape[1]))):
        return None
    if chosen.way == 'cpu' and not (pred.is_contiguous() or pred.transpose(1, 2).is_contiguous()):
        pred = pred.contiguous()
    if chosen.overwrites:
        return OverwritesProbabilities.apply(pred, target, weight, activation, flavour, logs)
    return overlap(pred, target, weight, activation, flavour)


class OverwritesProbabilities(torch.autograd.Function):
    """``overlap`` in one logits' memory: the probabilities of the forward are turned into the gradient in place."""

    @staticmethod
    def forward(
        ctx: Any, pred: Tensor, target: Tensor, weight: Tensor | None, activation: str, flavour: str, logs: bool
    ) -> Tensor:
        statistics, ctx.kept = cpu.forward(pred, target, weight, activation, flavour, keep=True, logs=logs)
        ctx.save_for_backward(target, weight)
        return statistics

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(FIRST_ORDER)
        if ctx.kept is None:
            raise RuntimeError(ONCE)
        kept, ctx.kept = ctx.kept, None
        with torch.autocast('cpu', enabled=False):
            target, weight = ctx.saved_tensors
            gradient = cpu.gradient_(kept, target, weight, grad)
        return gradient, None, None, None, None, None


if HAS_OPERATORS:

    @torch.library.custom_op('segparity::overlap', mutates_args=())
    def overlap(pred: Tensor, target: Tensor, weight: Tensor | None, activation: str, flavour: str) -> Tensor:
        """(3, N, C) as ``fused_overlap`` says; all NaN where the CPU meets a class id that counts and is none."""
        with torch.autocast(pred.device.type, enabled=False):
            if pred.is_cpu and not has_kernels(pred, flavour):
                sums = cpu.forward(pred, target, weight, activation, flavour)[0]
                labelled = target.dim() == 3 or values.are_sound(target, weight, pred.shape[1])
                return sums if labelled else sums.fill_(torch.nan)  # in a compiled model nobody has looked
            return triton_launch.forward(pred, target, weight, activation, flavour)

    @torch.library.custom_op('segparity::overlap_gradient', mutates_args=())
    def overlap_gradient(
        pred: Tensor, target: Tensor, weight: Tensor | None, grad: Tensor, activation: str, flavour: str
    ) -> Tensor:
        """d loss / d pred in pred's shape and dtype; grad (3, N, C) is d loss / d (tp, fp, fn)."""
        with torch.autocast(pred.device.type, enabled=False):
            if pred.is_cpu and not has_kernels(pred, flavour):
                return cpu.gradient(pred, target, weight, grad, activation, flavour)
            return triton_launch.backward(pred, target, weight, grad, activation, flavour)

    @overlap.register_fake
    def _(pred: Tensor, target: Tensor, weight: Tensor | None, activation: str, flavour: str) -> Tensor:
        return pred.new_empty((3, *pred.shape[:2]), dtype=torch.float64)

    @overlap_gradient.register_fake
    def _(pred: Tensor, target: Tensor, weight: Tensor | None, grad: Tensor, activation: str, flavour: str) -> Tensor:
        return torch.empty_like(pred)

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pred, target, weight, *ctx.call = inputs
        ctx.save_for_backward(pred, target, weight)

    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return overlap_gradient(*ctx.saved_tensors, grad, *ctx.call), None, None, None, None

    def refuse(ctx: Any, grad: Tensor) -> NoReturn:
        raise RuntimeError(FIRST_ORDER)

    overlap.register_autograd(backward, setup_context=setup_context)
    overlap_gradient.register_autograd(refuse)
