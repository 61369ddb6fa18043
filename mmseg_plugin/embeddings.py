"""What losses of embeddings share: labels at the places of an embedding, and rows of numbers that ranks put together."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_plugin.distributed import add_over_ranks, rank_and_size, sum_over_ranks
from shared_spec.extras import check_embedding, nearest
from shared_spec.typing import Shape


def checked_embedding(owner: str, embedding: object, pred: Shape, dtype: torch.dtype) -> Tensor:
    """(N, D, *space) in dtype; TypeError or ValueError for what is no embedding of a prediction of that shape."""
    if not torch.is_tensor(embedding):
        raise TypeError(f'{owner}: embedding must be a torch.Tensor, got {type(embedding).__name__}')
    check_embedding(owner, embedding.shape, embedding.is_floating_point(), embedding.dtype, pred, 'first')
    return embedding.to(dtype)


def at_places(x: Tensor, labelled: Sequence[int], space: Sequence[int]) -> Tensor:
    """(N, P') of x (N, P) over ``labelled``, at the places of an embedding over ``space``: the nearest before each."""
    if tuple(labelled) == tuple(space):
        return x
    x = x.reshape(len(x), *labelled)
    for axis, size in enumerate(space, start=1):
        x = x.index_select(axis, torch.tensor(nearest(size, x.shape[axis]), device=x.device))
    return x.flatten(1)


def first_slots(kept: Tensor, slots: int) -> tuple[Tensor, Tensor]:
    """(slots,) the places of the first ``slots`` that are kept, among (R,) bool, and whether there is one for a slot."""
    padded = torch.cat([kept, kept.new_zeros(slots)])
    order = (~padded).byte().argsort(stable=True)[:slots]
    return order.clamp(max=max(0, len(kept) - 1)), padded[order]


def counts_before(count: Tensor, sync: bool) -> tuple[Tensor, Tensor]:
    """(how much the ranks before this one have of a count, how much all have)."""
    rank, world = rank_and_size(sync)
    if world == 1:
        return torch.zeros_like(count), count
    of_ranks = count.new_zeros(world)
    of_ranks[rank] = count
    of_ranks = add_over_ranks(of_ranks)
    return of_ranks[:rank].sum(), of_ranks.sum()


def rows_of_ranks(rows: Tensor, valid: Tensor, fault: Tensor, sync: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (S, K) of which the first are valid, behind those of the ranks before: the first S of all, with gradients.

    With them which are valid, and whether any rank has a fault. Alike on every rank: what a loss makes of them has the
    gradient of one process on the joined batch.
    """
    if rank_and_size(sync)[1] == 1:
        return rows, valid, fault
    before, total = counts_before(valid.sum(), sync)
    place = torch.arange(len(rows), device=rows.device)
    mine = place - before
    own = (mine >= 0) & (mine < valid.sum())
    moved = torch.where(own[:, None], rows[mine.clamp(0, len(rows) - 1)], 0)
    parts = sum_over_ranks({'rows': moved, 'fault': fault.to(rows.dtype)}, sync)
    return parts['rows'], place < total, parts['fault'] > 0


def ranks_within(groups: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """(N, P) how many before a member are of its group, of groups (N, P) < number; (N, number) how many each has."""
    sizes = groups.new_zeros(len(groups), number).scatter_add(1, groups, torch.ones_like(groups))
    in_order, order = groups.sort(stable=True, dim=1)
    place = torch.arange(groups.shape[1], device=groups.device) - (sizes.cumsum(1) - sizes).gather(1, in_order)
    return torch.empty_like(groups).scatter_(1, order, place), sizes
