"""Sums over the ranks of a data-parallel job that keep their gradients."""

import torch
from torch import distributed


class _SumOverRanks(torch.autograd.Function):
    """All-reduce whose backward needs no second collective.

    Every rank computes the same derivative of the summed statistics. DDP averages the ranks' parameter gradients, so
    each rank hands back world_size times that derivative: together exactly the gradient of one process on the joined
    batch.
    """

    @staticmethod
    def forward(ctx, x):
        ctx.world_size = distributed.get_world_size()
        x = x.clone()
        distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.world_size


def sum_over_ranks(parts, sync):
    """``parts`` (name -> tensor) added over the ranks in one all-reduce of one vector; unchanged for one process."""
    if not (sync and distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return parts
    vector = _SumOverRanks.apply(torch.cat([x.reshape(-1) for x in parts.values()]))
    pieces = vector.split([x.numel() for x in parts.values()])
    return {name: piece.reshape(x.shape) for (name, x), piece in zip(parts.items(), pieces)}
