"""Logits that are interpolated when a block of them is needed, so that those of a whole picture never exist.

Bilinear, as ``torch.nn.functional.interpolate`` does it: a block is a range of output rows, made of the few input rows that
they lie between, first downwards at the small width, then along the rows.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from mmseg_plugin.kernels.twice import once_differentiable

if TYPE_CHECKING:
    from mmseg_plugin.kernels.pixel_sums import Place

COLUMNS = 256  # of the output, whose gradient one product of matrices takes back


class Whole:
    """Logits or probabilities (N, C, P) as they are."""

    step = 1  # pixels of which a block holds a multiple
    parts = 1  # into which a block of the usual size is divided

    def __init__(self, tensor: Tensor) -> None:
        n, c, p = tensor.shape
        self.tensor, self.shape = tensor, (n, c, p)

    def needed(self, place: Place) -> Tensor:
        """What a block is made of, to be differentiated for: the block."""
        return self.tensor[place].detach()

    def block(self, needed: Tensor, place: Place) -> Tensor:
        """The block (n, c, p)."""
        return needed

    def empty_gradient(self) -> Tensor:
        """What the gradients of all blocks are written to."""
        return torch.empty_like(self.tensor)

    def keep(self, place: Place, slope: Tensor, gradient: Tensor) -> Tensor | None:
        """Writes the gradient of a block, from any thread; what has to be added in order it hands back, for ``add``."""
        gradient[place] = slope
        return None

    def add(self, place: Place, slope: Tensor | None, gradient: Tensor | None) -> None:
        """Adds what ``keep`` handed back."""

    def finish(self, gradient: Tensor, factors: Tensor | None = None) -> Tensor:
        """The gradient times the factors of its images, or classes (N, C or 1)."""
        return gradient if factors is None else multiply(gradient, factors[:, :, None])


class Resized(Whole):
    """(N, C, H * W) of tensor (N, C, h, w), interpolated in ``dtype``."""

    parts = 2

    def __init__(self, tensor: Tensor, size: tuple[int, int], align_corners: bool, dtype: torch.dtype) -> None:
        self.tensor, self.size, self.align_corners, self.dtype = tensor, size, align_corners, dtype
        self.step = max(1, size[1])
        self.shape = (len(tensor), tensor.shape[1], size[0] * size[1])

    def whole(self) -> Tensor:
        """All of it, in PyTorch's autograd."""
        return resize(self.tensor.to(self.dtype), self.size, self.align_corners).flatten(2)

    def rows(self, place: Place) -> tuple[slice, slice]:
        """The output rows of a block, and the input rows that they lie between."""
        start, stop = place[2].start or 0, place[2].stop
        rows = slice(start // self.step, self.size[0] if stop is None else stop // self.step)
        low, high, _ = self.between()
        return rows, slice(int(low[rows.start]), int(high[rows.stop - 1]) + 1)

    def between(self) -> tuple[Tensor, Tensor, Tensor]:
        return between(self.tensor.shape[2], self.size[0], self.align_corners, self.dtype)

    def needed(self, place: Place) -> Tensor:
        return self.tensor[place[0], place[1], self.rows(place)[1]].detach().to(self.dtype)

    def block(self, needed: Tensor, place: Place) -> Tensor:
        rows, lines = self.rows(place)
        low, high, part = (x[rows].to(needed.device) for x in self.between())
        low_lines, high_lines = (needed.index_select(2, x - lines.start) for x in (low, high))
        x = torch.lerp(low_lines, high_lines, part[:, None])
        if x.is_cpu:
            return Columns.apply(x, self.size[1], self.align_corners).flatten(2)
        return widen(x, self.size[1], self.align_corners).flatten(2)

    def empty_gradient(self) -> Tensor:
        return torch.zeros_like(self.tensor, dtype=self.dtype)

    def keep(self, place: Place, slope: Tensor, gradient: Tensor) -> Tensor | None:
        return slope

    def add(self, place: Place, slope: Tensor | None, gradient: Tensor | None) -> None:
        if slope is not None and gradient is not None:
            gradient[place[0], place[1], self.rows(place)[1]] += slope

    def finish(self, gradient: Tensor, factors: Tensor | None = None) -> Tensor:
        if factors is not None:
            multiply(gradient, factors[:, :, None, None])
        return gradient.to(self.tensor.dtype)


def multiply(gradient: Tensor, factors: Tensor) -> Tensor:
    """The gradient times factors, in place and in float32 or wider: a factor may leave the range of half precision."""
    return gradient.mul_(factors.to(torch.promote_types(gradient.dtype, torch.float32)))


def resize(x: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """x (N, C, h, w) at another size, as a head of MMSegmentation resizes its logits."""
    return functional.interpolate(x, size, mode='bilinear', align_corners=align_corners)


@functools.lru_cache(maxsize=32)
def shares(length: int, size: int, align_corners: bool, dtype: torch.dtype) -> Tensor:
    """(size, length) what each line of the output has of each of the input, to the last bit."""
    return resize(torch.eye(length, dtype=dtype)[None, None], (size, length), align_corners)[0, 0]


@functools.lru_cache(maxsize=32)
def between(length: int, size: int, align_corners: bool, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """(low, high, part) of each line of the output: low + part * (high - low) of the input's lines."""
    share = shares(length, size, align_corners, dtype)
    low = (share != 0).byte().argmax(1)
    high = (low + 1).clamp(max=length - 1)
    return low, high, torch.where(high > low, share.gather(1, high[:, None])[:, 0], 0)


def widen(x: Tensor, width: int, align_corners: bool) -> Tensor:
    """x (n, C, rows, w) in rows of another width; of one axis, which gives the same bits in half the time."""
    n, c, rows, w = x.shape
    lines = functional.interpolate(x.reshape(1, -1, w), width, mode='linear', align_corners=align_corners)
    return lines.view(n, c, rows, width)


@functools.lru_cache(maxsize=32)
def tiles(length: int, size: int, align_corners: bool, dtype: torch.dtype) -> list[tuple[slice, slice, Tensor]]:
    """(output lines, the input lines that they lie between, ``shares`` of these) of pieces of the output."""
    share, found = shares(length, size, align_corners, dtype), []
    for a in range(0, size, COLUMNS):
        used = share[a : a + COLUMNS].any(0).nonzero()
        lines = slice(int(used[0]), int(used[-1]) + 1)
        found.append((slice(a, a + COLUMNS), lines, share[a : a + COLUMNS, lines].contiguous()))
    return found


class Columns(torch.autograd.Function):
    """``widen`` whose gradient products of matrices take back: many times as fast."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, width: int, align_corners: bool) -> Tensor:
        ctx.tiles = tiles(x.shape[3], width, align_corners, x.dtype)
        ctx.shape = x.shape
        return widen(x, width, align_corners)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        flat = grad.reshape(-1, grad.shape[3])
        result = flat.new_zeros(len(flat), ctx.shape[3])
        for columns, lines, share in ctx.tiles:
            result[:, lines].addmm_(flat[:, columns], share)
        return result.view(ctx.shape), None, None
