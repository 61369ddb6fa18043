"""What a decode head learns from a teacher: for each of its losses a term with the teacher's probabilities in place of labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_plugin.heads.labels import Target, batches_of, takes_ids_alone
from mmseg_plugin.heads.loss_by_feat import value_of
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.losses.compound.weighted_sum import WeightedSumLoss
from mmseg_plugin.losses.pixel.distillation_kl import DistillationKLLoss
from mmseg_plugin.losses.pixel.weighted_cross_entropy import WeightedCrossEntropyLoss


class TeacherLogits:
    """Logits (N, C, h, w) of a teacher's head, whose labels are those of a batch; without a gradient."""

    def __init__(self, logits: Tensor, head: Any) -> None:
        self.small = logits.detach().to(torch.promote_types(logits.dtype, torch.float32))
        self.align_corners = bool(head.align_corners)
        self.made: dict[Any, Tensor] = {}  # what several heads and losses ask for

    def at(self, size: tuple[int, int]) -> Tensor:
        """(N, C, *size) the logits."""
        if size not in self.made:
            given = dict(mode='bilinear', align_corners=self.align_corners, warning=False)
            self.made[size] = resize(self.small, size, **given)
        return self.made[size]

    def prob(self, size: tuple[int, int], temperature: float, softmax: bool) -> Tensor:
        """(N, C, *size) their probabilities at a temperature."""
        key = size, temperature, softmax
        if key not in self.made:
            z = self.at(size) / temperature
            self.made[key] = z.softmax(1) if softmax else z.sigmoid()
        return self.made[key]

    def beside(self, labels: Target) -> TeacherLogits:
        """Those that a head with these labels learns from."""
        return self


@dataclasses.dataclass(frozen=True)
class Term:
    """``factor`` times a loss whose labels are the teacher's, logged under a name."""

    loss: Loss
    factor: float
    name: str

    @property
    def wants_logits(self) -> bool:
        return bool(getattr(self.loss.spec, 'teacher_from_logits', False))


class TeacherTerms:
    """The terms of a head; ``seen`` has the teacher's logits while the losses of a batch are computed."""

    def __init__(self, terms: list[Term], temperature: float, weight: float) -> None:
        self.terms, self.temperature, self.weight = terms, temperature, weight
        self.seen: TeacherLogits | None = None

    def losses(self, head: Any, seg_logits: Tensor, labels: Target) -> dict[str, Tensor]:
        """'teacher.<loss name>' -> weight times the terms of that name."""
        if self.seen is None:
            return {}
        seen = self.seen.beside(labels)
        counts = self.counted(head, labels, seen)
        size = int(counts.shape[1]), int(counts.shape[2])
        shared = batches_of([term.loss for term in self.terms if not term.wants_logits])
        found: dict[str, Tensor] = {}
        for term in self.terms:
            if term.wants_logits:
                label, batches = seen.at(size), batches_of([term.loss])
            else:
                softmax = head.out_channels > 1 and term.loss.spec.activation == 'softmax'
                label, batches = seen.prob(size, self.temperature, softmax), shared
            target = Target(label, counts.to(label.dtype), labels.ids, batches)
            value = self.weight * term.factor * value_of(term.loss, head, seg_logits, target)
            found[term.name] = found[term.name] + value if term.name in found else value
        return found

    def counted(self, head: Any, labels: Target, seen: TeacherLogits) -> Tensor:
        """(N, H, W) which pixels count: those that the labels do not ignore."""
        ids, ignored = labels.ids
        return torch.ones_like(ids, dtype=torch.bool) if ignored is None else ids.ne(ignored)


def terms_like(losses: list[Any], temperature: float) -> Iterator[Term | str]:
    """The terms of a head's losses on labels; the name of a loss that takes class ids alone, and has none.

    A cross-entropy becomes the divergence at the temperature, a sum of losses their terms.
    """
    for loss in losses:
        if not isinstance(loss, Loss) or takes_ids_alone(loss):
            yield type(loss).__name__
        elif isinstance(loss, WeightedSumLoss):
            for share, term in zip(loss.spec.shares, ([*terms_like([part], temperature)] for part in loss.parts)):
                for one in term:
                    factor = loss.spec.loss_weight * share
                    yield one if isinstance(one, str) else dataclasses.replace(one, factor=factor * one.factor)
        elif isinstance(loss, WeightedCrossEntropyLoss):
            same = {name: getattr(loss.spec, name) for name in ('activation', 'from_logits', 'sync', 'loss_weight')}
            made = DistillationKLLoss(
                temperature=temperature, teacher_from_logits=True, reduction=loss.reduction, **same
            )
            yield named(made)
        else:
            yield named(loss)


def named(loss: Loss) -> Term:
    return Term(loss, 1.0, f'teacher.{loss.loss_name}')


def terms_of(parameter: str, given: object, temperature: float, owner: str) -> list[Term]:
    """The terms of ``losses`` or ``auxiliary_losses``: the configuration of a loss, or a list of several.

    A ``DistillationKLLoss`` takes the teacher's logits, and that temperature where it names no other.
    """
    terms = []
    for config in given if isinstance(given, (list, tuple)) else [given]:
        if not isinstance(config, Mapping) or 'type' not in config:
            raise TypeError(f'{owner}: {parameter} must be configurations of losses, got {config!r}')
        config = dict(config)
        if config['type'] in ('DistillationKLLoss', DistillationKLLoss):
            config = dict(dict(teacher_from_logits=True, temperature=temperature), **config)
        loss = MODELS.build(config)
        name = type(loss).__name__
        if not isinstance(loss, Loss) or takes_ids_alone(loss):
            raise TypeError(f"{owner}: {parameter} must be losses of segparity's that take soft labels, got {name}")
        if any(True for _ in loss.parameters()):
            raise TypeError(f'{owner}: {parameter} must have nothing to learn, got {name}, which learns parameters')
        terms.append(named(loss))
    return terms
