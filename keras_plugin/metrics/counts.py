"""Pairs of id maps -> tp, fp, fn of every class of every image, in Keras."""

from keras import ops

from keras_plugin.metrics.segments import segment_sum
from keras_plugin.typing import Tensor


def pair_counts(target: Tensor, pred: Tensor, c: int) -> Tensor:
    """int32 (N, C, 3) tp, fp, fn of int32 id maps (N, P), in which ``c`` is no class: neither right nor wrong."""
    n = ops.shape(target)[0]
    place = ops.expand_dims(ops.arange(n, dtype='int32'), 1)
    cell = ops.reshape((place * (c + 1) + target) * (c + 1) + pred, (-1,))
    table = segment_sum(ops.ones_like(cell), cell, n * (c + 1) * (c + 1))
    table = ops.reshape(table, (n, c + 1, c + 1))
    tp = ops.sum(table[:, :c, :c] * ops.eye(c, dtype='int32'), axis=2)
    fp = ops.sum(table[:, :, :c], axis=1) - tp
    fn = ops.sum(table[:, :c], axis=2) - tp
    return ops.cast(ops.stack([tp, fp, fn], axis=2), 'int32')
