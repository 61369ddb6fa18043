"""Looks at the values of a loss's inputs, in PyTorch: what is refused with a sentence, and what makes the loss NaN.

The rule is that of ``shared_spec.values``. What is wrong with a pixel becomes a NaN weight of it, which every sum over
pixels hands on to the loss and its gradient.
"""

import os
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from shared_spec import values
from shared_spec.values import TOLERANCE

DEBUG = os.environ.get('SEGPARITY_DEBUG', '') not in ('', '0')
NARROW = (torch.uint8, torch.int16)

is_compiling = getattr(torch.compiler, 'is_compiling', lambda: False)  # older PyTorch has no such question


def can_look(*tensors: Tensor | None) -> bool:
    """Whether values can be seen now, and without waiting for a device (or with, under SEGPARITY_DEBUG=1)."""
    if is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None:
        return False
    return DEBUG or all(x is None or x.device.type == 'cpu' for x in tensors)


def counted_pixels(weight: Tensor) -> Tensor:
    """Which pixels are not absent, uint8 or bool; None where all are. NaN, a weight of what is wrong, counts."""
    return weight if weight is None or weight.dtype == torch.bool else weight != 0


def is_traced(x: Tensor) -> bool:
    """Whether operations on x are recorded or transformed, so that an operator with a gradient of its own is none of them."""
    return is_compiling() or is_transformed()


def is_transformed() -> bool:
    """Whether torch.func or forward-mode differentiation is at work, which know PyTorch's own operators alone."""
    return torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0


def limits(x: Tensor) -> tuple[float, float]:
    """The smallest and the largest number, NaN where there is one; (0, 0) of none."""
    if not x.numel():
        return 0, 0
    smallest, largest = (v.item() for v in x.detach().aminmax())
    return smallest, largest


def are_within(x: Tensor, low: float, high: float) -> bool:
    """Whether all numbers lie in [low, high]; NaN does not."""
    smallest, largest = limits(x)
    return not x.numel() or (low <= smallest and largest <= high)


def check_weights(owner: str, weight: Tensor) -> Tensor:
    """The weights; refuses those that are negative, NaN or infinite."""
    if not are_within(weight, 0, torch.finfo(weight.dtype).max):
        values.check_weights(owner, weight.detach().cpu().numpy())
    return weight


def nan_wrong_weights(owner: str, weight: Tensor) -> Tensor:
    """The weights, NaN for those that ``check_weights`` refuses."""
    return torch.where((weight >= 0) & (weight < torch.inf), weight, torch.nan)


def check_labels(owner: str, labels: Tensor, weight: Tensor | None, num_classes: int) -> None:
    """Refuses labels that are none: ids (N, P) below num_classes, or (N, C, P) in [0, 1], where the weight is not 0."""
    ids = labels.dim() == 2
    if not (ids and labels.is_floating_point()):  # which are rare, and may be fractions
        slack = TOLERANCE if labels.is_floating_point() else 0
        limits = (0, num_classes - 1) if ids else (-slack, 1 + slack)
        likely = weight is None or labels.dtype not in NARROW
        if likely and are_within(labels, *limits):
            return
        if weight is not None and are_within(zero_absent(labels, weight), *limits):
            return
    counts: Any = np.True_ if weight is None else counted_pixels(weight).cpu().numpy()
    labels = labels.detach().cpu()
    array = (labels.double() if labels.is_floating_point() else labels).numpy()
    if ids:
        values.check_ids(owner, array, counts, num_classes)
    elif num_classes == 1:
        values.check_one_channel(owner, array[:, 0], counts)
    else:
        values.check_maps(owner, array.swapaxes(0, 1), counts)


def check_one_label(owner: str, labels: Tensor, weight: Tensor | None, visible: bool) -> Tensor:
    """One-hot labels (N, C, P), integers, that name one class in each pixel that counts.

    Others are refused; where they cannot be seen they become 2 in all classes, which is no label.
    """
    named = labels.sum(1)
    if not visible:
        return torch.where(
            (named == 1)[:, None], labels.to(torch.uint8 if labels.dtype == torch.bool else labels.dtype), 2
        )
    counts: Any = np.True_ if weight is None else counted_pixels(weight).cpu().numpy()
    values.check_one_label(owner, labels.cpu().numpy(), counts, axis=1)
    return labels


