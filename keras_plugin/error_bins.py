"""What pixels add to a Jaccard loss when they turn wrong by falling error, from counts in fine bins: nothing is sorted.

The first bins are those of the leading bits of a float32. Twice each is divided where the increments change: by how much of
the union it adds, so that increments are right to a fraction of themselves, and by how far the steepest of them falls there,
so that the first pixels of a small class come to lie in bins of their own. Pixels of one bin share what they add together,
as if they took turns: the loss and its gradient are those of errors that differ by less than the width of a bin.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from keras import backend, ops

from keras_plugin.arithmetic import at_least, cumulative_sum, ratio, widest_dtype
from keras_plugin.typing import Tensor

INFINITY = int(np.float32(np.inf).view(np.int32))  # the largest bit pattern of a number that is not negative
LOWER = 17  # bits of a place within a bin
FIRST = (INFINITY >> LOWER) + 1  # bins by the bits above
MORE = 2**13 - 1  # bins that a division adds for each of its two reasons: a bin becomes 2^14 - 1 at most
DIVISIONS = 2
LAST = FIRST + DIVISIONS * (2 * MORE + 2)  # bins in the end


class Pixels(NamedTuple):
    """Pixels (P,) of a row, by falling error: ``place``, the bin, or for those of the class the bin + LAST; ``within`` the
    bin from 0 to 2^16; ``terms``: weights as a sum of numbers times units."""

    place: Tensor
    within: Tensor
    terms: Sequence[tuple[Tensor, Tensor | int]]


class Curve(NamedTuple):
    """A row's K bins: weight (K,) in each, and at their K + 1 edges what is left of the class and how large the union of
    the class and of what is taken for it has become."""

    weight: Tensor
    left: Tensor
    union: Tensor


Sums = tuple[Tensor, Tensor]  # of error times increment, and their derivatives


def solve_in_bins(
    x: Tensor,
    signed: Tensor,
    weighted: bool,
    errors: Callable[[Tensor, Tensor], Tensor],
    sums: Callable[[Tensor, Tensor, Tensor], Sums],
) -> Sums:
    """(rows,) and (rows, P): ``sums(x, signed, increments)`` of each row, with increments as sorting would have them.

    x (rows, P) float32 with ``errors(x, signed)``; signed (rows, P): the weight of a pixel, negative outside the class,
    and not a number where increments are to be none; weighted: whether weights are others than 0 and 1.
    """
    real, weight = widest_dtype(x), numbers(ops.abs(signed)) if weighted else None
    unit = None if weight is None else ops.max(weight) * (ops.cast(ops.shape(x)[1], x.dtype) / 2**30)

    def solve(x: Tensor, signed: Tensor) -> Sums:
        pixels = in_first_bins(errors(x, signed), signed, unit)
        for _ in range(DIVISIONS):
            parts = parts_of_bins(curve(pixels, real))
            pixels = in_parts(pixels, parts, ops.cumsum(parts) - parts)
        table = ops.cast(increments_of_bins(curve(pixels, real)), x.dtype)
        return sums(x, signed, ops.abs(signed) * look_up(table, pixels.place))

    return map_rows(solve, x, signed)


def in_first_bins(errors: Tensor, signed: Tensor, unit: Tensor | None) -> Pixels:
    """``Pixels`` in bins of equal leading bits; of no error where it is no number, and of no weight where that is none.

    unit: what weights are whole numbers of, but for a rest that is small: many equal ones add up wrongly in float32.
    None: weights are 0 or 1.
    """
    inside = ops.cast(signed > 0, 'int32')
    bin_, within = split_bits(INFINITY - ops.clip(bits_of_float(errors), 0, INFINITY))
    if unit is None:
        return Pixels(bin_ + inside * LAST, within, [(ops.cast(signed != 0, 'int32'), 1)])
    weight = numbers(ops.abs(signed))
    units = ops.floor(ratio(weight, unit * ops.ones_like(weight), 0.0))
    return Pixels(bin_ + inside * LAST, within, [(ops.cast(units, 'int32'), unit), (weight - units * unit, 1)])


def in_parts(pixels: Pixels, parts: Tensor, first: Tensor) -> Pixels:
    """The ``Pixels`` after each bin has become ``parts`` bins, from the ``first`` on."""
    part, within = split_bits(look_up(ops.concatenate([parts, parts]), pixels.place) * pixels.within)
    return Pixels(look_up(ops.concatenate([first, first + LAST]), pixels.place) + part, within, pixels.terms)


def curve(pixels: Pixels, real: str) -> Curve:
    """The ``Curve`` of the pixels of a row, in the dtype ``real``."""
    found = []
    for x, unit in pixels.terms:
        sums = ops.reshape(sum_by_place(pixels.place, x, 2 * LAST), (2, LAST))
        wrong = ops.pad(cumulative_sum(sums), ((0, 0), (1, 0)))
        total = wrong[1, -1]
        parts = sums[0] + sums[1], total - wrong[1], total + wrong[0]
        found.append([ops.cast(part, real) * ops.cast(unit, real) for part in parts])
    return Curve(*(sum(parts[1:], parts[0]) for parts in zip(*found, strict=True)))


def slope_of(c: Curve) -> Tensor:
    """(K + 1,) 1 / union, or 0."""
    return ratio(ops.ones_like(c.union), c.union, 0.0)


def parts_of_bins(c: Curve) -> Tensor:
    """(K,) int32: how many bins each becomes, 0 where it is empty."""
    slope = slope_of(c)
    steepest = slope + c.left * slope**2  # of a pixel of the class and of another one
    fall = at_least(steepest[:-1] - steepest[1:], 0)
    growth = c.weight * slope[1:]
    adds = ops.logical_or(c.left > 0, c.union <= 0)[:-1]  # an absent class has all of its increments in one bin
    parts = ops.cast(c.weight > 0, 'int32')
    for share in (growth, fall):
        share = ops.where(adds, share, ops.zeros_like(share))
        scale = ratio(MORE * ops.ones_like(share), ops.sum(share), 0.0)
        parts = parts + ops.cast(ops.floor(share * scale), 'int32')
    return parts


def increments_of_bins(c: Curve) -> Tensor:
    """(2 K,): what a pixel of weight 1 adds, by its bin, first of the others, then of the class.

    Half of it as if the bin's others turned wrong first, half as if its pixels of the class did: what the bin adds
    is what the Jaccard loss grows by, and no two close numbers are subtracted.
    """
    slope = slope_of(c)
    before, behind = slope[:-1], slope[1:]
    others = ops.where(c.union[:-1] > 0, (c.left[:-1] + c.left[1:]) / 2 * before * behind, behind)
    return ops.concatenate([others, (before + behind) / 2])


def numbers(x: Tensor) -> Tensor:
    """x with 0 in place of what is no number."""
    return ops.where(x == x, x, ops.zeros_like(x))


def sum_by_place(places: Tensor, x: Tensor, size: int) -> Tensor:
    """(size,) the sums of x (P,) by place, in x's own dtype."""
    if backend.backend() == 'torch':  # whose ops.segment_sum takes many times as long
        return x.new_zeros(size).index_add_(0, places, x)
    return ops.segment_sum(x, places, num_segments=size)


