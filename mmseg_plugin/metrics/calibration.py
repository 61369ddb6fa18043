"""The calibration errors in PyTorch, from tables that are taken where the probabilities lie."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mmseg_plugin.metrics.base import Metric, in_float32
from shared_spec.metrics.calibration import Calibration as Spec
from shared_spec.metrics.calibration import CalibrationState
from shared_spec.metrics.calibration.state import (
    ONE,
    cells_of,
    check_range,
    check_shape,
    count_cells,
    image_cells,
    unknown_cells,
)
from shared_spec.metrics.label_maps import valid_pixels


class Calibration(Metric):
    """``ECED``, ``ECEI``, ``SCED``, ``SCEI`` as fractions; what they mean: ``segparity show Calibration``.

    Probabilities are the softmax of logits, of one channel the sigmoid.
    """

    spec_class = Spec

    def __init__(
        self,
        num_classes: int,
        *,
        ignore_index: int | None = 255,
        levels: Sequence[str] = ('D', 'I'),
        metrics: Sequence[str] = ('ECE', 'SCE'),
        bins: int = 10,
        hit: str = 'label',
        binary: bool = False,
        from_logits: bool = True,
        sync: bool = True,
    ) -> None:
        super().__init__(locals())

    def new_state(self) -> CalibrationState:
        return CalibrationState(self.spec.num_classes, self.spec.ignore_index, self.spec.bins)

    def prepare(self, pred: Tensor, target: Tensor) -> Tensor:
        prob = in_float32(pred)
        if self.logits:
            prob = prob.softmax(0) if len(prob) > 1 else torch.sigmoid(prob)
        return prob.nan_to_num(posinf=0.0)  # counted as no number: the results are NaN

    def row(self, pred: Tensor, target: Tensor) -> tuple[np.ndarray]:
        return (tensor_cells(pred, target, self.spec.num_classes, self.spec.bins, self.spec.ignore_index),)


def logit_cells(logits: Tensor, target: Tensor, num_classes: int, bins: int, ignore_index: int | None) -> np.ndarray:
    """The table of the softmax of logits (C, H, W), which is never there as a whole on a CPU, and labels (H, W).

    A pixel whose softmax is no number has probabilities of 0.
    """
    logits, target = logits.detach(), target.detach()
    if logits.is_cuda:
        return tensor_cells(softmax_or_0(logits), target, num_classes, bins, ignore_index)
    check_shape(tuple(logits.shape), tuple(target.shape), num_classes)
    flat, ids = logits.cpu().reshape(num_classes, -1), target.cpu().reshape(-1).numpy()
    return count_cells(
        lambda part: softmax_or_0(flat[:, part]).numpy(),
        np.float64 if logits.dtype == torch.float64 else np.float32,
        num_classes,
        ids,
        valid_pixels(ids, None, ignore_index),
        num_classes,
        bins,
    )


def softmax_or_0(logits: Tensor) -> Tensor:
    """The softmax (C, ...) in float32 or wider, 0 in all classes where it is no number, which it is in all or none."""
    prob = in_float32(logits).softmax(0)
    return prob.nan_to_num_() if prob[0].isnan().any() else prob


def tensor_cells(prob: Tensor, target: Tensor, num_classes: int, bins: int, ignore_index: int | None) -> np.ndarray:
    """The table of probabilities (C, H, W) or (1, H, W) and labels (H, W), as ``image_cells`` defines it."""
    prob, target = prob.detach(), target.detach()
    if prob.is_cuda:
        return count_on_device(prob, target.to(prob.device), num_classes, bins, ignore_index)
    return image_cells(prob.cpu().numpy(), target.cpu().numpy(), num_classes, bins, ignore_index)


def count_on_device(prob: Tensor, target: Tensor, num_classes: int, bins: int, ignore_index: int | None) -> np.ndarray:
    """The same, class by class, and one small transfer; integers, so that no order of the additions shows."""
    check_shape(tuple(prob.shape), tuple(target.shape), num_classes)
    channels = num_classes if tuple(prob.shape) == (num_classes, *target.shape) else 1
    prob, target = prob.reshape(channels, target.numel()), target.reshape(-1)
    if ignore_index is not None and (target == ignore_index).any():
        prob, target = prob[:, target != ignore_index], target[target != ignore_index]
    if target.numel():
        low, high = float(prob.min()), float(prob.max())
        if not high < math.inf:
            return unknown_cells(target.numel())
        check_range(low, high)
        prob = prob.clamp(0, 1)
    if channels == 1:
        prob = torch.cat([1 - prob.double(), prob.double()])
    best, highest = torch.zeros_like(target), prob[0]
    for c in range(1, num_classes):
        best = torch.where(prob[c] > highest, c, best)
        highest = torch.maximum(highest, prob[c])

    counts = torch.zeros((num_classes + 1, 3 * bins), dtype=torch.int64, device=prob.device)
    sums = torch.zeros((num_classes + 1, bins), dtype=torch.int64, device=prob.device)
    for c in range(num_classes + 1):
        confidence = (prob[c] if c < num_classes else highest).double()
        labelled = target == (c if c < num_classes else best)
        right = labelled & (best == c) if c < num_classes else labelled
        bin_of = (confidence * bins).long().clamp(max=bins - 1)
        sums[c].index_add_(0, bin_of, torch.round(confidence * ONE).long())
        counts[c] = torch.bincount(bin_of + bins * labelled + bins * right, minlength=3 * bins)
    return cells_of(counts.cpu().numpy(), sums.cpu().numpy())
