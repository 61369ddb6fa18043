"""What a decode head learns from its own average, on pixels that need no labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmseg_plugin.heads.labels import Target
from mmseg_plugin.soft_labels.teacher_terms import TeacherLogits, TeacherTerms, Term


class ConsistencyTerms(TeacherTerms):
    """The terms of a head, on the pixels that it is given and of which the teacher is sure."""

    def __init__(self, terms: list[Term], temperature: float, threshold: float | None) -> None:
        super().__init__(terms, temperature, 0.0)
        self.threshold = threshold
        self.pixels: Tensor | None = None

    def give(self, pixels: Tensor, weight: float) -> None:
        """For the next batch: which pixels may count, (N, H, W), and what the terms weigh."""
        self.pixels, self.weight = pixels, weight

    def counted(self, head: Any, labels: Target, seen: TeacherLogits) -> Tensor:
        if self.pixels is None or self.threshold is None:
            return super().counted(head, labels, seen) if self.pixels is None else self.pixels
        size, softmax = (int(self.pixels.shape[1]), int(self.pixels.shape[2])), head.out_channels > 1
        prob = seen.prob(size, self.temperature, softmax)
        largest = prob.amax(1) if softmax else torch.maximum(prob, 1 - prob).amax(1)
        return self.pixels & ((largest >= self.threshold) | largest.isnan())
