"""Pixel contrast: embeddings of pixels of a class are drawn together, those of different classes apart."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mmseg_plugin.arithmetic import multiply, ratio
from mmseg_plugin.embeddings import (
    at_places,
    checked_embedding,
    counts_before,
    first_slots,
    ranks_within,
    rows_of_ranks,
)
from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.pixel_maps import pixel_map
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.registry import register
from mmseg_plugin.values import can_look
from shared_spec import LOSSES
from shared_spec.extras import check_sample_shapes, check_sample_values, pair_of_samples
from shared_spec.losses.pixel.pixel_contrast import SHARE

LOW = -1e30  # what is no similarity: its exponential is 0, and nothing of it is infinite


@register
class PixelContrastLoss(Loss):
    """Supervised InfoNCE over sampled pixel embeddings, ``embedding`` (N, D, *space) at the call, as the head normalised them.

    ``samples`` = (image (A,), index (A, V)) at the call are the pixels to take; else half of those of a class of an image
    are predicted wrong. Without a pair of samples of a class the loss is 0. The bank of ``memory_size`` grows in training
    alone and is part of checkpoints. Parameters, call and errors: ``segparity show PixelContrastLoss``. Source: Wang et
    al., arXiv 2101.11939.
    """

    spec_class = LOSSES['PixelContrastLoss']
    bank: Tensor
    pushed: Tensor

    def __init__(
        self,
        *,
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        temperature: float = 0.1,
        base_temperature: float = 0.07,
        max_samples: int = 1024,
        max_views: int = 100,
        sampling: str = 'segmentation_aware',
        order: str = 'random',
        memory_size: int = 0,
        loss_name: str = 'loss_pixel_contrast',
    ) -> None:
        super().__init__(locals())

        self.register_buffer('bank', torch.zeros(0))
        self.register_buffer('pushed', torch.zeros(0, dtype=torch.long))

    def compute(  # type: ignore[override]  # extras
        self, batch: Batch, embedding: Tensor, samples: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        spec, classes = self.spec, max(batch.channels, 2)
        x = checked_embedding(batch.owner, embedding, (*batch.shape[:2], *batch.space), batch.dtype)
        space, x = x.shape[2:], x.flatten(2)
        with torch.no_grad():
            labels = batch.own[:, 0] if batch.channels > 1 else batch.target[:, 0].nan_to_num().long()
            wrong = pixel_map(batch, predicted) != labels
            labels, weight, wrong = (at_places(m, batch.space, space) for m in (labels, batch.weight, wrong))
            fault = batch.weight.isnan().any() | (~x.isfinite().all(1) & (weight != 0)).any()
            if samples is None:
                place, kept = (
                    torch.arange(weight.numel(), device=x.device),
                    self.choose(labels, wrong, weight > 0, classes),
                )
            else:
                place, kept, nowhere = given(batch.owner, samples, weight, spec.max_samples)
                fault = fault | nowhere
            chosen, valid = first_slots(kept.flatten(), spec.max_samples)
        x = x.movedim(1, 2).flatten(0, 1)
        if x.numel() and kept.numel():
            place = place[chosen]
            x = torch.where(valid[:, None], x[place], 0)
            about = [m.flatten()[place].to(x.dtype) for m in (labels, weight)]
        else:
            x = x.new_zeros(len(valid), x.shape[1]) + x.sum()
            about = [x[:, 0], x[:, 0]]
        rows = torch.cat([x, torch.stack(about, 1).detach()], 1)
        rows, valid, fault = rows_of_ranks(rows, valid, fault, spec.sync)
        x, labels, weight = rows[:, :-2], rows[:, -2].detach().long(), torch.where(valid, rows[:, -1].detach(), 0)
        loss = self.contrast(x, labels, weight, valid, *self.others(x, classes))
        if spec.memory_size and self.training:
            self.push(x.detach(), labels, valid & ~fault)
        return multiply(spec.loss_weight, loss) * torch.where(fault, torch.nan, 1.0)

    def absent_loss(self, batch: Batch, loss: Tensor) -> Tensor:
        """As of other losses, with a gradient of 0 for the embedding."""
        return super().absent_loss(batch, loss) + torch.where(loss.isfinite(), 0 * loss, 0)

    def choose(self, labels: Tensor, wrong: Tensor, counts: Tensor, classes: int) -> Tensor:
        """(N, P) which pixels are sampled, from maps of classes, of what is predicted wrong, and of what counts."""
        spec = self.spec
        groups = torch.where(counts, 2 * labels + (~wrong).long(), 2 * classes)  # wrong and right ones of each class
        order = torch.rand(groups.shape, device=groups.device).argsort(1) if spec.order == 'random' else None
        rank, sizes = ranks_within(groups if order is None else groups.gather(1, order), 2 * classes + 1)
        if order is not None:
            rank = torch.empty_like(rank).scatter_(1, order, rank)
        hard, easy = sizes[:, :-1].unflatten(1, (classes, 2)).unbind(2)
        anchors = hard + easy > spec.max_views
        _, total = counts_before(anchors.sum(), spec.sync)
        views = (spec.max_samples // total.clamp(min=1)).clamp(1, spec.max_views)
        taken = torch.maximum(torch.minimum(views // 2, hard), views - easy)
        quota = torch.stack([taken, views - taken], 2) * anchors[:, :, None]
        return rank < functional.pad(quota.flatten(1), (0, 1)).gather(1, groups)

    def contrast(
        self,
        x: Tensor,
        labels: Tensor,
        weight: Tensor,
        valid: Tensor,
        others: Tensor,
        their_labels: Tensor,
        there: Tensor,
    ) -> Tensor:
        """The loss of samples (S, D) among themselves and with the embeddings (B, D) of a bank."""
        spec = self.spec
        s = x @ torch.cat([x, others]).T / spec.temperature
        same = labels[:, None] == torch.cat([labels, their_labels])
        pairs = valid[:, None] & torch.cat([valid, there])
        positives = pairs & same
        positives.fill_diagonal_(False)
        negatives = self.hardest(s.detach(), pairs & ~same)
        positives = self.hardest(-s.detach(), positives)
        pull = torch.where(negatives, s, LOW).logsumexp(1, keepdim=True)
        count = positives.sum(1)
        cost = torch.where(positives, torch.logaddexp(pull - s, torch.zeros_like(s)), 0).sum(1) / count.clamp(min=1)
        weight = weight * (count > 0)
        return spec.temperature / spec.base_temperature * ratio((weight * cost).sum(), weight.sum(), 0.0)

    def hardest(self, s: Tensor, among: Tensor) -> Tensor:
        """(S, B) which of the entries among which an anchor is contrasted count, those of large s being hard."""
        if self.spec.sampling == 'segmentation_aware':
            return among
        rank = torch.where(among, s, -torch.inf).argsort(dim=1, descending=True, stable=True).argsort(1)
        tenth = among & (rank < (among.sum(1, keepdim=True) + SHARE - 1) // SHARE)
        if self.spec.sampling == 'hardest':
            return tenth
        coin = torch.rand_like(s) < 0.5 if self.spec.order == 'random' else rank % 2 == 0
        return tenth & (coin | (rank == 0))

    def others(self, x: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
        """The embeddings (B, D) of the bank, their classes, and whether there are any there; made where there is none."""
        size, depth = self.spec.memory_size, x.shape[1]
        if not size:
            return x.new_zeros(0, depth), self.pushed.new_zeros(0), self.pushed.new_zeros(0, dtype=torch.bool)
        if not self.bank.numel():
            self.bank = x.detach().new_zeros(classes, size, depth)
            self.pushed = torch.zeros(classes, dtype=torch.long, device=x.device)
        if self.bank.shape != (classes, size, depth):
            raise ValueError(
                f'PixelContrastLoss: the bank has {tuple(self.bank.shape)} embeddings (classes, memory_size, D), the call '
                f'needs {(classes, size, depth)}'
            )
        place = torch.arange(size, device=x.device)
        there = place < self.pushed[:, None]
        owners = torch.arange(classes, device=x.device)[:, None].expand(-1, size)
        return self.bank.to(x.dtype).flatten(0, 1).clone(), owners.flatten(), there.flatten()

    @torch.no_grad()
    def push(self, x: Tensor, labels: Tensor, valid: Tensor) -> None:
        """Puts samples into the bank, up to ``memory_size`` of a class, in place of those that are there for longest."""
        classes, size, depth = self.bank.shape
        rank, sizes = ranks_within(torch.where(valid, labels, classes)[None], classes + 1)
        kept = valid & (rank[0] < size)
        place = labels * size + (self.pushed[labels.clamp(max=classes - 1)] + rank[0]) % size
        rows = torch.cat([self.bank.flatten(0, 1), self.bank.new_zeros(1, depth)])
        rows[torch.where(kept, place, classes * size)] = x.to(rows.dtype)
        self.bank.copy_(rows[:-1].view_as(self.bank))
        self.pushed += sizes[0, :-1].clamp(max=size)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *others: Any, **more: Any) -> None:
        for name in ('bank', 'pushed'):
            given = state_dict.get(prefix + name)
            if given is not None:
                setattr(self, name, torch.zeros_like(given, device=getattr(self, name).device))
        super()._load_from_state_dict(state_dict, prefix, *others, **more)


def predicted(part: Batch) -> Tensor:
    """(n, 1, p) the class that is predicted."""
    if part.channels > 1:
        return part.pred.nan_to_num().argmax(1, keepdim=True)
    return part.pred > (0 if part.logits else 0.5)


def given(owner: str, samples: object, weight: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """The places (R,) of the samples of a call in the pixels of a batch, which of them count, and whether one is nowhere.

    weight: (N, P).
    """
    image, index = pair_of_samples(owner, samples)
    for x in (image, index):
        if not torch.is_tensor(x):
            raise TypeError(f'{owner}: samples must be tensors, got {type(x).__name__}')
    check_sample_shapes(owner, image.shape, index.shape, (image.dtype, index.dtype), most)
    n, pixels = weight.shape
    if can_look(image, index):
        check_sample_values(owner, image.numpy(), index.numpy(), n, pixels)
    image, index = image.long()[:, None].expand_as(index).flatten(), index.long().flatten()
    nowhere = ((image < 0) | (image >= n) | (index < -1) | (index >= pixels)).any()
    if not weight.numel():
        return index, index < -1, nowhere
    place = (image * pixels + index).clamp(0, weight.numel() - 1)
    return place, (index >= 0) & (weight.flatten()[place] != 0), nowhere
