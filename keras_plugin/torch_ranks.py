"""The ranks of a PyTorch job, where Keras runs on PyTorch and DistributedDataParallel wraps the model."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import distributed
from torch.nn import functional


def ranks() -> 'Ranks | None':
    """The ``Ranks`` of this process, or None where it is alone."""
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return None
    return Ranks()


class SumOverRanks(torch.autograd.Function):
    """All-reduce whose backward needs no second collective.

    Every rank computes the same derivative of the sum, and DDP averages the ranks' gradients: each hands back
    world_size times that derivative, together the gradient of one process on the joined batch.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            raise RuntimeError(
                'the gradient of a loss that ranks add up (sync=True) cannot be differentiated again: no rank has the '
                'second derivatives of the others; take the first without create_graph=True, or sync=False'
            )
        return grad * distributed.get_world_size()


class Ranks:
    """What a rank asks of the others."""

    def __init__(self) -> None:
        self.number, self.rank = distributed.get_world_size(), distributed.get_rank()

    def sum(self, vector: torch.Tensor) -> torch.Tensor:
        return SumOverRanks.apply(vector)

    def gather(
        self, rows: Sequence[torch.Tensor]
    ) -> tuple[Sequence[torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]:
        """See ``typing.Partners``; the rows end in pixels of weight 0 for ranks with fewer than the largest."""
        rank, world, pixels = distributed.get_rank(), distributed.get_world_size(), rows[0].shape[1]
        sizes = torch.eye(world, dtype=torch.long, device=rows[0].device)[rank] * pixels
        distributed.all_reduce(sizes)
        largest = max(sizes.tolist())
        own = functional.pad(torch.stack(list(rows)), (0, largest - pixels)).detach()
        parts = [torch.empty_like(own) for _ in range(world)]
        distributed.all_gather(parts, own)
        return torch.cat(parts, 2).unbind(), lambda x: x[:, rank * largest :][:, :pixels]
