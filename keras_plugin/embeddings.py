"""What losses of embeddings share: labels at the places of an embedding, and rows of numbers that replicas put together.

Everything has a shape that is known before any value is.
"""

from typing import Any

import numpy as np
from keras import backend, ops

from keras_plugin import values
from keras_plugin.distributed import partners, sum_over_replicas
from keras_plugin.typing import Tensor
from shared_spec.extras import check_embedding, nearest
from shared_spec.typing import Shape

ODD = 1103515245, 12345  # by which, and from where, places are scattered; products of int32 wrap around


def checked_embedding(owner: str, embedding: Any, pred: Shape, dtype: str) -> Tensor:
    """(N, *space, D) in dtype; TypeError or ValueError for what is no embedding of a prediction of that shape."""
    embedding = values.to_tensor(embedding)
    kind = backend.standardize_dtype(embedding.dtype)
    check_embedding(owner, tuple(embedding.shape), backend.is_float_dtype(kind), kind, pred, 'last')
    return ops.cast(embedding, dtype)


def at_places(x: Tensor, labelled: tuple[Any, ...], space: tuple[Any, ...]) -> Tensor:
    """(N, P') of x (N, P) over ``labelled``, at the places of an embedding over ``space``: the nearest before each."""
    x = ops.reshape(x, (-1, *labelled))
    for axis, (size, of) in enumerate(zip(space, labelled), start=1):
        if isinstance(size, int) and isinstance(of, int):
            if size != of:
                x = ops.take(x, np.array(nearest(size, of), 'int32'), axis=axis)
        else:
            x = ops.take(x, ops.minimum(ops.arange(size, dtype='int32') * of // size, of - 1), axis=axis)
    return ops.reshape(x, (ops.shape(x)[0], -1 if None in x.shape[1:] else int(np.prod(x.shape[1:]))))


def first_slots(kept: Tensor, slots: int) -> tuple[Tensor, Tensor]:
    """(slots,) the places of the first ``slots`` that are kept, among (R,) bool, and whether there is one for a slot."""
    padded = ops.concatenate([kept, ops.zeros((slots,), dtype='bool')])
    order = ops.argsort(ops.cast(ops.logical_not(padded), 'int32'))[:slots]
    return order, ops.take(padded, order)


def counts_before(count: Tensor, sync: bool) -> tuple[Tensor, Tensor]:
    """(how much the replicas before this one have of a count, how much all have); int32."""
    others = partners(sync)
    count = ops.cast(count, 'int32')
    if others is None:
        return ops.zeros_like(count), count
    place = ops.arange(others.number, dtype='int32')
    own = ops.cast(place == others.rank, 'float32') * ops.cast(count, 'float32')
    of_all = ops.cast(ops.stop_gradient(others.sum(own)), 'int32')
    return ops.sum(ops.where(place < others.rank, of_all, ops.zeros_like(of_all))), ops.sum(of_all)


def rows_of_replicas(rows: Tensor, valid: Tensor, fault: Tensor, sync: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (S, K) of which the first are valid, behind those of the replicas before: the first S of all, with gradients.

    With them which are valid, and whether any replica has a fault. Alike on every replica: what a loss makes of them has
    the gradient of one device on the joined batch.
    """
    if partners(sync) is None:
        return rows, valid, fault
    number = ops.sum(ops.cast(valid, 'int32'))
    before, total = counts_before(number, sync)
    place = ops.arange(rows.shape[0], dtype='int32')
    mine = place - before
    own = ops.logical_and(mine >= 0, mine < number)
    moved = ops.take(rows, ops.clip(mine, 0, rows.shape[0] - 1), axis=0)
    moved = ops.where(own[:, None], moved, ops.zeros_like(moved))
    parts = sum_over_replicas({'rows': moved, 'fault': ops.cast(ops.reshape(fault, (1,)), rows.dtype)}, sync)
    return parts['rows'], place < total, parts['fault'][0] > 0


def ranks_within(groups: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """(N, P) how many before a member are of its group, of groups (N, P) < number; (N, number) how many each has."""
    kinds = ops.arange(number, dtype='int32')
    sizes = ops.sum(ops.cast(groups[:, :, None] == kinds, 'int32'), axis=1)
    order = ops.argsort(groups, axis=1)
    in_order = ops.take_along_axis(groups, order, axis=1)
    start = ops.take_along_axis(ops.cumsum(sizes, axis=1) - sizes, in_order, axis=1)
    place = ops.arange(ops.shape(groups)[1], dtype='int32') - start
    return ops.take_along_axis(place, ops.argsort(order, axis=1), axis=1), sizes


def scattered(count: Any, x: Tensor) -> Tensor:
    """(count,) int32, an order of places that looks random and is another one for other numbers x."""
    x = ops.stop_gradient(x)
    share = ops.abs(ops.mean(x)) / (ops.mean(ops.abs(x)) + 1e-30) * 4096
    salt = ops.cast((share - ops.floor(share)) * 2**24, 'int32')
    h = ops.arange(count, dtype='int32') * ODD[0] + salt * ODD[1] + 1
    for _ in range(3):
        h = h * (2 * h + 1)  # one to one, and the high bits depend on all
        h = h * ODD[0] + salt
    return h
