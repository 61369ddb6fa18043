"""``BaseDecodeHead.loss_by_feat`` of MMSegmentation with losses that resize by themselves: the same numbers under its names."""

from __future__ import annotations

import functools
from typing import Any

import torch
from mmseg.models.losses import accuracy
from mmseg.models.utils import resize
from mmseg.structures.sampler import OHEMPixelSampler
from torch import Tensor

from mmseg_plugin.heads.labels import Target, check_labelled, losses_of, takes_ids_alone, targets
from mmseg_plugin.heads.maps import correct_pixels, prob_of_labels
from mmseg_plugin.kernels.resize import Resized
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.losses.compound.weighted_sum import is_called_as_it_stands


def loss_by_feat(head: Any, seg_logits: Tensor, batch_data_samples: list[Any]) -> dict[str, Tensor]:
    """name -> loss, and acc_seg; seg_logits (N, C, h, w), labels (N, 1, H, W) class ids or (N, C, H, W) soft.

    A head that was told where its soft labels come from has both: losses of class ids alone take these.
    """
    check_labelled(type(head).__name__, batch_data_samples)
    label = head._stack_batch_gt(batch_data_samples)
    size = tuple(label.shape[2:])

    @functools.cache
    def resized() -> Tensor:
        return resize(seg_logits, size, mode='bilinear', align_corners=head.align_corners)

    kept = weights_of_sampler(head, seg_logits, label, resized)
    dtype = torch.promote_types(seg_logits.dtype, torch.float32)
    hard, soft = targets(head, batch_data_samples, label, kept, dtype)
    found: dict[str, Tensor] = {}
    for loss in losses_of(head):
        target = hard if soft is None or (hard is not None and takes_ids_alone(loss)) else soft
        if isinstance(loss, Loss):
            value = value_of(loss, head, seg_logits, target)
        else:
            value = loss(resized(), target.label, weight=target.weight, ignore_index=head.ignore_index)
        found[loss.loss_name] = found[loss.loss_name] + value if loss.loss_name in found else value
    found['acc_seg'] = pixel_accuracy(head, seg_logits, *(hard.ids if soft is None else soft.ids))
    if getattr(head, 'teacher_terms', None) is not None:
        found.update(head.teacher_terms.losses(head, seg_logits, hard if soft is None else soft))
    return found


def value_of(loss: Loss, head: Any, seg_logits: Tensor, target: Target) -> Tensor:
    """One of our losses of a head's logits, which it resizes by itself."""
    given = seg_logits, target.label, target.weight, head.ignore_index
    if not is_called_as_it_stands(loss):
        found: Tensor = loss(*given, align_corners=bool(head.align_corners))
        return found
    call = dict(align_corners=bool(head.align_corners))
    return loss.loss_of_call(*given, call, absent=loss.spec.loss_weight == 0, batches=target.batches)


def samples_by_map(head: Any) -> bool:
    """Whether the head's sampler needs no more than each pixel's probability of its label."""
    return type(head.sampler) is OHEMPixelSampler and head.sampler.thresh is not None and head.out_channels > 1


def weights_of_sampler(head: Any, seg_logits: Tensor, label: Tensor, resized: Any) -> Tensor | None:
    """(N, H, W) which pixels the head's sampler keeps, 1 or 0; None without a sampler."""
    if head.sampler is None:
        return None
    if label.shape[1] != 1:
        raise ValueError(
            f'{type(head.sampler).__name__}: a sampler needs class ids (N, 1, H, W), got labels of shape '
            f'{tuple(label.shape)}; leave out sampler'
        )
    check_sampler(head)
    if not samples_by_map(head):
        return head.sampler.sample(resized(), label)
    return hard_pixels(head.sampler, seg_logits, label.squeeze(1).long(), bool(head.align_corners))


def check_sampler(head: Any) -> None:
    """ValueError for an ``OHEMPixelSampler`` that cannot rank the pixels of a head."""
    if not isinstance(head.sampler, OHEMPixelSampler):
        return
    if head.sampler.thresh is not None and head.out_channels == 1:
        raise ValueError(
            'OHEMPixelSampler: thresh needs a channel for each class, got out_channels=1; leave out thresh'
        )
    if head.sampler.thresh is None:
        for loss in losses_of(head):
            if isinstance(loss, Loss) and 'sum' not in loss.spec.reductions:
                raise ValueError(
                    f'OHEMPixelSampler: without thresh it ranks pixels by their losses, and {type(loss).__name__} has no '
                    'loss of a pixel; give thresh'
                )


@torch.no_grad()
def hard_pixels(sampler: OHEMPixelSampler, seg_logits: Tensor, label: Tensor, align_corners: bool) -> Tensor:
    """(N, H, W) 1 where the label's probability is below ``thresh``, or among the ``min_kept`` lowest for each image."""
    valid = label != sampler.context.ignore_index
    prob = prob_of_labels(source_of(seg_logits, label, align_corners), label.where(valid, 0))
    of_valid = prob[valid]
    last = min(sampler.min_kept * len(label), of_valid.numel() - 1)
    lowest = of_valid.kthvalue(last + 1).values if of_valid.numel() else 0.0
    return ((prob < max(lowest, sampler.thresh)) & valid).to(seg_logits.dtype)


@torch.no_grad()
def pixel_accuracy(head: Any, seg_logits: Tensor, label: Tensor, ignore_index: int | None) -> Tensor:
    """(1,) per cent of the pixels whose largest logit is that of their label, as ``mmseg.models.losses.accuracy`` counts."""
    if len(seg_logits) == 0:
        return accuracy(seg_logits, label, ignore_index=ignore_index)
    correct, counted = correct_pixels(source_of(seg_logits, label, bool(head.align_corners)), label, ignore_index)
    eps = torch.finfo(torch.float32).eps  # as there, against 0 / 0
    return (correct.float().reshape(1) + eps).mul_(100.0 / (counted + eps))


def source_of(seg_logits: Tensor, label: Tensor, align_corners: bool) -> Resized:
    height, width = label.shape[1:]
    dtype = torch.promote_types(seg_logits.dtype, torch.float32)
    return Resized(seg_logits.detach(), (height, width), align_corners, dtype)
