"""Which heads of a model take losses that resize by themselves, and what of them cannot."""

from __future__ import annotations

import types
from collections.abc import Iterator

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.structures.sampler import OHEMPixelSampler
from torch import nn

from mmseg_plugin.heads.labels import losses_of
from mmseg_plugin.heads.loss_by_feat import loss_by_feat, samples_by_map
from mmseg_plugin.losses.base import Loss


def fuse_resize(model: nn.Module) -> list[str]:
    """Swaps ``loss_by_feat`` in the heads of a model; returns a sentence for each that is left and for each exception."""
    sentences = []
    for name, head in model.named_modules():
        if not isinstance(head, BaseDecodeHead):
            continue
        told = f'{name or "the model"} ({type(head).__name__})'
        own = getattr(head.loss_by_feat, '__func__', None)
        if own not in (BaseDecodeHead.loss_by_feat, loss_by_feat):
            sentences.append(f'{told} has a loss_by_feat of its own and keeps it')
            continue
        head.loss_by_feat = types.MethodType(loss_by_feat, head)
        sentences += [f'{told} {sentence}' for sentence in exceptions(head)]
    return sentences


def exceptions(head: BaseDecodeHead) -> Iterator[str]:
    """What of a head has to have the logits of every pixel."""
    if head.sampler is not None and not samples_by_map(head):
        kind = type(head.sampler).__name__
        kind += ' without thresh' if isinstance(head.sampler, OHEMPixelSampler) and head.sampler.thresh is None else ''
        yield f'resizes its logits for {kind}'
    for loss in losses_of(head):
        if not isinstance(loss, Loss):
            yield f'resizes its logits for {type(loss).__name__}, which is none of these losses'
