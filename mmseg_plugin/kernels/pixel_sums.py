"""Sums over pixels of a loss's own terms, block by block: what lies between the logits and the sums never exists whole.

The forward pass adds up what ``terms`` gives for each block and keeps nothing; the backward pass computes a block again,
with autograd, and writes its gradient. So the memory is the gradient's and that of the blocks at hand, and the
intermediates stay in the cache. Where an image has one sum alone, its gradient is known up to a factor in the forward
pass, which then writes it at once. A loss writes terms, no backward pass.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mmseg_plugin.kernels import workers
from mmseg_plugin.kernels.overlap import choice
from mmseg_plugin.kernels.twice import AGAIN
from mmseg_plugin.values import is_transformed

if TYPE_CHECKING:
    from mmseg_plugin.inputs import Batch
    from mmseg_plugin.kernels.resize import Whole

    Terms = Callable[[Batch], Mapping[str, Tensor]]

Place = tuple[slice, slice, slice]  # images, channels, pixels
BLOCK = 2**19  # numbers of a block of logits on one core: fewer cost Python's time, more cost memory
BLOCK_OF_DEVICE = 2**22  # on a GPU, which many short operations would keep waiting
SMALL = 2**18  # numbers in the logits up to which nothing is gained
WHOLE = slice(None)


class UnsoundBlockError(Exception):
    """A block holds a label or a prediction that is none: the whole batch has to be looked at."""


def pixel_sums(batch: Batch, terms: Terms) -> dict[str, Tensor]:
    """name -> (N, K) sums over the pixels of each image, with a gradient for the batch's predictions.

    terms(part) gives the same of a ``Batch`` that holds some of the pixels of some images: name -> (n, K) from
    ``part.sum``. It is called several times, on several threads, and must not keep anything.
    """
    return in_parts(batch, Call(batch, terms), one_sum=False) if in_blocks(batch) else dict(terms(batch))


def pixel_sum(batch: Batch, term: Callable[[Batch], Tensor]) -> Tensor:
    """(N,) the one sum over pixels of each image of term(part) (n, K, p), added over its K as well."""

    def terms(part: Batch) -> dict[str, Tensor]:
        return {'sum': part.sum(term(part)).sum(1, keepdim=True)}

    sums = in_parts(batch, Call(batch, terms), one_sum=True) if in_blocks(batch) else terms(batch)
    return sums['sum'][:, 0]


def class_value(batch: Batch, term: Callable[[Batch], Tensor]) -> Tensor:
    """(N, C) a value of each class of each image, of term(part) that needs the maps of some classes alone."""

    def terms(part: Batch) -> dict[str, Tensor]:
        return {'value': term(part)}

    values = in_parts(batch, ClassCall(batch, terms), one_sum=True) if in_blocks(batch) else terms(batch)
    return values['value']


def class_sums(batch: Batch, terms: Terms) -> dict[str, Tensor]:
    """name -> (N, C) sums of each class of each image, of terms(part) that need the maps of some classes alone."""
    return in_parts(batch, ClassCall(batch, terms), one_sum=False) if in_blocks(batch) else dict(terms(batch))


def in_blocks(batch: Batch) -> bool:
    """Whether the sums of a batch are added block by block, or its terms are computed at once by PyTorch's autograd."""
    z, y, w = batch.source.tensor, batch.labels, batch.pixel_weight
    if choice.MODE == 'plain' or torch.compiler.is_compiling() or type(z) not in (Tensor, torch.nn.Parameter):
        return False
    if is_transformed() or torch._C._len_torch_dispatch_stack():
        return False
    if y.requires_grad or batch.image_weight.requires_grad or (w is not None and w.requires_grad):
        return False
    return math.prod(batch.shape) > (0 if choice.MODE == 'fused' else SMALL)


def in_parts(batch: Batch, call: Call, one_sum: bool) -> dict[str, Tensor]:
    """What ``call`` adds up, by name; one_sum: there is one of each image, or class."""
    one_sum = one_sum and torch.is_grad_enabled() and call.source.tensor.requires_grad
    try:
        sums, slopes = call.add_up(one_sum)
    except UnsoundBlockError:
        batch.look()  # which refuses it, or marks where it is
        call.source = batch.source
        sums, slopes = call.add_up(one_sum)
    inputs = call.source.tensor, batch.labels, batch.pixel_weight
    return call.by_name(BlockSums.apply(*inputs, call, sums, slopes))


def size_of_blocks(source: Whole) -> int:
    """Numbers of a block; of logits that are interpolated, whose gradient is small, fewer."""
    return (BLOCK if source.tensor.is_cpu else BLOCK_OF_DEVICE) // source.parts


