"""What losses need of logits under softmax where a label is a class id: one number for each pixel, and sums over classes.

A pixel's margin is the logit of its own class less the logarithm of the summed exponentials of the others. The
probability of its own class is the sigmoid of the margin, so that log p and log(1 - p) are accurate on both sides; one
array as large as the logits is made, of what each other class has of the rest, and it becomes the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from keras import backend, distribution, ops

from keras_plugin.arithmetic import largest
from keras_plugin.inputs import Batch
from keras_plugin.typing import Tensor
from keras_plugin.values import nan_where


class Term(NamedTuple):
    """What is added up of the probabilities p of the classes that are not a pixel's own: value(p), and p * value'(p)."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]


SQUARE = Term(lambda p: p * p, lambda p: 2 * p * p)


def takes(batch: Batch) -> bool:
    """Whether the functions below take a batch: class ids, and logits of classes that exclude each other."""
    return batch.softmax and batch.logits and len(batch.labels.shape) == 2


def own_and_rest(margin: Tensor) -> tuple[Tensor, Tensor]:
    """p and 1 - p of each pixel's class, sigmoids of the margin and of -margin, whose gradients are exact on both sides.

    Frameworks have the gradient of a sigmoid as p * (1 - p), in which 1 - p has lost its digits where p is near 1.
    """
    right = margin > 0
    small = ops.sigmoid(ops.where(right, -margin, margin))
    return ops.where(right, 1 - small, small), ops.where(right, small, 1 - small)


