"""A teacher's logits after ``DirichletRecalibration``, in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmseg_plugin.heads.labels import Target
from mmseg_plugin.soft_labels.smoothing import boundary
from mmseg_plugin.soft_labels.teacher_terms import TeacherLogits
from shared_spec.parameters import name_parameters
from shared_spec.recalibration import TINY, DirichletRecalibration, rows_at_once

WINDOW = 3  # in which a doubtful pixel sees another class


def recalibrate_logits(recalibration: DirichletRecalibration, logits: Tensor) -> Tensor:
    """Logits (N, C, *space) of a teacher -> the logarithms of its recalibrated probabilities, float32 or wider.

    ``DirichletRecalibration.recalibrate`` of their softmax, on their device, without a gradient; NaN stays NaN in its pixel.
    """
    dtype = torch.promote_types(logits.dtype, torch.float32)
    with torch.no_grad(), torch.autocast(logits.device.type, enabled=False):
        slopes, offsets, labels = (
            torch.as_tensor(x, dtype=dtype, device=logits.device) for x in recalibration.logarithms
        )
        last = at_least(logits.to(dtype).log_softmax(1).movedim(1, -1), TINY, log=True)
        rows = last.reshape(-1, last.shape[-1])
        parts = [(part @ slopes + offsets).softmax(1) @ labels for part in rows.split(rows_at_once(len(offsets)))]
        found = at_least(torch.cat(parts), TINY).log()
        return found.reshape(last.shape).movedim(-1, 1)


def at_least(x: Tensor, low: float, log: bool = False) -> Tensor:
    """x, or ``low`` where it is less; NaN stays."""
    bound = torch.tensor(low, dtype=x.dtype, device=x.device)
    return torch.maximum(x, bound.log() if log else bound)


class RecalibratedLogits(TeacherLogits):
    """Those of a teacher's head, recalibrated in every pixel or in doubtful ones."""

    def __init__(self, logits: Tensor, head: Any, recalibration: DirichletRecalibration) -> None:
        super().__init__(logits, head)
        self.recalibration = recalibration
        self.recalibrated: dict[tuple[int, int], Tensor] = {}

    def plain(self, size: tuple[int, int]) -> Tensor:
        """(N, C, *size) the logits as the teacher has them."""
        return super().at(size)

    def at(self, size: tuple[int, int]) -> Tensor:
        if size not in self.recalibrated:
            self.recalibrated[size] = recalibrate_logits(self.recalibration, self.plain(size))
        return self.recalibrated[size]

    def beside(self, labels: Target) -> TeacherLogits:
        return self if self.recalibration.pixels == 'all' else DoubtfulLogits(self, labels)


class DoubtfulLogits(TeacherLogits):
    """Recalibrated where the teacher's class is not the label's, and at boundaries between classes."""

    def __init__(self, seen: RecalibratedLogits, labels: Target) -> None:
        self.seen, self.labels = seen, labels
        self.made = {}

    def at(self, size: tuple[int, int]) -> Tensor:
        if size not in self.made:
            (ids, ignored), plain = self.labels.ids, self.seen.plain(size)
            counts = torch.ones_like(ids, dtype=torch.bool) if ignored is None else ids.ne(ignored)
            doubtful = boundary(ids, counts, plain.shape[1], WINDOW) | plain.argmax(1).ne(ids)
            if torch.compiler.is_compiling():
                self.made[size] = self.seen.at(size).where(doubtful[:, None], plain)
            else:  # few pixels of a trained teacher
                last = plain.movedim(1, -1).clone()
                last[doubtful] = recalibrate_logits(self.seen.recalibration, last[doubtful]).to(last.dtype)
                self.made[size] = last.movedim(-1, 1)
        return self.made[size]


def build_recalibration(owner: str, given: object, classes: int) -> DirichletRecalibration:
    """Of ``dict(keys='keys.npz', bandwidth=0.05, pixels='all')``, for a model of so many classes."""
    if not isinstance(given, Mapping) or 'keys' not in given:
        raise TypeError(f"{owner}: recalibration must be dict(keys='keys.npz', bandwidth=, pixels=), got {given!r}")
    found = of_file(**given)
    if found.num_classes != classes:
        raise ValueError(
            f'{owner}: recalibration must have the {classes} classes of the student (out_channels), its keys have '
            f'{found.num_classes}'
        )
    return found


def check_softmax(owner: str, student: Any) -> None:
    """ValueError where a term of a student's heads reads logits as those of a sigmoid."""
    for term in (
        term for head in student.modules() for term in getattr(getattr(head, 'teacher_terms', None), 'terms', [])
    ):
        if term.loss.spec.activation != 'softmax':
            raise ValueError(
                f'{owner}: recalibration is of a softmax over the classes, and {type(term.loss).__name__} has '
                f'activation={term.loss.spec.activation!r}'
            )


@name_parameters('recalibration')
def of_file(keys: str, bandwidth: float = 0.05, pixels: str = 'all') -> DirichletRecalibration:
    """The keys of a file."""
    return DirichletRecalibration.load(keys, bandwidth, pixels)
