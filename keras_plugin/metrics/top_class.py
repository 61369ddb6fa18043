"""The class of the highest score of every pixel, and whether there is one, in one pass over the scores if possible."""

from keras import backend, ops

from keras_plugin.typing import Tensor

FEW = 32  # classes


def top_class(scores: Tensor) -> tuple[Tensor, Tensor]:
    """(ids, sound) of scores (..., C): int32 ids (the first of equals), and where no score is NaN or +inf nor all are -inf.

    The id of an unsound pixel means nothing.
    """
    if backend.backend() == 'torch':
        import torch

        top, ids = torch.max(scores, dim=-1)
        return ids.to(torch.int32), torch.isfinite(top)
    c = scores.shape[-1]
    if backend.backend() == 'jax':
        ids = _argmax_on_jax(scores)
        if c < FEW:  # the highest is NaN there if any is
            return ids, ops.isfinite(ops.take_along_axis(scores, ids[..., None], axis=-1)[..., 0])
    else:
        ids = ops.argmax(scores, axis=-1)
    # XLA's extremes do not pass on NaN, its sums do; the sum of float16 may overflow
    half = backend.standardize_dtype(scores.dtype) == 'float16'
    total = ops.sum(ops.cast(scores, 'float32') if half else scores, axis=-1)
    nowhere = ops.logical_and(ids == 0, scores[..., 0] == float('-inf'))
    return ids, ops.logical_and(total < float('inf'), ops.logical_not(nowhere))


def _argmax_on_jax(scores: Tensor) -> Tensor:
    """int32 ids of scores (..., C). The argmax of ``ops`` looks for -0 first.

    XLA takes an argmax over many classes eight times slower than a maximum, so it gets the maxima of groups of
    classes, the argmax of these, and then that of one group.
    """
    import jax

    c = scores.shape[-1]
    size = min((k for k in range(1, c) if c % k == 0), key=lambda k: abs(k * k - c), default=1)
    if c < FEW or size < 4:
        return jax.lax.argmax(scores, scores.ndim - 1, 'int32')
    groups = ops.reshape(scores, (-1, c // size, size))
    group = jax.lax.argmax(groups.max(-1), 1, 'int32')
    row = ops.arange(groups.shape[0], dtype='int32') * (c // size) + group
    inside = jax.lax.argmax(ops.reshape(scores, (-1, size))[row], 1, 'int32')
    return ops.reshape(group * size + inside, scores.shape[:-1])