def zero_absent(labels: Tensor, weight: Tensor) -> Tensor:
    """labels (N, P) or (N, C, P) with 0, which every label may be, at absent pixels."""
    counts = counted_pixels(weight) if labels.dim() == 2 else counted_pixels(weight)[:, None]
    return labels * counts.view(torch.uint8) if labels.dtype in NARROW else torch.where(counts, labels, 0)


def ids_from_floats(labels: Tensor) -> Tensor:
    """Class ids from floating point numbers; -1, which is no class, for what is no whole number."""
    return torch.where(labels == labels.floor(), labels, -1).long()


def check_prediction(owner: str, given: Tensor, weight: Tensor | None, activation: str) -> bool:
    """Whether every prediction is a number; refuses probabilities outside [0, 1] where they all are."""
    if is_sound(given, weight, activation):
        return True
    if activation == 'none':
        counts: Any = np.True_ if weight is None else counted_pixels(weight).cpu().numpy()
        prob = given.detach().double().movedim(1, 0).cpu().numpy()
        if (values.is_number(prob, softmax=False, axis=0) | ~counts).all():
            values.check_probabilities(owner, prob, counts)
    return False


def is_sound(given: Tensor, weight: Tensor | None, activation: str) -> bool:
    """Whether no prediction is faulty; softmax shows by itself what the largest logit of all does not."""
    if not given.numel():
        return True
    given = given.detach()
    likely = are_within(given, -TOLERANCE, 1 + TOLERANCE) if activation == 'none' else given.amax().item() < torch.inf
    return likely or not faulty_prediction(given, weight, activation).any().item()


def are_sound(labels: Tensor, weight: Tensor | None, num_classes: int) -> bool:
    """Whether no label (N, P) or (N, C, P) is faulty."""
    limits = (0, num_classes - 1) if labels.dim() == 2 else (0, 1)
    return are_within(labels, *limits) or not faulty_labels(labels, weight, num_classes).any().item()


def faulty_prediction(given: Tensor, weight: Tensor | None, activation: str) -> Tensor:
    """(N, P) which pixels count and are predicted by what is no number, or by no probability."""
    if activation == 'none':
        wrong = ~((given >= -TOLERANCE) & (given <= 1 + TOLERANCE)).all(1)
    else:
        top = given.amax(1)
        wrong = ~(top.isfinite() if activation == 'softmax' else top < torch.inf)
    return wrong if weight is None else wrong & counted_pixels(weight)


def faulty_labels(labels: Tensor, weight: Tensor | None, num_classes: int) -> Tensor:
    """(N, P) which pixels count and have a label that is none."""
    if labels.dim() == 2:
        wrong = (labels < 0) | (labels >= num_classes)
    else:
        slack = TOLERANCE if labels.is_floating_point() else 0
        wrong = ~((labels >= -slack) & (labels <= 1 + slack)).all(1)
    return wrong if weight is None else wrong & counted_pixels(weight)


def nan_weights_at_faults(given: Tensor, labels: Tensor, weight: Tensor | None, activation: str) -> Tensor:
    """(N, P) the weights, NaN where a pixel that counts has a label or a prediction that is none. No synchronisation."""
    wrong = faulty_prediction(given, weight, activation) | faulty_labels(labels, weight, given.shape[1])
    dtype = torch.promote_types(given.dtype, torch.float32)
    return torch.where(wrong, torch.nan, torch.ones((), dtype=dtype) if weight is None else weight.to(dtype))


def nan_at_faults(given: Tensor, weight: Tensor) -> Tensor:
    """given (N, C, P), NaN where the weight (N, P) is; so is the gradient, whatever is clipped on the way."""
    return given * torch.where(weight.isnan(), torch.nan, 1.0)[:, None].to(given.dtype)
