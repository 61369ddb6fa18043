"""The topological term of a prediction in PyTorch: persistent homology on the host, its gradient at single pixels."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from shared_spec.quick_topology import terms_and_slopes


def topology_terms(prob: Tensor, target: Tensor, counts: Tensor, cells: Tensor, dimensions: Sequence[int]) -> Tensor:
    """(N, C) the squared Wasserstein distance between the diagrams of 1 - prob and 1 - target; 0 where ``cells`` is False.

    prob and target (N, C, *space), counts (N, *space) and cells (N, C) bool. The gradient by prob is that of the matching
    and of the births and deaths at hand, which are found on the CPU.
    """
    terms, slopes = on_host(prob.detach(), target, counts, cells, list(dimensions))
    return terms + ((prob - prob.detach()) * slopes).flatten(2).sum(2)


def computed(
    prob: Tensor, target: Tensor, counts: Tensor, cells: Tensor, dimensions: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Terms (N, C) and their derivatives by prob (N, C, *space), on the device of prob and in its dtype."""
    p, y, valid, chosen = (x.detach().cpu().numpy() for x in (prob, target, counts, cells))
    terms, slopes = terms_and_slopes(p, y, valid, chosen, dimensions)
    return of_array(terms, prob), of_array(slopes, prob)


def of_array(x: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(x).to(like.device, like.dtype)


if hasattr(torch.library, 'custom_op'):  # one operator for torch.compile, which cannot look into it

    @torch.library.custom_op('segparity::topology_terms', mutates_args=())
    def on_host(
        prob: Tensor, target: Tensor, counts: Tensor, cells: Tensor, dimensions: list[int]
    ) -> tuple[Tensor, Tensor]:
        """``computed``."""
        return computed(prob, target, counts, cells, dimensions)

    @on_host.register_fake
    def _(prob: Tensor, target: Tensor, counts: Tensor, cells: Tensor, dimensions: list[int]) -> tuple[Tensor, Tensor]:
        return prob.new_empty(cells.shape), torch.empty_like(prob, memory_format=torch.contiguous_format)

else:  # PyTorch below 2.4, whose compiled graphs break here
    on_host = torch.compiler.disable(computed)
