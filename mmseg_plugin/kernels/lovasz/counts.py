"""The Lovasz extension of the pixels of all ranks from counts in bins of the error, in place of a sort.

What a pixel adds to the Jaccard loss follows from two counts: how many pixels of the class and how many others have a
larger error. Ranks add up how many of their pixels lie in each bin. Bins are split until those that matter hold so few
pixels that it does not matter how these are sorted; they share the mean of what sorted ones would add. What travels
depends on the number of classes, not on that of pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mmseg_plugin.distributed import add_over_ranks
from mmseg_plugin.kernels.lovasz.bins import COARSE, Bins, Step
from mmseg_plugin.kernels.lovasz.course import Course

ONE, INFINITE, SIGN = 0x3F800000, 0x7F800000, 2**31 - 1  # bits of float32 numbers, and what a sign leaves of them
FIRST_PARTS, MORE_PARTS = 2, 16  # how much finer than they have to be bins are made, at first and later
PIECE = 2**16  # pixels that are looked at together, on the CPU


class Pixels:
    """What one rank has: x, slope (N, C, P), labels (N, P) or (N, C, P), weight (N, P).

    In the memory of the slope ``index`` keeps 2 * b + y of a pixel in bin b of its row, y = 1 inside the class. Pixels
    that do not count are taken for such of no class, at x = 0, and then taken out again: all are alike. Everything is
    arithmetic on pieces that stay in the cache, as masks are several times slower.
    """

    def __init__(
        self,
        x: Tensor,
        slope: Tensor,
        labels: Tensor,
        weight: Tensor,
        activation: str | None,
        hinge: bool,
        classes: Sequence[int],
        counted: bool,
    ) -> None:
        """activation: which made x, None where x is not to be changed; classes: each has a row; counted: weights are 1
        or 0."""
        valid = weight > 0
        self.absent = [torch.nonzero(~own)[:, 0] for own in valid]
        self.x = x if activation or not any(len(absent) for absent in self.absent) else x.clone()
        for own, absent in zip(self.x, self.absent):
            own.index_fill_(1, absent, 0)
        self.is_one = labels.dim() == 2  # whether a pixel is of one class
        self.labels = torch.where(valid, labels, -1).int() if self.is_one else (labels > 0) & valid[:, None]
        self.slope, self.hinge, self.classes = slope, hinge, list(classes)
        self.slopes = activation is not None
        self.negative = not self.slopes and not hinge  # some errors are, of probabilities that are rounded
        self.opposites = activation == 'softmax' and x.shape[1] == 2 and self.is_one
        self.index = slope.view(torch.int32)[..., :: slope.element_size() // 4]
        self.weight = None if counted else torch.where(valid, weight, 0).double()
        self.fault = 0 if counted else (0 * weight).sum(dtype=torch.float64)  # not a number where a weight is none

    def pieces(self, row: int) -> Iterator[tuple[int, int, slice]]:
        """(image, class, slice of the pixels)"""
        n, _, p = self.x.shape
        step = PIECE if self.x.is_cpu else max(p, 1)
        for i in range(n):
            for a in range(0, p, step):
                yield i, self.classes[row], slice(a, a + step)

    def inside(self, piece: tuple[int, int, slice]) -> Tensor:
        """int32: 1 for the pixels of a piece that are of the class, 0 for others."""
        if not self.is_one:
            return self.labels[piece].int()
        i, k, pixels = piece
        labels = self.labels[i, pixels]
        return torch.eq(labels, k, out=torch.empty_like(labels))

    def errors(self, piece: tuple[int, int, slice], inside: Tensor) -> Tensor:
        x, y = self.x[piece], inside.to(self.x.dtype)
        if self.hinge:
            return (x * (1 - 2 * y)).add_(1).relu_()
        if self.opposites:  # in which the error of a pixel is what the other class has: exact where 1 - x is not
            i, k, pixels = piece
            return (x * (1 - y)).addcmul_(self.x[i, 1 - k, pixels], y)
        return torch.where(y > 0, 1 - x, x) if self.negative else (x - y).abs_()

    def keys(self, errors: Tensor) -> Tensor:
        """int32 from 0 up, of the order of the errors as float32; those of probabilities lie within -2 and 2."""
        bits = errors.float().view(torch.int32)
        return (bits ^ ((bits >> 31) & SIGN)) + 2**30 if self.negative else bits

    def largest_key(self) -> int:
        return INFINITE if self.hinge else ONE + 2**COARSE + 2**30 if self.negative else ONE

    def edges(self, bins: Bins) -> tuple[Tensor, Tensor]:
        """(B,) float64 the errors between which each bin lies."""

        def error(keys: Tensor) -> Tensor:
            bits = (keys - 2**30 if self.negative else keys).int()
            return (bits ^ ((bits >> 31) & SIGN)).view(torch.float32).double()

        low, high = error(bins.low), error(bins.low + (1 << bins.bits) - 1)
        return (low, high.clamp(max=1)) if self.slopes else (low, high.nan_to_num(torch.inf))

    def count(self, bins: Bins, rows: Tensor, step: Step | None) -> Tensor:
        """(2, B) int64, or float64 weights, outside the class and inside.

        rows: whose bins these are; step: how their pixels find them, None for the first ones.
        """
        kind = torch.long if self.weight is None else torch.double
        counts = torch.zeros(2, len(bins.row), dtype=kind, device=self.x.device)
        sizes = bins.starts.diff().tolist()
        steps = step.of_rows() if step else [None] * len(sizes)
        for row, own, find in zip(rows.tolist(), counts.split(sizes, 1), steps):
            for piece in self.pieces(row):
                inside, index = self.inside(piece), self.index[piece]
                keys = self.keys(self.errors(piece, inside))
                if find is None:
                    place = keys >> COARSE
                else:
                    shift, offset = (t.index_select(0, index >> 1) for t in find)
                    place = torch.bitwise_right_shift(keys, shift, out=shift).add_(offset)
                torch.add(inside, place, alpha=2, out=index)
                weight = None if self.weight is None else self.weight[piece[0], piece[2]]
                own += torch.bincount(index, weight, minlength=2 * own.shape[1]).view(-1, 2).T
            if self.weight is None:
                for index, absent in zip(self.index[:, self.classes[row]], self.absent):
                    own[0, index[absent[:1]] >> 1] -= len(absent)
        return counts

    def settle(self, tables: Sequence[Tensor]) -> Tensor:
        """(C,) float64 this rank's sums of error times increment; the slope gets the derivatives by x.

        tables: (B, 2) of each row, the increments of a pixel of weight 1 outside the class, and inside.
        """
        losses = torch.zeros(self.x.shape[1], dtype=torch.float64, device=self.x.device)
        for row, table in enumerate(tables):
            k, signed = self.classes[row], (table * table.new_tensor([1, -1])).to(self.x.dtype).view(-1)
            for piece in self.pieces(row):
                errors, slope = self.errors(piece, self.inside(piece)), signed.index_select(0, self.index[piece])
                slope = slope if self.weight is None else slope.mul_(self.weight[piece[0], piece[2]])
                self.slope[piece] = torch.where(errors > 0, slope, 0) if self.hinge else slope
                losses[k] += slope.abs_().mul_(errors).sum()
            for i, absent in enumerate(self.absent if self.hinge else ()):  # at an error of 1
                losses[k] -= len(absent) * self.slope[i, k, absent[:1]].sum()
        for slope, absent in zip(self.slope, self.absent):
            slope.index_fill_(1, absent, 0)
        return losses + self.fault


def count_rows(pixels: Pixels, total: int) -> Tensor:
    """(C,) float64 the sums of error times increment of the ``total`` pixels of all ranks; see ``Pixels.settle``."""
    rows, parts, step = torch.arange(len(pixels.classes), device=pixels.x.device), FIRST_PARTS, None
    if not len(rows):
        return torch.zeros(pixels.x.shape[1], dtype=torch.float64, device=rows.device)
    bins = Bins.coarse(len(rows), pixels.largest_key(), rows.device)
    tables: dict[int, Tensor] = {}
    while len(rows):
        course = Course(bins, over_ranks(pixels.count(bins, rows, step), total))
        more = course.bits_to_split(bins, pixels.edges(bins), pixels.slopes, pixels.weight is None, parts)
        is_open = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        is_open[bins.row[more > 0]] = True
        if not is_open.all():
            ready = course.increments().split(bins.starts.diff().tolist())
            tables |= {row: table for row, table, still in zip(rows.tolist(), ready, is_open.tolist()) if not still}
        more = more[is_open.index_select(0, bins.row)]
        bins, rows, parts = bins.of_rows(is_open), rows[is_open], MORE_PARTS
        bins, step = bins.split(more)
    return add_over_ranks(pixels.settle([tables[row] for row in range(len(tables))]))


def over_ranks(counts: Tensor, total: int) -> Tensor:
    """counts added over the ranks; ``total`` is the most that a whole one can be, and int32 if that will do."""
    if counts.is_floating_point() or total >= 2**31:
        return add_over_ranks(counts)
    return add_over_ranks(counts.int())
