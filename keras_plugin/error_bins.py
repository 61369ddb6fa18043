"""What pixels add to a Jaccard loss when they turn wrong by falling error, from counts in fine bins: nothing is sorted.

The first bins are those of the leading bits of a float32. Twice each is divided where the increments change: by how much of
the union it adds, so that increments are right to a fraction of themselves, and by how far the steepest of them falls there,
so that the first pixels of a small class come to lie in bins of their own. Pixels of one bin share what they add together,
as if they took turns: the loss and its gradient are those of errors that differ by less than the width of a bin.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import backend, ops, tree

from keras_plugin.arithmetic import at_least, cumulative_sum, ratio, widest_dtype
from keras_plugin.typing import Tensor

INFINITY = int(np.float32(np.inf).view(np.int32))  # the largest bit pattern of a number that is not negative
FIRST = (INFINITY >> 16) + 1  # bins by the leading 16 bits; the place within a bin has 16 bits too
MORE = 2**14 - 1  # bins that a division adds for each of its two reasons: a bin becomes 2^15 - 1 at most
DIVISIONS = 2
LAST = FIRST + DIVISIONS * (2 * MORE + 2)  # bins in the end


class Curve(NamedTuple):
    """A row's K bins by falling error: weight (K,) in each, and at their K + 1 edges what is left of the class and how
    large the union of the class and of what is taken for it has become."""

    weight: Tensor
    left: Tensor
    union: Tensor

    def slope(self) -> Tensor:
        """(K + 1,) 1 / union, or 0."""
        return ratio(ops.ones_like(self.union), self.union, 0.0)


def increments_in_bins(errors: Tensor, signed: Tensor, weighted: bool) -> Tensor:
    """(P,) float32 as ``lovasz.jaccard_increments`` has them, of one row; weighted: whether weights are others than 0 and 1.

    Not a number where a weight is none.
    """
    weight, in_class = ops.abs(signed), ops.cast(signed > 0, 'int32')
    terms = in_units(weight) if weighted else [(ops.cast(weight > 0, 'int32'), 1)]
    real = widest_dtype(weight)
    falling = INFINITY - ops.clip(bits_of_float(errors), 0, INFINITY)  # what is no number has to lie somewhere
    bin_, within = split_bits(falling)
    place = bin_ + in_class * LAST  # the pixels of the class have tables of their own, behind those of the others
    for _ in range(DIVISIONS):
        parts = parts_of_bins(curve(place, terms, real))
        first = ops.cumsum(parts) - parts
        part, within = split_bits(look_up(ops.concatenate([parts, parts]), place) * within)
        place = look_up(ops.concatenate([first, first + LAST]), place) + part
    return weight * look_up(ops.cast(increments_of_bins(curve(place, terms, real)), errors.dtype), place)


def curve(place: Tensor, terms: Sequence[tuple[Tensor, Tensor | int]], real: str) -> Curve:
    """The ``Curve`` of pixels (P,) at their places, whose weights are the sums of terms times units, in the dtype ``real``."""
    found = []
    for x, unit in terms:
        sums = ops.reshape(sum_by_place(place, x, 2 * LAST), (2, LAST))
        wrong = ops.pad(cumulative_sum(sums), ((0, 0), (1, 0)))
        total = wrong[1, -1]
        parts = sums[0] + sums[1], total - wrong[1], total + wrong[0]
        found.append([ops.cast(part, real) * ops.cast(unit, real) for part in parts])
    return Curve(*(sum(parts[1:], parts[0]) for parts in zip(*found)))


def in_units(weight: Tensor) -> list[tuple[Tensor, Tensor | int]]:
    """Weights as whole numbers of a unit, int32, and what is left of them: many equal ones add up wrongly in float32."""
    weight = ops.where(weight >= 0, weight, ops.zeros_like(weight))  # what is no number is none in the increments
    unit = ops.max(weight) * (ops.cast(ops.shape(weight)[0], weight.dtype) / 2**30)
    units = ops.floor(ratio(weight, unit * ops.ones_like(weight), 0.0))
    return [(ops.cast(units, 'int32'), unit), (weight - units * unit, 1)]


def parts_of_bins(c: Curve) -> Tensor:
    """(K,) int32: how many bins each becomes, 0 where it is empty."""
    slope = c.slope()
    steepest = slope + c.left * slope**2  # of a pixel of the class and of another one
    fall = at_least(steepest[:-1] - steepest[1:], 0)
    growth = c.weight * slope[1:]
    adds = ops.logical_or(c.left > 0, c.union <= 0)[:-1]  # an absent class has all of its increments in one bin
    parts = ops.cast(c.weight > 0, 'int32')
    for share in (growth, fall):
        share = ops.where(adds, share, ops.zeros_like(share))
        largest_share = ratio(MORE * ops.ones_like(share), ops.sum(share), 0.0)
        parts = parts + ops.cast(ops.floor(share * largest_share), 'int32')
    return parts


def increments_of_bins(c: Curve) -> Tensor:
    """(2 K,): what a pixel of weight 1 adds, by its bin, first of the others, then of the class.

    Half of it as if the bin's others turned wrong first, half as if its pixels of the class did: what the bin adds
    is what the Jaccard loss grows by, and no two close numbers are subtracted.
    """
    slope = c.slope()
    before, behind = slope[:-1], slope[1:]
    others = ops.where(c.union[:-1] > 0, (c.left[:-1] + c.left[1:]) / 2 * before * behind, behind)
    return ops.concatenate([others, (before + behind) / 2])


def sum_by_place(places: Tensor, x: Tensor, size: int) -> Tensor:
    """(size,) the sums of x (P,) by place, in x's own dtype."""
    if backend.backend() == 'torch':  # whose ops.segment_sum takes many times as long
        return x.new_zeros(size).index_add_(0, places, x)
    return ops.segment_sum(x, places, num_segments=size)


def look_up(table: Tensor, places: Tensor) -> Tensor:
    """(P,) the entries of a table (K,) at places of it; no place is looked at twice, as ``ops.take`` does."""
    if backend.backend() == 'torch':
        return table.index_select(0, places)
    if backend.backend() == 'jax':
        return table.at[places].get(mode='promise_in_bounds')
    import tensorflow as tf

    return tf.gather(table, places)


def split_bits(x: Tensor) -> tuple[Tensor, Tensor]:
    """The upper and the lower 16 bits of int32 >= 0."""
    if backend.backend() != 'tensorflow':
        return x >> 16, x & 0xFFFF
    import tensorflow as tf

    return tf.bitwise.right_shift(x, 16), tf.bitwise.bitwise_and(x, 0xFFFF)


def bits_of_float(x: Tensor) -> Tensor:
    """The int32 whose bits are those of x, a float32: of numbers >= 0 they have the same order."""
    if backend.backend() == 'torch':
        import torch

        return x.view(torch.int32)
    if backend.backend() == 'jax':
        import jax

        return jax.lax.bitcast_convert_type(x, 'int32')
    import tensorflow as tf

    return tf.bitcast(x, tf.int32)


def map_rows(function: Callable[..., Any], *rows: Tensor) -> Any:
    """``function`` of each row of ``rows``, one after the other, its tensors stacked."""
    if backend.backend() == 'torch':
        return tree.map_structure(lambda *parts: ops.stack(parts), *(function(*row) for row in zip(*rows)))
    return ops.map(lambda row: function(*row), rows)
