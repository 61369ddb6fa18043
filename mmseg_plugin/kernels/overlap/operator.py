"""``torch.ops.segparity.overlap``: tp, fp, fn from logits in one operator whose gradient is written by hand.

SEGPARITY_OVERLAP says when it runs: ``auto`` (where it is faster than the same in PyTorch's own operators), ``fused``
(wherever it can) or ``plain`` (nowhere: for second derivatives, or several backward passes through one loss).
"""

import os

import torch
from torch import Tensor

from mmseg_plugin import overlap_cpu, triton_overlap, values

SMALL = 2**11  # numbers in the logits below which it gains nothing and PyTorch's own operators allow more
HAS_OPERATORS = hasattr(torch.library, 'custom_op')  # PyTorch 2.4
PLAIN = 'with SEGPARITY_OVERLAP=plain in the environment it can'
ONCE = f'the gradient of fused overlap statistics cannot be taken twice, the first overwrote what it needs: {PLAIN}'
FIRST_ORDER = f'the gradient of fused overlap statistics cannot be differentiated again: {PLAIN}'


def mode_of(value):
    """The mode that SEGPARITY_OVERLAP names; empty is auto."""
    modes = ('auto', 'fused', 'plain')
    if value and value not in modes:
        raise ValueError(f'SEGPARITY_OVERLAP must be one of {", ".join(modes)}, got {value!r}')
    return value or 'auto'


MODE = mode_of(os.environ.get('SEGPARITY_OVERLAP', ''))


def fused_overlap(pred, target, weight, activation, flavour):
    """(3, N, C) tp, fp, fn in float64, with a gradient for pred; None where PyTorch's own operators are to be used.

    pred (N, C, P) logits, or probabilities with activation 'none'; target class ids (N, P) or soft labels (N, C, P);
    weight None or (N, P), False or 0 where a pixel is absent: there pred and target may hold anything. activation:
    softmax, sigmoid, none. With sums over pixels of weight * terms, flavour is

        product   p y, p - p y, y - p y
        exact     the same, with (1 - p) y for the last and in the gradient accurate where p is near 1
        metric    min(p, y), p - min(p, y), y - min(p, y); where p = y the gradient splits evenly
        squared   p y, p^2 - p y, y^2 - p y
        errors    (p - y)^2 y, (p - y)^2 (1 - y), y
    """
    if not takes(pred, target, weight, activation, flavour):
        return None
    if not (on_accelerator(pred, flavour) or pred.is_contiguous() or pred.transpose(1, 2).is_contiguous()):
        pred = pred.contiguous()
    if keeps(pred, target, activation, flavour):
        return OverwritesProbabilities.apply(pred, target, weight, activation, flavour)
    return overlap(pred, target, weight, activation, flavour)


def takes(pred, target, weight, activation, flavour):
    """Whether the fused operator can run, and is the faster one."""
    if MODE == 'plain' or not HAS_OPERATORS or pred.numel() == 0:
        return False
    if target.requires_grad or (weight is not None and weight.requires_grad):
        return False
    if not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None:
        return False  # under torch.func
    if on_accelerator(pred, flavour):
        if target.device != pred.device or (weight is not None and weight.device != pred.device):
            return False  # PyTorch's own operators say so
    elif not pred.is_cpu:
        return False
    return MODE == 'fused' or pred.numel() >= SMALL


def keeps(pred, target, activation, flavour):
    """Whether the forward's probabilities become the gradient: not in a traced graph, which overwrites nothing."""
    if torch.compiler.is_compiling() or type(pred) not in (Tensor, torch.nn.Parameter):
        return False
    same_dtype = pred.dtype in (torch.float32, torch.float64) and activation != 'none'
    suffice = flavour != 'exact' or (activation == 'softmax' and target.dim() == 2)  # without the logits
    by_cpu = pred.is_cpu and not on_accelerator(pred, flavour)
    return by_cpu and same_dtype and suffice and pred.requires_grad and torch.is_grad_enabled()


def on_accelerator(pred, flavour):
    """Whether a kernel for pred's device is at hand: Triton's for CUDA, and for the CPU in Triton's interpreter."""
    return triton_overlap.available(pred, flavour)


class OverwritesProbabilities(torch.autograd.Function):
    """``overlap`` in one logits' memory: the probabilities of the forward are turned into the gradient in place."""

    @staticmethod
    def forward(ctx, pred, target, weight, activation, flavour):
        statistics, ctx.kept = overlap_cpu.forward(pred, target, weight, activation, flavour, keep=True)
        ctx.save_for_backward(target, weight)
        ctx.call = activation, flavour
        return statistics

    @staticmethod
    def backward(ctx, grad):
        if torch.is_grad_enabled():
            raise RuntimeError(FIRST_ORDER)
        if ctx.kept is None:
            raise RuntimeError(ONCE)
        kept, ctx.kept = ctx.kept, None
        with torch.autocast('cpu', enabled=False):
            gradient = overlap_cpu.gradient_(kept, *ctx.saved_tensors, grad, *ctx.call)
        return gradient, None, None, None, None


if HAS_OPERATORS:

    @torch.library.custom_op('segparity::overlap', mutates_args=())
    def overlap(pred: Tensor, target: Tensor, weight: Tensor | None, activation: str, flavour: str) -> Tensor:
        with torch.autocast(pred.device.type, enabled=False):
            if pred.is_cpu and not on_accelerator(pred, flavour):
                sums = overlap_cpu.forward(pred, target, weight, activation, flavour)[0]
                labelled = target.dim() == 3 or values.are_sound(target, weight, pred.shape[1])
                return sums if labelled else sums.fill_(torch.nan)  # in a compiled model nobody has looked
            return triton_overlap.forward(pred, target, weight, activation, flavour)

    @torch.library.custom_op('segparity::overlap_gradient', mutates_args=())
    def overlap_gradient(
        pred: Tensor, target: Tensor, weight: Tensor | None, grad: Tensor, activation: str, flavour: str
    ) -> Tensor:
        with torch.autocast(pred.device.type, enabled=False):
            if pred.is_cpu and not on_accelerator(pred, flavour):
                return overlap_cpu.gradient(pred, target, weight, grad, activation, flavour)
            return triton_overlap.backward(pred, target, weight, grad, activation, flavour)

    @overlap.register_fake
    def _(pred, target, weight, activation, flavour):
        return pred.new_empty((3, *pred.shape[:2]), dtype=torch.float64)

    @overlap_gradient.register_fake
    def _(pred, target, weight, grad, activation, flavour):
        return torch.empty_like(pred)

    def setup_context(ctx, inputs, output):
        pred, target, weight, *ctx.call = inputs
        ctx.save_for_backward(pred, target, weight)

    def backward(ctx, grad):
        return overlap_gradient(*ctx.saved_tensors, grad, *ctx.call), None, None, None, None

    def refuse(ctx, grad):
        raise RuntimeError(FIRST_ORDER)

    overlap.register_autograd(backward, setup_context=setup_context)
    overlap_gradient.register_autograd(refuse)
