"""``torch.ops.segparity.overlap``: tp, fp, fn from logits in one operator whose gradient is written by hand.

SEGPARITY_OVERLAP says when it runs: ``auto`` (where it is faster than the same in PyTorch's own operators), ``fused``
(wherever it can) or ``plain`` (nowhere: for second derivatives, or several backward passes through one loss).
"""

import os

import torch
from torch import Tensor

from mmseg_plugin import overlap_cpu

MODES = ('auto', 'fused', 'plain')
MODE = os.environ.get('SEGPARITY_OVERLAP') or 'auto'
if MODE not in MODES:
    raise ValueError(f'SEGPARITY_OVERLAP must be one of {", ".join(MODES)}, got {MODE!r}')
SMALL = 2**14  # numbers in the logits below which PyTorch's own operators are faster
HAS_OPERATORS = hasattr(torch.library, 'custom_op')  # PyTorch 2.4
PLAIN = 'with SEGPARITY_OVERLAP=plain in the environment it can'
ONCE = f'the gradient of fused overlap statistics cannot be taken twice, they were overwritten by the first: {PLAIN}'
FIRST_ORDER = f'the gradient of fused overlap statistics cannot be differentiated again (create_graph=True): {PLAIN}'


def fused_overlap(pred, target, weight, activation, flavour):
    """(3, N, C) tp, fp, fn in float64, with a gradient for pred; None where PyTorch's own operators are to be used.

    pred (N, C, P) logits, or probabilities with activation 'none'; target class ids (N, P) or soft labels (N, C, P);
    weight None or (N, P), False or 0 where a pixel is absent: there pred and target may hold anything. activation:
    softmax, sigmoid, none. flavour: product, metric, or exact, which is product with fn from 1 - p without
    cancellation (softmax and class ids alone).
    """
    if not takes(pred, target, weight, activation, flavour):
        return None
    keep = pred.is_cpu and activation != 'none' and pred.dtype in (torch.float32, torch.float64)
    keep = keep and pred.requires_grad and torch.is_grad_enabled()
    if not (pred.is_contiguous() or pred.transpose(1, 2).is_contiguous()):
        pred = pred.contiguous()
    return overlap(pred, target, weight, activation, flavour, keep)[0]


def takes(pred, target, weight, activation, flavour):
    """Whether the fused operator can run, and is the faster one."""
    if MODE == 'plain' or not HAS_OPERATORS or pred.numel() == 0:
        return False
    if target.requires_grad or (weight is not None and weight.requires_grad):
        return False
    if flavour == 'exact' and not (activation == 'softmax' and target.dim() == 2):
        return False
    if not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None:
        return False  # under torch.func
    if pred.is_cpu:
        return MODE == 'fused' or pred.numel() >= SMALL
    return on_accelerator(pred, flavour)


def on_accelerator(pred, flavour):
    """Whether a kernel for pred's device is at hand: none yet."""
    return False


if HAS_OPERATORS:

    @torch.library.custom_op('segparity::overlap', mutates_args=())
    def overlap(
        pred: Tensor, target: Tensor, weight: Tensor | None, activation: str, flavour: str, keep: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        return overlap_cpu.forward(pred, target, weight, activation, flavour, keep)

    @torch.library.custom_op('segparity::overlap_gradient', mutates_args=())
    def overlap_gradient(
        pred: Tensor, target: Tensor, weight: Tensor | None, grad: Tensor, activation: str, flavour: str
    ) -> Tensor:
        with torch.autocast('cpu', enabled=False):
            return overlap_cpu.gradient(pred, target, weight, grad, activation, flavour)

    @torch.library.custom_op('segparity::overlap_gradient_', mutates_args=('kept',))
    def overlap_gradient_(
        kept: Tensor, true: Tensor, target: Tensor, weight: Tensor | None, grad: Tensor, activation: str, flavour: str
    ) -> None:
        with torch.autocast('cpu', enabled=False):
            overlap_cpu.gradient_(kept, true, target, weight, grad, activation, flavour)

    @overlap.register_fake
    def _(pred, target, weight, activation, flavour, keep):
        n, c, p = pred.shape
        dtype = overlap_cpu.work_dtype(pred.dtype)
        single = keep and overlap_cpu.by_itself(target, activation, c, flavour)
        return (
            pred.new_empty((3, n, c), dtype=torch.float64),
            torch.empty_like(pred, dtype=dtype) if keep else pred.new_empty(0, dtype=dtype),
            pred.new_empty((n, p) if single else (0,), dtype=dtype),
        )

    @overlap_gradient.register_fake
    def _(pred, target, weight, grad, activation, flavour):
        return torch.empty_like(pred)

    @overlap_gradient_.register_fake
    def _(kept, true, target, weight, grad, activation, flavour):
        return None

    def setup_context(ctx, inputs, output):
        pred, target, weight, ctx.activation, ctx.flavour, ctx.keep = inputs
        _, kept, true = output
        ctx.mark_non_differentiable(kept, true)
        ctx.set_materialize_grads(False)  # or zeros of the size of the logits are made for ``kept``
        ctx.save_for_backward(kept if ctx.keep else pred, true, target, weight)
        ctx.spent = False

    def backward(ctx, grad, *_):
        if torch.is_grad_enabled():
            raise RuntimeError(FIRST_ORDER)
        if ctx.spent:
            raise RuntimeError(ONCE)
        ctx.spent = ctx.keep
        x, true, target, weight = ctx.saved_tensors
        if ctx.keep:
            overlap_gradient_(x, true, target, weight, grad, ctx.activation, ctx.flavour)
        else:
            x = overlap_gradient(x, target, weight, grad, ctx.activation, ctx.flavour)
        return x, None, None, None, None, None

    overlap.register_autograd(backward, setup_context=setup_context)
