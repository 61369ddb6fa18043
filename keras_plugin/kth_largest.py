"""The k-th largest of many numbers, exactly, without sorting, which XLA does slowly: its bits are found one after the other."""

from typing import NamedTuple

from keras import backend, ops

from keras_plugin.error_bins import bits_of_float
from keras_plugin.typing import Tensor

BITS = {'int32': 32, 'int64': 64}


class Edge(NamedTuple):
    """The k-th largest key; ``left`` of the ``tied`` that are equal to it are among the k largest."""

    key: Tensor
    left: Tensor
    tied: Tensor


def keys_of(x: Tensor) -> Tensor:
    """Integers in the order of x, float32 or float64, and as wide; -0 and 0 are one, NaN is above all."""
    bits = bits_of_float(x)
    low, high = (constant(limit, bits) for limit in limits_of(bits))
    return ops.where(ops.isnan(x), high, ops.where(bits < 0, low - bits, bits))


def kth_largest(keys: Tensor, counts: Tensor, k: Tensor) -> Edge:
    """The k-th largest key (M,) of those that ``counts`` (M,); k an int32 of at least 1 and at most their number."""
    bits, low = BITS[backend.standardize_dtype(keys.dtype)], limits_of(keys)[0]
    steps = constant([low, *(2**bit for bit in range(bits - 2, -1, -1))], keys)

    def refine(i: Tensor, found: Tensor) -> Tensor:
        """The next bit: the smallest number with a sign added to itself is 0."""
        higher = found + ops.take(steps, i)
        return ops.where(number_of(ops.logical_and(counts, keys >= higher)) >= k, higher, found)

    key = ops.fori_loop(0, bits, refine, constant(low, keys))
    above, tied = (number_of(ops.logical_and(counts, x)) for x in (keys > key, keys == key))
    return Edge(key, k - above, tied)


def number_of(which: Tensor) -> Tensor:
    """How many are True, int32."""
    return ops.sum(ops.cast(which, 'int32'))


def limits_of(keys: Tensor) -> tuple[int, int]:
    """The smallest and the largest number that keys may have."""
    half: int = 2 ** (BITS[backend.standardize_dtype(keys.dtype)] - 1)
    return -half, half - 1


def constant(x: int | list[int], like: Tensor) -> Tensor:
    """A number, or several, in the dtype of ``like``; by no array of NumPy, which torch.compile does not take."""
    return ops.convert_to_tensor(x, dtype=backend.standardize_dtype(like.dtype))


def share_of_number(n: Tensor, numerator: int, denominator: int) -> Tensor:
    """floor(n * numerator / denominator) of int32, exactly: n * numerator may be larger than any.

    As by hand: of whole multiples of the denominator directly, of the rest one bit of the numerator after the other.
    Both are at most 10^8.
    """
    whole, rest = n // denominator, n % denominator
    found = remainder = ops.zeros_like(n)
    for bit in f'{numerator:b}':
        remainder = 2 * remainder + int(bit) * rest
        found = 2 * found + remainder // denominator
        remainder = remainder % denominator
    return whole * numerator + found