def look_up(table: Tensor, places: Tensor) -> Tensor:
    """(P,) the entries of a table (K,) at places within it, which ``ops.take`` would look for outside too."""
    if backend.backend() == 'torch':
        return table.index_select(0, places)
    if backend.backend() == 'jax':
        return table.at[places].get(mode='promise_in_bounds')
    import tensorflow as tf

    return tf.gather(table, places)


def split_bits(x: Tensor) -> tuple[Tensor, Tensor]:
    """The bits of int32 >= 0 above the ``LOWER`` ones, and those."""
    if backend.backend() != 'tensorflow':
        return x >> LOWER, x & (2**LOWER - 1)
    import tensorflow as tf

    return tf.bitwise.right_shift(x, LOWER), tf.bitwise.bitwise_and(x, 2**LOWER - 1)


def bits_of_float(x: Tensor) -> Tensor:
    """The int32 whose bits are those of x, a float32, or int64 of float64: of numbers >= 0 they have the same order."""
    width = 'int64' if backend.standardize_dtype(x.dtype) == 'float64' else 'int32'
    if backend.backend() == 'torch':
        import torch

        return x.view(getattr(torch, width))
    if backend.backend() == 'jax':
        import jax

        return jax.lax.bitcast_convert_type(x, width)
    import tensorflow as tf

    return tf.bitcast(x, getattr(tf, width))


def map_rows(solve: Callable[[Tensor, Tensor], Sums], x: Tensor, signed: Tensor) -> Sums:
    """``solve`` of each row of x and signed, one after the other, its results stacked."""
    if backend.backend() != 'torch':
        return ops.map(lambda row: solve(*row), (x, signed))
    return map_rows_of_torch(solve, x.contiguous(), signed)  # a transposed view is slow to read


def map_rows_of_torch(solve: Callable[[Tensor, Tensor], Sums], x: Tensor, signed: Tensor) -> Sums:
    """``map_rows`` by as many threads as PyTorch has, each of which works alone: short common work makes them wait."""
    import torch

    sums, slopes = x.new_zeros(len(x)), torch.empty_like(x)  # and no second copy of all derivatives

    def fill(k: int) -> None:
        sums[k], slopes[k] = solve(x[k], signed[k])

    threads = torch.get_num_threads()
    if min(threads, len(x)) <= 1 or x.device.type != 'cpu' or torch.compiler.is_compiling():
        for k in range(len(x)):
            fill(k)
        return sums, slopes
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(fill, range(len(x))))
    finally:
        torch.set_num_threads(threads)  # which threads to come start with
    return sums, slopes
