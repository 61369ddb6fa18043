"""The k-th largest of many numbers, exactly, without sorting or gathering them: by counts of one byte after the other.

Numbers become integers of the same order, of which the leading byte is counted first, then the next one of those that
share it. The counts are all that ranks of a data-parallel job add up, and k may be a tensor: no device is waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from mmseg_plugin.distributed import add_over_ranks, rank_and_size
from mmseg_plugin.kernels import workers
from mmseg_plugin.values import can_look

BYTE = 8
VALUES = 2**BYTE
INTEGERS = {torch.float32: torch.int32, torch.float64: torch.int64}
FLOATS = {integers: floats for floats, integers in INTEGERS.items()}
PIECE = 2**18  # numbers that a core counts at a time


class Edge(NamedTuple):
    """The k-th largest of ``of`` keys; ``left`` of the ``tied`` that are equal to it are among the k largest."""

    key: Tensor
    left: Tensor
    tied: Tensor
    of: Tensor


def keys_of(x: Tensor) -> Tensor:
    """Integers in the order of x, float32 or float64, and as wide; -0 and 0 are one, NaN is above all."""
    dtype = INTEGERS[x.dtype]
    bits, limits = x.detach().view(dtype), torch.iinfo(dtype)
    return torch.where(bits < 0, limits.min - bits, bits).masked_fill_(x.isnan(), limits.max)


def kth_largest(keys: Tensor, counts: Tensor, k: Callable[[Tensor], Tensor], sync: bool) -> Edge:
    """The k-th largest key (M,) of those that ``counts`` (M,), of all ranks under ``sync``; k of their number."""
    bits = torch.iinfo(keys.dtype).bits
    prefix = left = tied = number = keys.new_zeros((), dtype=torch.int64)
    for shift in range(bits - BYTE, -1, -BYTE):
        first = shift == bits - BYTE
        found = count_bytes(keys, counts, shift, None if first else prefix, sync)
        at_least = found.flip(0).cumsum(0).flip(0)  # how many have this byte or a larger one
        if first:
            number = at_least[0]
            left = torch.minimum(k(number), number)
        byte = (at_least >= left).sum() - 1
        tied = found.take(byte)
        left = left - (at_least.take(byte) - tied)
        prefix = byte - VALUES // 2 if first else prefix * VALUES + byte
    return Edge(prefix, left, tied, number)


def count_bytes(keys: Tensor, counts: Tensor, shift: int, prefix: Tensor | None, sync: bool) -> Tensor:
    """(256,) how many keys have each value in the byte from bit ``shift`` on, of those that begin with ``prefix``."""
    quick = can_look(keys)
    step = PIECE if quick and keys.is_cpu else max(1, keys.numel())

    def of_piece(start: int) -> Tensor:
        piece, out = keys[start : start + step], ~counts[start : start + step]
        if prefix is None:
            byte = (piece >> shift) + VALUES // 2
        else:
            byte, out = (piece >> shift) & (VALUES - 1), out | ((piece >> (shift + BYTE)) != prefix)
        byte = torch.where(out, VALUES, byte)
        if quick:
            return byte.bincount(minlength=VALUES + 1)
        byte = byte.long()
        return byte.new_zeros(VALUES + 1).scatter_add(0, byte, torch.ones_like(byte))

    found = torch.stack(list(workers.each(of_piece, range(0, max(1, len(keys)), step), keys.is_cpu))).sum(0)[:VALUES]
    return add_over_ranks(found) if rank_and_size(sync)[1] > 1 else found
