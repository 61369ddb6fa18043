"""Which way the overlap statistics of one call take, and why: chosen once, before anything is computed.

SEGPARITY_OVERLAP says when the fused operator runs, and that of ``pixel_sums``: ``auto`` (where it is faster than the
same in PyTorch's own operators), ``fused`` (wherever it can) or ``plain`` (nowhere: for second derivatives, or several
backward passes through one loss).
"""

import os
from typing import NamedTuple

import torch
from torch import Tensor

from mmseg_plugin.kernels.overlap import triton_launch
from mmseg_plugin.values import is_transformed

SMALL = 2**11  # numbers in the logits below which it gains nothing and PyTorch's own operators allow more
HAS_OPERATORS = hasattr(torch.library, 'custom_op')  # PyTorch 2.4


def mode_of(value: str) -> str:
    """The mode that SEGPARITY_OVERLAP names; empty is auto."""
    modes = ('auto', 'fused', 'plain')
    if value and value not in modes:
        raise ValueError(f'SEGPARITY_OVERLAP must be one of {", ".join(modes)}, got {value!r}')
    return value or 'auto'


MODE = mode_of(os.environ.get('SEGPARITY_OVERLAP', ''))


class Choice(NamedTuple):
    """way: ``plain`` (PyTorch's own operators), ``cpu`` (blocks) or ``triton``; why: the reason, in words.

    overwrites: whether the probabilities of the forward pass become the gradient, in the same memory.
    """

    way: str
    why: str
    overwrites: bool = False


def choose(pred: Tensor, target: Tensor, weight: Tensor | None, activation: str, flavour: str) -> Choice:
    """The ``Choice`` for one call of ``fused.fused_overlap``."""
    kernels = has_kernels(pred, flavour)
    why = why_not(pred, target, weight, kernels)
    if why:
        return Choice('plain', why)
    if kernels:
        return Choice('triton', "Triton's kernels take these logits")
    return Choice('cpu', 'the logits are on the CPU', overwrites(pred, target, activation, flavour))


def has_kernels(pred: Tensor, flavour: str) -> bool:
    """Whether a kernel for pred's device is at hand: Triton's for CUDA, and for the CPU in Triton's interpreter."""
    return triton_launch.is_available(pred, flavour)


def why_not(pred: Tensor, target: Tensor, weight: Tensor | None, kernels: bool) -> str:
    """Why the fused operator cannot run, or would not be the faster one; '' where it is."""
    if MODE == 'plain':
        return 'SEGPARITY_OVERLAP=plain'
    if not HAS_OPERATORS:
        return 'PyTorch before 2.4 has no operators of this kind'
    if pred.numel() == 0:
        return 'there are no pixels'
    if target.requires_grad or (weight is not None and weight.requires_grad):
        return 'labels or weights need a gradient'
    if not torch.compiler.is_compiling() and is_transformed():
        return 'under torch.func, or forward-mode differentiation'
    if kernels and any(x is not None and x.device != pred.device for x in (target, weight)):
        return "the tensors are on several devices, which PyTorch's own operators say"
    if not kernels and not pred.is_cpu:
        return f'there are no kernels for {pred.device.type}'
    if MODE != 'fused' and pred.numel() < SMALL:
        return f'fewer than {SMALL} logits'
    return ''


def overwrites(pred: Tensor, target: Tensor, activation: str, flavour: str) -> bool:
    """Whether the forward's probabilities become the gradient: not in a traced graph, which overwrites nothing."""
    if torch.compiler.is_compiling() or type(pred) not in (torch.Tensor, torch.nn.Parameter):
        return False
    same_dtype = pred.dtype in (torch.float32, torch.float64) and activation != 'none'
    suffice = flavour != 'exact' or (activation == 'softmax' and target.dim() == 2)  # without the logits
    return same_dtype and suffice and pred.requires_grad and torch.is_grad_enabled()
