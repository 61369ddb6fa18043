"""``BaseDecodeHead.loss_by_feat`` of MMSegmentation with losses that resize by themselves: the same numbers under its names."""

from __future__ import annotations

import functools
from typing import Any

import torch
from mmseg.models.losses import accuracy
from mmseg.models.utils import resize
from mmseg.structures.sampler import OHEMPixelSampler
from torch import Tensor, nn

from mmseg_plugin.heads.maps import correct_pixels, prob_of_labels
from mmseg_plugin.kernels.resize import Resized
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.losses.compound.weighted_sum import SharedBatches, is_called_as_it_stands, shares_statistics


def loss_by_feat(head: Any, seg_logits: Tensor, batch_data_samples: list[Any]) -> dict[str, Tensor]:
    """name -> loss, and acc_seg; seg_logits (N, C, h, w), labels (N, 1, H, W) class ids or (N, C, H, W) soft."""
    label = head._stack_batch_gt(batch_data_samples)
    size = tuple(label.shape[2:])

    @functools.cache
    def resized() -> Tensor:
        return resize(seg_logits, size, mode='bilinear', align_corners=head.align_corners)

    weight = weights_of_sampler(head, seg_logits, label, resized)
    soft = label.shape[1] > 1
    label = label if soft else label.squeeze(1)
    found: dict[str, Tensor] = {}
    losses = losses_of(head)
    batches = SharedBatches(sum(isinstance(loss, Loss) and shares_statistics(loss) for loss in losses) > 1)
    given = seg_logits, label, weight, head.ignore_index
    for loss in losses:
        if not isinstance(loss, Loss):
            value = loss(resized(), label, weight=weight, ignore_index=head.ignore_index)
        elif is_called_as_it_stands(loss):
            call = dict(align_corners=bool(head.align_corners))
            value = loss.loss_of_call(*given, call, absent=loss.spec.loss_weight == 0, batches=batches)
        else:
            value = loss(*given, align_corners=bool(head.align_corners))
        found[loss.loss_name] = found[loss.loss_name] + value if loss.loss_name in found else value
    found['acc_seg'] = pixel_accuracy(head, seg_logits, label.argmax(1) if soft else label)
    return found


def losses_of(head: Any) -> list[Any]:
    return list(head.loss_decode) if isinstance(head.loss_decode, nn.ModuleList) else [head.loss_decode]


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
    if not samples_by_map(head):
        return head.sampler.sample(resized(), label)
    return hard_pixels(head.sampler, seg_logits, label.squeeze(1).long(), bool(head.align_corners))


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
def pixel_accuracy(head: Any, seg_logits: Tensor, label: Tensor) -> Tensor:
    """(1,) per cent of the pixels whose largest logit is that of their label, as ``mmseg.models.losses.accuracy`` counts."""
    if len(seg_logits) == 0:
        return accuracy(seg_logits, label, ignore_index=head.ignore_index)
    correct, counted = correct_pixels(source_of(seg_logits, label, bool(head.align_corners)), label, head.ignore_index)
    eps = torch.finfo(torch.float32).eps  # as there, against 0 / 0
    return (correct.float().reshape(1) + eps).mul_(100.0 / (counted + eps))


def source_of(seg_logits: Tensor, label: Tensor, align_corners: bool) -> Resized:
    height, width = label.shape[1:]
    dtype = torch.promote_types(seg_logits.dtype, torch.float32)
    return Resized(seg_logits.detach(), (height, width), align_corners, dtype)
