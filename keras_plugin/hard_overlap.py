"""tp, fp, fn of class ids and probabilities, or logits: no one-hot array, one array as large as the predictions, an analytic gradient.

What belongs to a pixel's own class lives on the pixels. The array holds the probabilities of the other classes, so that
few wrong pixels among many survive, and becomes the gradient.
"""

from __future__ import annotations

from collections.abc import Callable

from keras import ops

from keras_plugin.hard_pixels import add_by_class, asked_again, at_own, over_classes, over_pixels
from keras_plugin.inputs import Batch
from keras_plugin.typing import Tensor
from keras_plugin.values import is_outside, nan_where

FIRST_ORDER = (
    'the gradient of overlap statistics of probabilities and class ids cannot be differentiated again on PyTorch: '
    'that of logits can, of one-hot labels, and on TensorFlow and JAX'
)


def hard_overlap(batch: Batch, split_ties: bool = False) -> Tensor:
    """(3, N, C): sums over pixels of w*p*y, w*p*(1-y) and w*(1-p)*y, each accurate where it is small.

    For class ids and classes that exclude each other: probabilities, and logits on JAX, where XLA sums these faster than
    margins. split_ties: at probabilities that equal the label
    the gradient is half of that on either side, as the metric overlap has it. PyTorch refuses second derivatives.
    """
    zero = ops.zeros((), dtype=batch.dtype)
    classes = ops.arange(batch.channels, dtype='int32')
    is_own = batch.labels[..., None] == classes
    own, known = batch.own, batch.labelled
    left_out = ops.logical_or(is_own, ops.logical_not(batch.counted_pixels)[..., None])

    def statistics(given: Tensor, w: Tensor) -> tuple[Tensor, Callable[..., tuple[Tensor, Tensor]]]:
        prob = ops.softmax(given, axis=-1) if batch.logits else given
        wrong, right = prob, at_own(prob, own)
        if batch.unpredicted is not None and not batch.logits:  # in arrays that are made anyway
            wrong, right = nan_where(wrong, is_outside(wrong)), nan_where(right, is_outside(right))
        wrong = ops.where(left_out, zero, wrong)
        right = ops.where(known, right, zero)
        missed = ops.where(known, ops.sum(wrong, axis=-1) if batch.logits else 1 - right, zero)

        def gradient(*inputs: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, Tensor]:
            """That of given and of w from that of the sums; PyTorch's comes as ``upstream``, behind the inputs."""
            upstream = inputs[0] if upstream is None else upstream
            if asked_again():
                raise RuntimeError(FIRST_ORDER)
            upstream = ops.cast(upstream, batch.dtype)
            of_right, of_wrong, of_missed = upstream[0], upstream[1], upstream[2]
            of_tie = (of_right + of_wrong - of_missed)[:, None] / 2
            of_right, of_missed = (ops.take_along_axis(x, own, axis=1) for x in (of_right, of_missed))
            others = over_classes(wrong, of_wrong)
            slope, of_wrong = of_right - of_missed, of_wrong[:, None]
            if batch.logits:
                of_own = w * right * (slope * missed - others)
                of_others = wrong * (w[..., None] * of_wrong - (w * (others + slope * right))[..., None])
            else:
                of_own, of_others = w * slope, w[..., None] * of_wrong
            of_given = ops.where(is_own, of_own[..., None], of_others)
            if split_ties and not batch.logits:
                of_given = ops.where(given == ops.cast(is_own, batch.dtype), w[..., None] * of_tie, of_given)
            return of_given, right * of_right + others + missed * of_missed

        rows = over_pixels(batch.chunks(w), batch.chunks(wrong))
        of_right, of_missed = add_by_class(batch, w * right, w * missed)
        return ops.stack([of_right, batch.add(rows), of_missed]), gradient

    sums = ops.custom_gradient(statistics)(batch.given, batch.labels_weight)
    if batch.unpredicted is not None:
        nothing = ops.any(ops.isnan(sums), axis=(0, 2))
        sums = sums * nan_where(ops.ones_like(sums[0, :, :1]), nothing[:, None])  # in every class what is in one
    return sums
