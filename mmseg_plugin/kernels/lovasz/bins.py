"""Bins of float32 errors, and how they are split: intervals of int32 keys that have the order of the errors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

COARSE = 20  # bits of a float32 number that the first bins leave out: there are eight of them to an octave


class Step(NamedTuple):
    """How a pixel that is in bin b finds its bin after a split: (key >> shift[b]) + offset[b], both counted in its row.

    shift, offset (B,) int32; starts: those of the bins that were split.
    """

    shift: Tensor
    offset: Tensor
    starts: Tensor

    def of_rows(self) -> list[tuple[Tensor, Tensor]]:
        """(shift, offset) of each row."""
        sizes = self.starts.diff().tolist()
        return list(zip(self.shift.split(sizes), self.offset.split(sizes)))


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

    def of_rows(self, chosen: Tensor) -> Bins:
        """The bins of the chosen rows, (rows,) bool, which are numbered anew."""
        own = chosen.index_select(0, self.row)
        sizes = self.starts.diff()[chosen]
        row = torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)
        starts = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        return Bins(row, self.low[own], self.bits[own], starts)

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
