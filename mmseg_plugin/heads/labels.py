"""What a decode head's losses are given as labels: class ids, soft labels, or to each what it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.losses.compound.weighted_sum import SharedBatches, all_parts, shares_statistics

NOWHERE = -1  # the class id of a pixel that soft labels ignore

# (head, data samples, class ids (N, 1, H, W), dtype) -> soft labels (N, classes_of(head), H, W), 0 where ignored
Source = Callable[[Any, list[Any], Tensor, torch.dtype], Tensor]


@dataclasses.dataclass
class Target:
    """Labels (N, H, W) or (N, C, H, W) with a weight for each pixel, and the ids that accuracy is counted against."""

    label: Tensor
    weight: Tensor | None
    ids: tuple[Tensor, int | None]  # (N, H, W), and which of them is ignored
    batches: dict[Any, Batch]


def targets(
    head: Any, samples: list[Any], label: Tensor, kept: Tensor | None, dtype: torch.dtype
) -> tuple[Any, Target | None]:
    """The target of class ids (None where gt_sem_seg is soft itself), and that of soft labels, None without any.

    kept: (N, H, W) the weights of the head's sampler, or None.
    """
    source: Source | None = getattr(head, 'soft_labels', None)
    if source is not None and label.shape[1] > 1:
        raise ValueError(
            f'{source}: gt_sem_seg must be class ids (1, H, W), got {tuple(label.shape[1:])}; soft labels are gt_soft_seg'
        )
    soft = label if label.shape[1] > 1 else None if source is None else source(head, samples, label, dtype)
    losses = [loss for loss in losses_of(head) if isinstance(loss, Loss)]
    hard = None
    if label.shape[1] == 1:
        of_ids = losses if soft is None else [loss for loss in losses if takes_ids_alone(loss)]
        losses = [loss for loss in losses if loss not in of_ids]
        ids = label.squeeze(1)
        hard = Target(ids, kept, (ids, head.ignore_index), batches_of(of_ids))
    return hard, None if soft is None else soft_target(head, soft, kept, batches_of(losses))


def soft_target(head: Any, soft: Tensor, kept: Tensor | None, batches: dict[Any, Batch]) -> Target:
    """That of soft labels, whose pixels have the weight 0 where they are 0 in every class; NaN counts, and gives NaN."""
    counts = soft.sum(1) != 0
    weight = counts.to(soft.dtype) if kept is None else kept * counts
    ids = soft.argmax(1).where(counts, NOWHERE)
    return Target(soft[:, 1:] if head.out_channels == 1 else soft, weight, (ids, NOWHERE), batches)


def batches_of(losses: list[Loss]) -> dict[Any, Batch]:
    """For losses that see the same labels."""
    return SharedBatches(sum(map(shares_statistics, losses)) > 1)


def classes_of(head: Any) -> int:
    """How many shares a pixel of a head has: one for each class, two for one channel."""
    return max(head.num_classes, 2) if head.out_channels == 1 else int(head.num_classes)


def check_labelled(owner: str, samples: list[Any]) -> None:
    """ValueError for data samples without class ids."""
    missing = sum('gt_sem_seg' not in sample for sample in samples)
    if missing:
        raise ValueError(
            f'{owner}: {missing} of {len(samples)} data samples have no gt_sem_seg; LoadAnnotations loads it, and '
            'LoadNoAnnotations that of an image without labels'
        )


def losses_of(head: Any) -> list[Any]:
    return list(head.loss_decode) if isinstance(head.loss_decode, nn.ModuleList) else [head.loss_decode]


def takes_ids_alone(loss: Any) -> bool:
    """Whether a loss is one of ours that is defined for class ids and not for soft labels; of a sum, all of its parts."""
    return isinstance(loss, Loss) and all('soft' not in part.labels for part in all_parts(loss.spec))
