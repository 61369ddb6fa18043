"""The mean cross-entropy of few logits, for which one operator of PyTorch's is several times quicker than blocks."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mmseg_plugin import values
from mmseg_plugin.distributed import rank_and_size
from mmseg_plugin.kernels.overlap import choice

FEW_LOGITS = 2**22  # up to which blocks on threads cost more time than they save, and the memory they save is little
FLOATS, IDS = (torch.float32, torch.float64), (torch.int64, torch.int32, torch.uint8)


def small_mean(spec: Any, pred: object, target: object, ignore_index: int | None) -> Tensor | None:
    """The mean over the pixels that count; None for what the operator does not serve, and where anything may be wrong.

    It serves class ids of a softmax of finite logits on a CPU, in one process, with no weight of 0.
    """
    if not (torch.is_tensor(pred) and torch.is_tensor(target) and is_served(spec) and are_served(spec, pred, target)):
        return None
    weights, c = spec.class_weight, pred.shape[1]
    ignored = {label for label in (spec.ignore_index, ignore_index) if label is not None}
    if len(ignored) > 1 or (ignore_index is not None and 0 <= ignore_index < c):
        return None  # two labels, or one that is a class, which the constructor alone may ignore
    if not (math.isfinite(pred.detach().sum().item()) and (ignored or target.amin().item() >= 0)):
        return None
    try:
        loss = functional.cross_entropy(
            pred,
            target.long(),
            None if weights is None else pred.new_tensor(weights),
            ignore_index=ignored.pop() if ignored else -1,
            label_smoothing=spec.label_smoothing,
        )
    except IndexError:  # a label that is no class
        return None
    if not math.isfinite(loss.item()):
        return None
    return loss if spec.loss_weight == 1 else spec.loss_weight * loss


def is_served(spec: Any) -> bool:
    """Whether the operator has the parameters."""
    weights = spec.class_weight
    weighed = weights is None or (isinstance(weights, tuple) and min(weights) > 0 and spec.divisor == 'valid')
    own = spec.activation == 'softmax' and spec.from_logits and spec.pos_weight is None and spec.divisor != 'all'
    return choice.MODE == 'auto' and own and weighed and rank_and_size(spec.sync)[1] == 1


def are_served(spec: Any, pred: Tensor, target: Tensor) -> bool:
    """Whether the operator takes tensors of these kinds and shapes."""
    if not (2 < pred.dim() < 6 and pred.is_cpu and target.is_cpu and pred.dtype in FLOATS and target.dtype in IDS):
        return False
    n, c, *space = pred.shape
    counted = 0 < pred.numel() <= FEW_LOGITS and c > 1 and target.shape == (n, *space)
    return counted and (spec.class_weight is None or len(spec.class_weight) == c) and not values.is_traced(pred)
