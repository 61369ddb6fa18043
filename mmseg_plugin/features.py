"""What a loss of features has in PyTorch: labels at the places of an embedding, and the pixels around a place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from mmseg_plugin.embeddings import at_places, checked_embedding
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import sum_of_zero_loss
from shared_spec.features import offsets


class Features(NamedTuple):
    """An embedding (N, D, *size), 0 where a pixel does not count, and what belongs to its places.

    label (N, *size) class ids, -1 where a pixel does not count; weight (N, *size), 0 there, NaN where something is wrong;
    nothing: 0 with a gradient of 0 for the predictions, NaN where they or the embedding are no numbers.
    """

    embedding: Tensor
    label: Tensor
    weight: Tensor
    nothing: Tensor


def features_of(batch: Batch, embedding: Tensor, everywhere: bool = False) -> Features:
    """The ``Features`` of a batch; everywhere: the embedding is read where a pixel does not count, too."""
    dtype = torch.promote_types(embedding.dtype, batch.dtype) if torch.is_tensor(embedding) else batch.dtype
    embedding = checked_embedding(batch.owner, embedding, (*batch.shape[:2], *batch.space), dtype)
    batch.look()
    size = embedding.shape[2:]
    weight = sampled(batch, batch.weight, size)
    counts = weight != 0
    ids = batch.own[:, 0] if batch.channels > 1 else batch.labels[:, 0].long()
    label = torch.where(counts, sampled(batch, ids, size), -1)
    finite = embedding.detach().isfinite()
    sound = finite.all() if everywhere else (finite | ~counts[:, None]).all()
    if not everywhere and (batch.pixel_weight is not None or not batch.visible):
        embedding = torch.where(counts[:, None], embedding, 0)
    return Features(embedding, label, weight, nothing(batch) + torch.where(sound, 0.0, torch.nan))


def nothing(batch: Batch) -> Tensor:
    """0 with a gradient of 0, NaN where a prediction that counts is no number; of all of them where any may be none."""
    if not (batch.visible and batch.is_sure()):
        return sum_of_zero_loss(batch)
    some = batch.source.tensor.flatten(1)[:, :1]
    return 0 * torch.where(some.isfinite(), some, 0).sum().to(batch.dtype)


def sampled(batch: Batch, x: Tensor, size: tuple[int, ...]) -> Tensor:
    """(N, *size) x (N, P) at the places of a map of that size, as nearest sampling has them."""
    return at_places(x, batch.space, size).unflatten(1, size)


def neighbours(x: Tensor, window: int, empty: float = 0) -> Iterator[Tensor]:
    """For each of ``offsets`` what x (..., H, W) has at the other pixel, ``empty`` beyond the image."""
    reach, (height, width) = window // 2, x.shape[-2:]
    padded = functional.pad(x, (reach, reach, reach, reach), value=empty)
    for down, right in offsets(window, 2):
        yield padded[..., reach + down : reach + down + height, reach + right : reach + right + width]


def pairs(x: Tensor, step: Sequence[int]) -> tuple[Tensor, Tensor]:
    """What x (..., H, W) has at the pixels that have another ``step`` below and to the right, and at that."""
    (down, right), (height, width) = step, x.shape[-2:]
    tall, wide = max(0, height - abs(down)), max(0, width - abs(right))
    one = x[..., max(0, -down) :, max(0, -right) :][..., :tall, :wide]
    return one, x[..., max(0, down) :, max(0, right) :][..., :tall, :wide]
