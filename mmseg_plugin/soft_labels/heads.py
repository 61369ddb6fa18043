"""Decode heads of MMSegmentation that learn from soft labels: ``BaseDecodeHead.loss_by_feat`` for those that are told to."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Iterator
from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.stdc_head import STDCHead
from torch import Tensor, nn

from mmseg_plugin.heads.labels import Source, losses_of, takes_ids_alone
from mmseg_plugin.heads.loss_by_feat import loss_by_feat
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.losses.compound.weighted_sum import all_parts


def give_soft_labels(model: nn.Module, source: Source) -> list[str]:
    """Tells every decode and auxiliary head of a model where its soft labels come from, in place of what it was told.

    Returns a sentence for each head or loss that keeps to class ids. TypeError in one sentence, before any head is told,
    for a head or a loss that cannot learn from soft labels.
    """
    heads = dict(heads_of(model, str(source)))
    sentences = [sentence for name, head in heads.items() for sentence in exceptions(name, head, str(source))]
    reach_heads()
    for head in heads.values():
        if not isinstance(head, STDCHead):
            head.soft_labels = source
    return sentences


def heads_of(model: nn.Module, owner: str) -> Iterator[tuple[str, Any]]:
    """Name and head, of those whose losses ``BaseDecodeHead.loss_by_feat`` calls; TypeError where another has its own."""
    found = False
    for name, head in model.named_modules():
        own = getattr(type(head), 'loss_by_feat', None)
        if own is None or hands_on(own):
            continue
        found = True
        told = f'{name.removeprefix("module.") or "the model"} ({type(head).__name__})'
        if not isinstance(head, BaseDecodeHead) or not reaches_base(own):
            raise TypeError(
                f'{owner}: {told} makes labels and losses of its own, from class ids alone; take a head that calls '
                'BaseDecodeHead.loss_by_feat, such as FCNHead'
            )
        yield told, head
    if not found:
        raise TypeError(f'{owner}: {type(model).__name__} has no decode head')


def names_in(method: Any) -> set[str]:
    """What the code of a method refers to, and what is defined in it."""
    codes, names = [getattr(inspect.unwrap(method), '__code__', None)], set()
    for code in codes:
        if isinstance(code, types.CodeType):
            names |= set(code.co_names)
            codes += code.co_consts
    return names


def hands_on(method: Any) -> bool:
    """Whether a head's ``loss_by_feat`` leaves all to that of a head in it, as ``IterativeDecodeHead`` does."""
    names = names_in(method)
    return 'loss_by_feat' in names and 'super' not in names


def reaches_base(method: Any) -> bool:
    """Whether it is that of ``BaseDecodeHead``, or calls it by ``super()``, as ``EncHead`` and ``DAHead`` do."""
    return method is BaseDecodeHead.loss_by_feat or {'super', 'loss_by_feat'} <= names_in(method)


def exceptions(told: str, head: Any, owner: str) -> Iterator[str]:
    """What of a head keeps to class ids; TypeError for losses of a head that cannot."""
    if isinstance(head, STDCHead):
        yield f'{told} keeps to its own labels, the edges between class ids'
        return
    for loss in losses_of(head):
        name = type(loss).__name__
        if not isinstance(loss, Loss):
            raise TypeError(
                f'{owner}: {told} has {name}, which takes class ids alone in a head; take WeightedCrossEntropyLoss or '
                "another of segparity's in its place"
            )
        parts = all_parts(loss.spec)
        if takes_ids_alone(loss):
            yield f'{told} has {name}, which takes class ids alone and gets these'
            continue
        for part in parts:
            if 'soft' not in part.labels:
                raise TypeError(
                    f'{owner}: {told} has {name} with {type(part).__name__}, which takes class ids alone; give '
                    'loss_decode a list of losses in place of the sum'
                )
            if getattr(part, 'teacher_from_logits', False):
                raise TypeError(
                    f'{owner}: {told} has {name} with teacher_from_logits=True, and soft labels are no logits; leave it out'
                )


def reach_heads() -> None:
    """Has ``BaseDecodeHead.loss_by_feat``, which other heads call by ``super()``, ask who has been told; once."""
    host = BaseDecodeHead.loss_by_feat
    if hasattr(host, 'of_host'):
        return

    @functools.wraps(host)
    def ours_or_hosts(self: Any, seg_logits: Tensor, batch_data_samples: list[Any]) -> dict[str, Tensor]:
        told = any(getattr(self, name, None) is not None for name in ('soft_labels', 'teacher_terms'))
        return (loss_by_feat if told else host)(self, seg_logits, batch_data_samples)

    ours_or_hosts.of_host = host  # type: ignore[attr-defined]
    BaseDecodeHead.loss_by_feat = ours_or_hosts
