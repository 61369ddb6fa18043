"""Sums over the ranks of a data-parallel job that keep their gradients, and what ranks gather without one."""

from typing import Any

import torch
from torch import Tensor, distributed

AGAIN = (
    'the gradient of a loss that ranks add up (sync=True) cannot be differentiated again: no rank has the second '
    'derivatives of the others; take the first without create_graph=True, or sync=False'
)


class _SumOverRanks(torch.autograd.Function):
    """All-reduce whose backward needs no second collective.

    Every rank computes the same derivative of the summed statistics. DDP averages the ranks' parameter gradients, so
    each rank hands back world_size times that derivative: together exactly the gradient of one process on the joined
    batch.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise RuntimeError(AGAIN)
        return grad * distributed.get_world_size()


def rank_and_size(sync: bool) -> tuple[int, int]:
    """(rank, number of ranks) of this process among those that train together; (0, 1) for one, or without ``sync``."""
    if sync and distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def sum_over_ranks(parts: dict[str, Tensor], sync: bool) -> dict[str, Tensor]:
    """``parts`` (name -> tensor) added over the ranks in one all-reduce of one vector; unchanged for one process."""
    if rank_and_size(sync)[1] == 1:
        return parts
    vector = _SumOverRanks.apply(torch.cat([x.reshape(-1) for x in parts.values()]))
    pieces = vector.split([x.numel() for x in parts.values()])
    return {name: piece.reshape(x.shape) for (name, x), piece in zip(parts.items(), pieces)}


def add_over_ranks(x: Tensor) -> Tensor:
    """``x`` added over the ranks, without a gradient."""
    x = x.contiguous()
    distributed.all_reduce(x)
    return x


def gather(x: Tensor) -> list[Tensor]:
    """What each rank has as ``x``, of one shape everywhere, in the order of the ranks; without a gradient."""
    parts = [torch.empty_like(x) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, x)
    return parts
