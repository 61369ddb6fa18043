"""tp, fp, fn of class ids under softmax: no one-hot array, one array as large as the logits, an analytic gradient.

What belongs to a pixel's own class lives on the pixels. The array holds the probabilities of the other classes, so that
few wrong pixels among many survive, and becomes the gradient. On a CPU
XLA sums fast where it finds an array or a product of matrices, and ten times slower where it has to compute what it
sums; so it gets the first two.
"""

from __future__ import annotations

from collections.abc import Callable

from keras import backend, distribution, ops

from keras_plugin.inputs import Batch
from keras_plugin.typing import Tensor
from keras_plugin.values import is_outside, nan_where

FIRST_ORDER = (
    'the gradient of overlap statistics of class ids cannot be differentiated again on PyTorch: '
    'that of one-hot labels can, and of class ids on TensorFlow and JAX'
)


def hard_overlap(batch: Batch, split_ties: bool = False) -> Tensor | None:
    """(3, N, C): sums over pixels of w*p*y, w*p*(1-y) and w*(1-p)*y, each accurate where it is small.

    split_ties: at probabilities that equal the label the gradient is half of that on either side, as the metric overlap
    has it. None where the labels are no class ids or the classes do not exclude each other. PyTorch refuses second
    derivatives.
    """
    if not batch.softmax or len(batch.labels.shape) != 2:
        return None
    zero = ops.zeros((), dtype=batch.dtype)
    classes = ops.arange(batch.channels, dtype='int32')
    is_own = batch.labels[..., None] == classes
    known = batch.labelled
    own = ops.where(known, batch.labels, ops.zeros_like(batch.labels))
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
        sums = sum_by_class(batch, own, w * right), batch.add(rows), sum_by_class(batch, own, w * missed)
        return ops.stack(sums), gradient

    sums = ops.custom_gradient(statistics)(batch.given, batch.labels_weight)
    if batch.unpredicted is not None:
        nothing = ops.any(ops.isnan(sums), axis=(0, 2))
        sums = sums * nan_where(ops.ones_like(sums[0, :, :1]), nothing[:, None])  # in every class what is in one
    return sums


def asked_again() -> bool:
    """Whether PyTorch means to differentiate the gradient, which would see constants; other backends differentiate it."""
    if backend.backend() != 'torch':
        return False
    import torch

    return torch.is_grad_enabled()


def over_pixels(w: Tensor, x: Tensor) -> Tensor:
    """(N, K, C): the sums over the pixels of a chunk of w (N, K, P) times x (N, K, P, C)."""
    return (w[:, :, None] @ x)[:, :, 0] if exact_products() else ops.sum(w[..., None] * x, axis=2)


def over_classes(x: Tensor, w: Tensor) -> Tensor:
    """(N, P): the sums over classes of x (N, P, C) times w (N, C)."""
    return (x @ w[..., None])[..., 0] if exact_products() else ops.sum(x * w[:, None], axis=2)


def exact_products() -> bool:
    """Whether a product of float32 matrices is one: TensorFlow and JAX round the factors on GPUs and TPUs."""
    return backend.backend() == 'torch' or distribution.list_devices()[0].startswith('cpu')


def at_own(x: Tensor, own: Tensor) -> Tensor:
    """(N, P) of x (N, P, C): the entry of each pixel's class."""
    return ops.take_along_axis(x, own[..., None], axis=-1)[..., 0]


def sum_by_class(batch: Batch, own: Tensor, x: Tensor) -> Tensor:
    """(N, C) sums of x (N, P) over the pixels of each class."""
    n, pixels = ops.shape(x)
    chunks = pixels // batch.chunk
    rows = n * chunks
    places = ops.arange(rows, dtype='int32')[:, None] * batch.channels + ops.reshape(
        batch.chunks(own), (rows, batch.chunk)
    )
    x, places = ops.reshape(x, (-1,)), ops.reshape(places, (-1,))
    if backend.backend() == 'torch':  # whose ops.segment_sum rounds float64
        sums = ops.zeros((rows * batch.channels,), dtype=batch.dtype).scatter_add(0, places.long(), x)
    else:
        sums = ops.segment_sum(x, places, num_segments=rows * batch.channels)
    return batch.add(ops.reshape(sums, (n, chunks, batch.channels)))