def blocks_of(size: int, n: int, c: int, p: int, step: int = 1) -> list[Place]:
    """Several whole images, or parts of one that are about alike, in steps of so many pixels."""
    images, pixels = max(1, size // max(1, c * p)), max(1, size // c)
    pixels = max(1, math.ceil(p / max(1, math.ceil(p / pixels))))
    pixels = max(1, pixels // step) * step
    return [
        (slice(i, min(i + images, n)), WHOLE, slice(a, min(a + pixels, p)))
        for i in range(0, n, images)
        for a in range(0, p, pixels)
    ]


class Call:
    """What both passes over the blocks of one call know: the batch, its terms, how wide each sum is."""

    def __init__(self, batch: Batch, terms: Terms) -> None:
        self.batch, self.terms = batch, terms
        self.widths: dict[str, int] = {}
        self.masked: dict[int, bool] = {}  # of each block: whether it holds anything that is not finite
        self.source = batch.source
        self.is_cpu = self.source.tensor.is_cpu
        self.places = self.divide(size_of_blocks(self.source), *batch.shape)

    def divide(self, size: int, n: int, c: int, p: int) -> list[Place]:
        return blocks_of(size, n, c, p, self.source.step)

    def empty(self, found: Tensor) -> Tensor:
        """What the sums of all blocks are added to: (N, K)."""
        return found.new_zeros((self.batch.shape[0], found.shape[1]))

    def join(self, found: Mapping[str, Tensor]) -> Tensor:
        """The sums of a block (n, K) next to each other."""
        if not self.widths:
            self.widths = {name: x.shape[1] for name, x in found.items()}
        return torch.cat(list(found.values()), 1)

    def at(self, place: Place) -> tuple[Any, ...]:
        """Where in the sums of all blocks those of one are."""
        return (place[0],)

    def by_name(self, sums: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.widths, sums.split(list(self.widths.values()), 1)))

    def add_up(self, one_sum: bool) -> tuple[Tensor, Tensor | None]:
        """(sums of all blocks, their slopes where each image or class has one sum)."""
        slopes = self.source.empty_gradient() if one_sum else None
        total: Any = None  # as wide as what the first block gives
        one = functools.partial(self.forward, slopes=slopes)
        found = workers.each(one, range(len(self.places)), self.is_cpu)
        for place, (sums, slope) in zip(self.places, found):
            total = self.empty(sums) if total is None else total
            total[self.at(place)] += sums
            self.source.add(place, slope, slopes)
        return total, slopes

    def forward(self, k: int, slopes: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The sums of block k; keeps in ``slopes`` their gradient, where an image or class has one."""
        place, rest = self.places[k], None
        needed = self.source.needed(place)
        with torch.set_grad_enabled(slopes is not None), torch.autocast(needed.device.type, enabled=False):
            if slopes is not None:
                needed.requires_grad_()
            part = self.batch.part(*place, self.source.block(needed, place))
            if self.batch.looked:
                part.masked = self.batch.masked
            elif not part.is_sound():
                raise UnsoundBlockError
            self.masked[k] = part.masked
            sums = self.join(self.terms(part))
        if slopes is not None:
            (slope,) = torch.autograd.grad(sums, needed, torch.ones_like(sums))
            rest = self.source.keep(place, slope, slopes)
        return sums.detach(), rest

    def gradient(self, k: int, grad: Tensor, result: Tensor) -> Tensor | None:
        """Keeps d loss / d logits of block k in ``result``."""
        place = self.places[k]
        with torch.enable_grad(), torch.autocast(result.device.type, enabled=False):
            needed = self.source.needed(place).requires_grad_()
            part = self.batch.part(*place, self.source.block(needed, place))
            part.masked = self.masked[k]
            sums = self.join(self.terms(part))
            (slope,) = torch.autograd.grad(sums, needed, grad[self.at(place)])
        return self.source.keep(place, slope, result)

    def gradients(self, grad: Tensor) -> Tensor:
        """d loss / d logits of all blocks."""
        result = self.source.empty_gradient()
        found = workers.each(lambda k: self.gradient(k, grad, result), range(len(self.places)), self.is_cpu)
        for place, slope in zip(self.places, found):
            self.source.add(place, slope, result)
        return result

    def factors(self, grad: Tensor) -> Tensor:
        """d loss / d sum as factors of the slopes of images, or of images and classes (N, C)."""
        return grad


class ClassCall(Call):
    """Blocks are whole maps of classes; what is added up are (name, N, C) values."""

    def divide(self, size: int, n: int, c: int, p: int) -> list[Place]:
        images, classes = max(1, size // max(1, c * p)), max(1, size // max(1, p))
        return [
            (slice(i, min(i + images, n)), slice(k, min(k + classes, c)), WHOLE)
            for i in range(0, n, images)
            for k in range(0, c, classes)
        ]

    def empty(self, found: Tensor) -> Tensor:
        return found.new_zeros((len(found), *self.batch.shape[:2]))

    def join(self, found: Mapping[str, Tensor]) -> Tensor:
        self.widths = dict.fromkeys(found, 1)
        return torch.stack(list(found.values()))

    def at(self, place: Place) -> tuple[Any, ...]:
        return (WHOLE, *place[:2])

    def by_name(self, sums: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.widths, sums))

    def factors(self, grad: Tensor) -> Tensor:
        return grad[0]


class BlockSums(torch.autograd.Function):
    """``sums`` with their gradient; ``slopes``, which it overwrites, are that up to a factor, or None."""

    @staticmethod
    def forward(
        ctx: Any,
        given: Tensor,
        labels: Tensor,
        weight: Tensor | None,
        call: Call,
        sums: Tensor,
        slopes: Tensor | None,
    ) -> Tensor:
        ctx.save_for_backward(given, labels, weight)
        ctx.call, ctx.slopes = call, slopes
        return sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(AGAIN)
        _ = ctx.saved_tensors  # which says if any was changed in place
        call, slopes, ctx.slopes = ctx.call, ctx.slopes, None
        if slopes is None:
            result = call.source.finish(call.gradients(grad))
        else:
            result = call.source.finish(slopes, call.factors(grad))
        return result, None, None, None, None, None
