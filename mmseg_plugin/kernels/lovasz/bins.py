"""The Lovasz extension of the pixels of all ranks from counts in bins of the error, in place of a sort.

What a pixel adds to the Jaccard loss follows from two counts: how many pixels of the class and how many others have a
larger error. Ranks add up how many of their pixels lie in each bin. Bins are split until those that matter hold so few
pixels that it does not matter how these are sorted; they share the mean of what sorted ones would add. What travels
depends on the number of classes, not on that of pixels.

A bin of n pixels at a union of U has increments that differ by n/U of 1/U, the largest of them there, and an error e of
a probability goes into the gradient by logits as e * (1 - e): ``LIMIT`` is the most that this may be of the largest
gradient of the class. Within a bin the deviations add up to nothing, so that the value errs by their product with the
width of the bin alone: of ``VALUE`` at most in each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmseg_plugin.distributed import add_over_ranks

COARSE = 20  # bits of a float32 number that the first bins leave out: there are eight of them to an octave
ONE, INFINITE, SIGN = 0x3F800000, 0x7F800000, 2**31 - 1  # bits of float32 numbers, and what a sign leaves of them
LIMIT, VALUE = 2.0**-9, 4e-9
FIRST_PARTS, MORE_PARTS = 8, 32  # how much finer than that bins are made, at first and where that was too little
MOST_BITS = 15  # by how many bits a bin is split at a time
PIECE = 2**17  # pixels that are looked at together, on the CPU


class Step(NamedTuple):
    """How a pixel that is in bin b finds its bin after a split: (key >> shift[b]) + offset[b], both counted in its row.

    shift, offset (B,) int32; starts: those of the bins that were split.
    """

    shift: Tensor
    offset: Tensor
    starts: Tensor


class Bins(NamedTuple):
    """Intervals of keys, those of a row by rising keys, one row after the other.

    row (B,): of which row; low (B,): the first key; bits (B,): there are 2**bits keys in it; starts (rows + 1,): where
    each row begins, and the last one ends. All int64.
    """

    row: Tensor
    low: Tensor
    bits: Tensor
    starts: Tensor

    @classmethod
    def coarse(cls, rows: int, largest: int, device: torch.device) -> Bins:
        """The first bins, of keys from 0 to ``largest``; a key is in bin key >> COARSE."""
        keys = torch.arange(0, largest + 1, 2**COARSE, device=device)
        row = torch.arange(rows, device=device).repeat_interleave(len(keys))
        starts = torch.arange(rows + 1, device=device) * len(keys)
        return cls(row, keys.repeat(rows), torch.full_like(row, COARSE), starts)

    def split(self, more: Tensor) -> tuple[Bins, Step]:
        """Each bin in 2**more[b] parts, and how to find them."""
        parts, shift = 1 << more, self.bits - more
        ends = torch.cat([parts.new_zeros(1), parts.cumsum(0)])
        begins, starts = ends[:-1], ends[self.starts]
        offset = begins - starts.index_select(0, self.row) - (self.low >> shift)
        of = torch.arange(len(parts), device=parts.device).repeat_interleave(parts)
        row, low, bits, first = (t.index_select(0, of) for t in (self.row, self.low, shift, begins))
        part = torch.arange(len(of), device=parts.device) - first
        return Bins(row, low + (part << bits), bits, starts), Step(shift.int(), offset.int(), self.starts)


class Course:
    """How the Jaccard loss of each row grows, bin by bin from the largest error down.

    ``left`` (B,): the weight of the class that is right before a bin, ``union`` that of the class and of all else that
    is wrong before it, ``added`` by how much the loss grows in it; float64.
    """

    def __init__(self, bins: Bins, counts: Tensor) -> None:
        """counts (2, B): the weight outside the class and inside, of all ranks."""
        self.outside, self.inside = counts = counts.double()
        sums = torch.cat([counts.new_zeros(2, 1), counts.cumsum(1)], 1)
        begin, end = sums.index_select(1, bins.starts[:-1]), sums.index_select(1, bins.starts[1:])
        self.left = sums[1, 1:] - begin[1].index_select(0, bins.row)
        self.union = (end[0] + end[1] - begin[1]).index_select(0, bins.row) - sums[0, 1:]
        self.first = self.union <= 0  # of a class without a pixel
        self.union = torch.where(self.first, 1, self.union)
        self.added = self.left / self.union - (self.left - self.inside) / (self.union + self.outside)

    def bits_to_split(self, bins: Bins, low: Tensor, high: Tensor, slopes: bool, counted: bool, parts: int) -> Tensor:
        """(B,) by how many bits to split a bin, so that a part of it has some 1/parts of what it may have.

        low, high (B,): the errors between which a bin lies; slopes: whether they are of probabilities of logits;
        counted: weights are 1 or 0. Increments do not differ between less than two pixels, without a pixel outside the
        class, and where none of the class is left.
        """
        steep, flat = (high * (1 - low), low * (1 - high)) if slopes else (1, 1)
        differ = (self.outside > 0) & (self.inside + self.outside > int(counted))
        of_inside = torch.where(self.inside > 0, torch.log1p(self.outside / self.union), 0)
        of_outside = torch.log1p((self.inside + 2 * self.outside) / self.union) * (self.left / self.union)
        spread = torch.where(differ, torch.maximum(of_inside, of_outside), 0)
        least = torch.maximum(flat, steep / 64) if slopes else 1  # a bin that reaches up to 1 is flat at its end
        least = torch.where(self.inside > 0, least / (self.union + self.outside), 0)
        largest = self.largest_of_row(bins, least).index_select(0, bins.row)
        of_gradient = spread * (steep / self.union) / largest / LIMIT
        of_value = spread * self.added * (high - low) / high.clamp(min=1) / VALUE
        times = torch.maximum(parts * of_gradient, of_value.sqrt()).where(~self.first, torch.inf)
        bits = times.log2().ceil().clamp(1, MOST_BITS).nan_to_num(MOST_BITS).long()
        wide = (of_gradient > 1) | (of_value > 1) | (self.first & differ)
        return torch.where(wide, torch.minimum(bits, bins.bits), 0)

    @staticmethod
    def largest_of_row(bins: Bins, x: Tensor) -> Tensor:
        """(rows,) the largest of x (B,) in each row."""
        return x.new_zeros(len(bins.starts) - 1).scatter_reduce_(0, bins.row, x, 'amax')

    def increments(self) -> tuple[Tensor, Tensor]:
        """(B,) what a pixel of weight 1 adds to the Jaccard loss outside the class, and inside.

        Of a class without a pixel the largest error adds 1. Else it is the mean over the bin while its pixels turn
        wrong evenly: all have added then what the sorted ones would have.
        """
        some = torch.where(self.outside > 0, self.outside, 1)
        inside = torch.where(self.outside > 0, torch.log1p(self.outside / self.union) / some, 1 / self.union)
        outside = ((self.added - self.inside * inside) / some).clamp(min=0)
        return torch.where(self.first, 1 / some, outside), inside


class Foreground(NamedTuple):
    """The pixels of one image that are of a class, once for each class: (K,) each.

    row; at: where in (C, P); errors; weight, or None where each counts 1; place: in which of all bins.
    """

    row: Tensor
    at: Tensor
    errors: Tensor
    weight: Tensor | None
    place: Tensor


class Pixels:
    """What one rank has: x, slope (N, C, P) contiguous, labels (N, P) or (N, C, P), weight (N, P).

    Every pixel is first counted as one outside the class, in its bin, which ``index`` keeps in the memory of the slope.
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
        """x is changed: 0 where a pixel does not count; activation: which made x; classes: each of them has a row.

        counted: weights are 1 or 0.
        """
        self.x, self.slope, self.hinge, self.classes = x, slope, hinge, list(classes)
        self.slopes = activation is not None
        self.negative = not self.slopes and not hinge  # some errors are, of probabilities that are rounded
        self.opposites = activation == 'softmax' and x.shape[1] == 2 and labels.dim() == 2
        self.class_ids = torch.tensor(self.classes, dtype=torch.long, device=x.device)
        self.index = slope.view(torch.int32)[..., :: slope.element_size() // 4]
        self.weight = None if counted else weight.double()
        self.absent = [torch.nonzero(~(w > 0))[:, 0] for w in weight]
        for own, absent in zip(x, self.absent):
            own.index_fill_(1, absent, 0)
        self.foreground = [self.find_foreground(i, labels[i], weight[i] > 0) for i in range(len(x))]

    def find_foreground(self, i: int, labels: Tensor, valid: Tensor) -> Foreground:
        c, p = self.x.shape[1:]
        row_of = torch.full((c,), -1, device=self.x.device)
        row_of[self.class_ids] = torch.arange(len(self.classes), device=self.x.device)
        if labels.dim() == 2:
            k, pixel = torch.nonzero((labels > 0) & valid & (row_of >= 0)[:, None], as_tuple=True)
        else:
            ids = labels.long().clamp(0, c - 1)
            pixel = torch.nonzero(valid & (ids == labels) & (row_of.index_select(0, ids) >= 0))[:, 0]
            k = ids.index_select(0, pixel)
        at, x = k * p + pixel, self.x[i].view(-1)
        errors = x.index_select(0, at + p - 2 * k * p) if self.opposites else self.errors_of(-x.index_select(0, at), 1)
        weight = None if self.weight is None else self.weight[i].index_select(0, pixel)
        return Foreground(row_of.index_select(0, k), at, errors, weight, torch.empty_like(at))

    def errors_of(self, x: Tensor, inside: int) -> Tensor:
        """Errors from x, turned round inside the class."""
        if self.hinge:
            return (1 + x).relu()
        return (1 + x if self.negative else (1 + x).relu()) if inside else x

    def pieces(self, row: int) -> Iterator[tuple[int, int, slice]]:
        """(image, class, slice of the pixels)"""
        n, _, p = self.x.shape
        step = PIECE if self.x.is_cpu else max(p, 1)
        for i in range(n):
            for a in range(0, p, step):
                yield i, self.classes[row], slice(a, a + step)

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

    def count(self, bins: Bins, step: Step | None, rows: Sequence[int]) -> Tensor:
        """(2, B) int64, or float64 weights, outside the class and inside; step: to the bins, None to the first ones.

        rows: those that are counted, and whose pixels move to other bins; what is found for the others means nothing.
        """
        begins = bins.starts.tolist()
        former = step.starts.tolist() if step else begins
        kind = torch.long if self.weight is None else torch.double
        counts = torch.zeros(2, len(bins.row), dtype=kind, device=self.x.device)
        for r in rows:
            own, own_step = counts[0, begins[r] : begins[r + 1]], slice(former[r], former[r + 1])
            for piece in self.pieces(r):
                index, keys = self.index[piece], self.keys(self.errors_of(self.x[piece], 0))
                if step is None:
                    torch.bitwise_right_shift(keys, COARSE, out=index)
                else:
                    shift = step.shift[own_step].index_select(0, index)
                    offset = step.offset[own_step].index_select(0, index)
                    torch.add(torch.bitwise_right_shift(keys, shift, out=shift), offset, out=index)
                weight = None if self.weight is None else self.weight[piece[0], piece[2]]
                own += torch.bincount(index, weight, minlength=len(own))
        for i in range(len(self.x)):
            self.count_foreground(i, counts, bins.starts, step)
        return counts

    def count_foreground(self, i: int, counts: Tensor, starts: Tensor, step: Step | None) -> None:
        """Moves what is inside the class there, and takes out pixels that do not count."""
        row, at, errors, weight, place = self.foreground[i]
        begin, keys, index = starts.index_select(0, row), self.keys(errors), self.index[i]
        if step is None:
            torch.add(begin, keys >> COARSE, out=place)
        else:
            shift, offset = step.shift.index_select(0, place), step.offset.index_select(0, place)
            torch.add(begin, (keys >> shift) + offset, out=place)
        outside = index.view(-1).index_select(0, at) + begin
        counts[0] -= torch.bincount(outside, weight, minlength=counts.shape[1])
        counts[1] += torch.bincount(place, weight, minlength=counts.shape[1])
        if self.weight is None and len(self.absent[i]):
            counts[0, index[self.class_ids, self.absent[i][0]] + starts[:-1]] -= len(self.absent[i])  # all are alike

    def settle(self, bins: Bins, outside: Tensor, inside: Tensor) -> Tensor:
        """(C,) float64 this rank's sums of error times increment; the slope gets the derivatives by x.

        outside, inside (B,): increments of a pixel of weight 1.
        """
        begins, dtype = bins.starts.tolist(), self.x.dtype
        losses = torch.zeros(len(self.classes), dtype=torch.float64, device=self.x.device)
        for r in range(len(self.classes)):
            table = outside[begins[r] : begins[r + 1]].to(dtype)
            for piece in self.pieces(r):
                errors, slope = self.errors_of(self.x[piece], 0), table.index_select(0, self.index[piece])
                slope = slope if self.weight is None else slope.mul_(self.weight[piece[0], piece[2]])
                self.slope[piece] = torch.where(errors > 0, slope, 0) if self.hinge else slope
                losses[r] += slope.mul_(errors).sum()
        for i in range(len(self.x)):
            losses += self.settle_foreground(i, inside.to(dtype))
        return losses.new_zeros(self.x.shape[1]).index_copy_(0, self.class_ids, losses)

    def settle_foreground(self, i: int, inside: Tensor) -> Tensor:
        """(rows,) by what the sums change for pixels inside the class, or absent, whose slopes are set."""
        (row, at, errors, weight, place), absent = self.foreground[i], self.absent[i]
        x, slope = self.x[i].view(-1), self.slope[i].view(-1)
        increments = inside.index_select(0, place)
        increments = increments if weight is None else increments.mul_(weight)
        changes = (errors * increments).double()
        changes -= (self.errors_of(x.index_select(0, at), 0) * slope.index_select(0, at)).double()
        slope[at] = -(torch.where(errors > 0, increments, 0) if self.hinge else increments)
        changes = changes.new_zeros(len(self.classes)).index_add_(0, row, changes)
        if len(absent):
            one = self.class_ids, absent[0]
            changes -= len(absent) * (self.errors_of(self.x[i][one], 0) * self.slope[i][one]).double()
            self.slope[i].index_fill_(1, absent, 0)
        return changes


def count_rows(pixels: Pixels, total: int) -> Tensor:
    """(C,) float64 the sums of error times increment of the ``total`` pixels of all ranks; see ``Pixels.settle``."""
    number, device = len(pixels.classes), pixels.x.device
    if not number:
        return torch.zeros(pixels.x.shape[1], dtype=torch.float64, device=device)
    bins, parts = Bins.coarse(number, pixels.largest_key(), device), FIRST_PARTS
    counts = over_ranks(pixels.count(bins, None, range(number)), total)
    while True:
        course = Course(bins, counts)
        more = course.bits_to_split(bins, *pixels.edges(bins), pixels.slopes, pixels.weight is None, parts)
        rows = bins.row[more > 0].unique()
        if not len(rows):
            return add_over_ranks(pixels.settle(bins, *course.increments()))
        changed = torch.zeros(number, dtype=torch.bool, device=device)
        changed[rows] = True
        kept = counts[:, ~changed[bins.row]]
        bins, step = bins.split(more)
        counts, is_new = pixels.count(bins, step, rows.tolist()), changed[bins.row]
        counts[:, is_new], counts[:, ~is_new] = over_ranks(counts[:, is_new], total), kept
        parts = MORE_PARTS


def over_ranks(counts: Tensor, total: int) -> Tensor:
    """counts added over the ranks; ``total`` is the most that a whole one can be, and int32 if that will do."""
    if counts.is_floating_point() or total >= 2**31:
        return add_over_ranks(counts)
    return add_over_ranks(counts.int()).long()
