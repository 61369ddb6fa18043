"""The class of the highest score of every pixel, and whether there is one, in one pass over the scores if possible."""

from keras import backend, ops

from keras_plugin.typing import Tensor


def top_class(scores: Tensor) -> tuple[Tensor, Tensor]:
    """(ids, sound) of scores (..., C): int32 ids (the first of equals), and where no score is NaN or +inf nor all are -inf.

    The id of an unsound pixel means nothing.
    """
    c = scores.shape[-1]
    if backend.backend() == 'torch':
        import torch

        top, ids = torch.max(scores, dim=-1)
        return ids.to(torch.int32), torch.isfinite(top)
    if backend.backend() == 'jax':  # two reductions, which XLA does faster than one of pairs
        top = ops.max(scores, axis=-1, keepdims=True)
        ids = ops.min(ops.where(scores >= top, ops.arange(c, dtype='int32'), c), axis=-1)
        return ops.cast(ids, 'int32'), ops.isfinite(top[..., 0])
    # XLA's extremes do not pass on NaN under TensorFlow, its sums do; the sum of float16 may overflow
    ids = ops.argmax(scores, axis=-1)
    half = backend.standardize_dtype(scores.dtype) == 'float16'
    total = ops.sum(ops.cast(scores, 'float32') if half else scores, axis=-1)
    nowhere = ops.logical_and(ids == 0, scores[..., 0] == float('-inf'))
    return ids, ops.logical_and(total < float('inf'), ops.logical_not(nowhere))