def own_margin(batch: Batch) -> Tensor:
    """(N, P) margins; 0 where a pixel is absent."""
    split = Split(batch)

    def margin(given: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        found = split(given)

        def gradient(*inputs: Tensor, upstream: Tensor | None = None) -> Tensor:
            """That of given from that of the margins; PyTorch's comes as ``upstream``, behind the inputs."""
            upstream = split.counted(inputs[0] if upstream is None else upstream)
            powers, scale, _ = split(inputs[0]) if asked_again() else found
            return split.slope(settle(upstream), -powers * settle(upstream * scale)[..., None])

        return found.margin, gradient

    return ops.custom_gradient(margin)(batch.given)


def margin_and_sums(batch: Batch, term: Term | None = None) -> tuple[Tensor, Tensor]:
    """(N, P) margins, and (N, C) sums over the pixels of other classes of w*value(p); without ``term`` of w*p."""
    split = Split(batch)
    value, slope = (None, None) if term is None else term

    def apply(function: Callable[[Tensor], Tensor] | None, found: Others) -> tuple[Tensor, Tensor]:
        """A function of the other classes' probabilities as an array (N, P, C) and a factor (N, P) of its pixels."""
        powers, scale, margin = found
        factor = scale * ops.sigmoid(-margin)
        if function is None:
            return powers, factor
        applied = function(powers * factor[..., None])
        return ops.where(split.left_out, ops.zeros_like(applied), applied), ops.ones_like(factor)

    def both(given: Tensor, w: Tensor) -> tuple[Tensor, Callable[..., tuple[Tensor, Tensor]]]:
        found = split(given)

        def gradient(*inputs: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, Tensor]:
            """That of given and of w; PyTorch's comes as ``upstream``, behind the inputs."""
            upstream = inputs[0] if upstream is None else upstream
            kept, now = (split(inputs[0]), inputs[1]) if asked_again() else (found, w)
            powers, scale, margin = kept
            upstream = ops.cast(upstream, batch.dtype)
            of_margin, of_sums = upstream[:, : -batch.channels], upstream[:, -batch.channels :]
            values, factor = apply(value, kept)
            of_w = factor * over_classes(values, of_sums)
            slopes, factor = apply(slope, kept)
            spread = now * factor * over_classes(slopes, of_sums)
            of_own = split.counted(of_margin - spread * ops.sigmoid(margin))
            of_class, of_rest, of_own = settle(now * factor), settle((of_own + spread) * scale), settle(of_own)
            of_others = of_class[..., None] * slopes * of_sums[:, None] - powers * of_rest[..., None]
            return split.slope(of_own, of_others), of_w

        values, factor = apply(value, found)
        sums = batch.add(over_pixels(batch.chunks(w * factor), batch.chunks(values)))
        # one result: Keras' custom gradients on PyTorch have no more
        wide = backend.standardize_dtype(sums.dtype)
        return ops.concatenate([ops.cast(found.margin, wide), sums], axis=1), gradient

    found = ops.custom_gradient(both)(batch.given, batch.labels_weight)
    return ops.cast(found[:, : -batch.channels], batch.dtype), found[:, -batch.channels :]


def mean_over_others(batch: Batch, costs: Tensor) -> Tensor:
    """(N, P): the sum over the other classes k of costs[own, k]*p_k, costs (C, C) constants."""
    split = Split(batch)

    def parts(given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What each other class has of them all, the margins, and the mean of the costs under the former."""
        powers, scale, margin = split(given)
        share = powers * scale[..., None]
        return share, margin, ops.sum(ops.take(costs, split.own, axis=0) * share, axis=-1)

    def mean(given: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        found = parts(given)

        def gradient(*inputs: Tensor, upstream: Tensor | None = None) -> Tensor:
            """That of given from that of the means; PyTorch's comes as ``upstream``, behind the inputs."""
            upstream = inputs[0] if upstream is None else upstream
            share, margin, cost = parts(inputs[0]) if asked_again() else found
            upstream = split.counted(upstream) * ops.sigmoid(-margin)
            of_own = upstream * cost * ops.sigmoid(margin)
            of_others = share * upstream[..., None] * (ops.take(costs, split.own, axis=0) - cost[..., None])
            return split.slope(-of_own, of_others + share * of_own[..., None])

        _, margin, cost = found
        return split.counted(cost * ops.sigmoid(-margin)), gradient

    return ops.custom_gradient(mean)(batch.given)


class Others(NamedTuple):
    """What ``Split`` finds: powers * scale[..., None] is what each other class has of them all."""

    powers: Tensor  # (N, P, C), 0 at the own class and where a pixel is absent
    scale: Tensor  # (N, P)
    margin: Tensor  # (N, P)


class Split:
    """The pixels of a batch with their own class apart from the others; called with the logits (N, P, C)."""

    def __init__(self, batch: Batch) -> None:
        self.pixels = batch.counted_pixels
        self.is_own = batch.labels[..., None] == ops.arange(batch.channels, dtype='int32')
        self.left_out = ops.logical_or(self.is_own, ops.logical_not(self.pixels)[..., None])
        self.own = batch.own

    def __call__(self, given: Tensor) -> Others:
        """Where a margin is beyond what the exponential function holds, 87 in float32, it is infinite."""
        top = highest(given)
        powers = ops.where(self.left_out, ops.zeros_like(given), ops.exp(given - top))
        total = ops.sum(powers, axis=-1)
        own = at_own(given, self.own)
        own = ops.where(own < np.inf, own, np.nan * ops.ones_like(own))
        margin = self.counted(own - (top[..., 0] + ops.log(total)))
        return Others(powers, 1 / ops.where(total == 0, ops.ones_like(total), total), margin)

    def counted(self, x: Tensor) -> Tensor:
        """x (N, P), 0 where a pixel is absent."""
        return ops.where(self.pixels, x, ops.zeros_like(x))

    def slope(self, own: Tensor, others: Tensor) -> Tensor:
        """(N, P, C) a gradient: ``own`` (N, P) at the own class, ``others`` (N, P, C) elsewhere."""
        return ops.where(self.is_own, own[..., None], others)


def settle(x: Tensor) -> Tensor:
    """x, which XLA on JAX would otherwise compute again for every class of a pixel."""
    if backend.backend() != 'jax':
        return x
    import jax

    return jax.lax.optimization_barrier(x)


def highest(x: Tensor) -> Tensor:
    """(N, P, 1) the largest over classes, 0 where it is -inf; without a gradient."""
    top = ops.stop_gradient(largest(x, axis=-1, keepdims=True, least=-np.inf))
    return ops.where(top > -np.inf, top, ops.zeros_like(top))


def asked_again() -> bool:
    """Whether PyTorch means to differentiate the gradient, which sees what was kept as constants; others differentiate it."""
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


def sum_by_class(batch: Batch, *pixels: Tensor) -> tuple[Tensor, ...]:
    """For each x of ``pixels`` (N, P) the (N, C) sums of weight * x over the pixels of each class.

    NaN in all classes of an image if in one. Together they cost little more than one.
    """
    weighted = [batch.labels_weight * x for x in pixels]
    return tuple(
        x * nan_where(ops.ones_like(x), ops.any(ops.isnan(x), axis=1, keepdims=True))
        for x in add_by_class(batch, *weighted)
    )


def add_by_class(batch: Batch, *pixels: Tensor) -> tuple[Tensor, ...]:
    """For each x of ``pixels`` (N, P) the (N, C) sums over the pixels of each class."""
    n, number = ops.shape(pixels[0])
    chunks = number // batch.chunk
    rows = n * chunks
    places = ops.arange(rows, dtype='int32')[:, None] * batch.channels + ops.reshape(
        batch.chunks(batch.own), (rows, batch.chunk)
    )
    places, columns = ops.reshape(places, (-1,)), [ops.reshape(x, (-1,)) for x in pixels]
    if backend.backend() == 'torch':  # whose ops.segment_sum rounds float64
        places, nothing = places.long(), ops.zeros((rows * batch.channels,), dtype=batch.dtype)
        sums = [nothing.scatter_add(0, places, x) for x in columns]
    else:
        sums = ops.segment_sum(ops.stack(columns, axis=1), places, num_segments=rows * batch.channels)
        sums = [sums[:, k] for k in range(len(columns))]
    return tuple(batch.add(ops.reshape(x, (n, chunks, batch.channels))) for x in sums)
