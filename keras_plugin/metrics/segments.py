"""Exact sums of integers by segment."""

from keras import backend, ops

from keras_plugin.typing import Tensor


def segment_sum(values: Tensor, ids: Tensor, n: int) -> Tensor:
    """int32 (n,): the sums of int32 values (P,) by their segments, int32 ids (P,) from 0 to n - 1."""
    if backend.backend() == 'torch':  # Keras adds in float32 there, exact up to 2^24 only, and fifty times slower
        return values.new_zeros(n).index_add_(0, ids, values)
    return ops.segment_sum(values, ids, num_segments=n)
