"""Where a prediction has its boundary, and the pixels around it, in Keras; of shapes that are known before any value."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import backend, ops

from keras_plugin.arithmetic import at_least, cumulative_sum, widest_dtype
from keras_plugin.boundaries import lines
from keras_plugin.distributed import partners, sum_over_replicas
from keras_plugin.inputs import Batch
from keras_plugin.losses.boundary.maps import in_space
from keras_plugin.skeletons import dilate
from keras_plugin.typing import Tensor
from shared_spec.inputs import FLOOR
from shared_spec.losses.boundary.active_boundary import DIRECTIONS

AROUND = 9  # pixels of a square of three by three


def distributions(batch: Batch, given: Tensor) -> tuple[Tensor, Tensor]:
    """p and log p (..., K) of predictions (..., C), K = 2 of one channel: of the background and the foreground."""
    if not batch.logits:
        p = given if batch.softmax else ops.concatenate([1 - given, given], axis=-1)
        return p, ops.log(at_least(p, FLOOR))
    if batch.softmax:
        log_p = ops.log_softmax(given, axis=-1)
    else:
        log_p = -ops.softplus(ops.concatenate([given, -given], axis=-1))
    return ops.exp(log_p), log_p


def divergence(p: Tensor, log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) along the last axis; a class of probability 0 has no share, in the gradient neither."""
    gap, some = log_p - log_q, p != 0
    far, zero = gap == np.inf, ops.zeros_like(gap)
    product = p * ops.where(ops.logical_and(some, ops.logical_not(far)), gap, zero)
    return ops.sum(ops.where(ops.logical_and(some, far), zero + np.inf, product), axis=-1)


def differing(
    compare: Callable[[Tensor, Tensor], Tensor], x: Tensor, valid: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """(N, H, W, 1) twice: what ``compare`` gives of each pixel and of the one below, and to the right; 0 where there is none.

    valid (N, H, W, 1) bool: pixels that are compared with each other alone.
    """
    found = []
    for axis in (1, 2):
        pairs = compare(lines(x, axis, None, -1), lines(x, axis, 1, None))
        if valid is not None:
            both = ops.logical_and(lines(valid, axis, None, -1), lines(valid, axis, 1, None))
            pairs = ops.where(both, pairs, ops.zeros_like(pairs))
        edge = ops.zeros_like(lines(x, axis, -1, None)[..., :1], dtype=pairs.dtype)
        found.append(ops.concatenate([pairs, edge], axis=axis))
    return found[0], found[1]


def edges_of(labels: Tensor, valid: Tensor | None) -> Tensor:
    """(N, H, W, 1) bool: where maps (N, H, W, K) differ from those of the pixel below or to the right, both ``valid``."""
    return ops.logical_or(*differing(lambda one, other: ops.any(one != other, axis=-1, keepdims=True), labels, valid))


def divergences(batch: Batch) -> Tensor:
    """(N, P) KL(p || p below) + KL(p || p to the right); without a gradient."""
    valid = in_space(batch, batch.counted_pixels)
    both = in_space(batch, ops.concatenate(distributions(batch, ops.stop_gradient(batch.pred)), axis=-1))
    k = both.shape[-1] // 2

    def compare(one: Tensor, other: Tensor) -> Tensor:
        return divergence(one[..., :k], one[..., k:], other[..., k:])[..., None]

    below, right = differing(compare, both, valid)
    return ops.reshape(below + right, ops.shape(batch.counted_pixels))


def predicted(batch: Batch, spec: Any) -> Tensor:
    """(N, P) bool: the predicted boundary."""
    kl, counts = divergences(batch), batch.counted_pixels
    add = None
    allowed = allowed_of(ops.sum(ops.cast(counts, 'int32'), axis=1), counts.shape[1], kl, spec.max_boundary_ratio)
    if spec.budget == 'batch':
        add = added_up if partners(spec.sync) else None
        totals = ops.stack([ops.sum(allowed), ops.sum(ops.cast(batch.has_pixel, 'int32'))])
        totals = totals if add is None else add(totals)
        allowed = totals[:1] // ops.where(totals[1:] > 0, totals[1:], ops.ones_like(totals[1:]))
        kl = ops.reshape(kl, (1, -1))
    found = in_space(batch, ops.reshape(exceeding(kl, allowed, spec, add), ops.shape(counts)))
    wide = ops.reshape(dilate(ops.cast(found, batch.dtype), None), ops.shape(counts)) > 0
    return ops.logical_and(wide, counts)


def allowed_of(numbers: Tensor, pixels: int | None, like: Tensor, ratio: float) -> Tensor:
    """(N,) the whole numbers floor(ratio * numbers), of numbers (N,) up to ``pixels``."""
    if pixels is None or widest_dtype(like) == 'float64':
        return whole(ops.cast(numbers, 'float64') * ratio)
    # where there is no float64: as many as there are numbers at which the product reaches a whole one
    products = np.floor(ratio * np.arange(pixels + 1.0))
    reached = np.searchsorted(products, np.arange(1, products[-1] + 1)).astype('int32')
    return ops.cast(ops.searchsorted(ops.convert_to_tensor(reached), numbers, side='right'), 'int32')


def whole(x: Tensor) -> Tensor:
    """int32 of numbers >= 0 without their fractions (``ops.floor`` rounds float64 on the PyTorch backend first)."""
    return ops.cast(x, 'int32')


def added_up(counts: Tensor) -> Tensor:
    """Counts of this replica with those of the others."""
    wide = ops.cast(counts, 'float64')
    return ops.cast(sum_over_replicas({'counts': wide}, True)['counts'], counts.dtype)


def exceeding(kl: Tensor, allowed: Tensor, spec: Any, add: Callable[[Tensor], Tensor] | None) -> Tensor:
    """(G, P) where kl exceeds the least threshold that ``allowed`` (G,) of a row or fewer exceed, found by halving.

    add: what adds up the counts of all replicas.
    """
    dtype = backend.standardize_dtype(kl.dtype)
    ladder = spec.thresholds(float(np.finfo(dtype).max))
    steps = ops.convert_to_tensor(np.array(ladder, dtype), dtype=dtype)
    low, high = ops.zeros_like(allowed), ops.zeros_like(allowed) + (len(ladder) - 1)
    for _ in range((len(ladder) - 1).bit_length()):
        middle = (low + high) // 2
        count = ops.sum(ops.cast(kl > ops.take(steps, middle)[:, None], 'int32'), axis=1)
        over = (count if add is None else add(count)) > allowed
        low, high = ops.where(over, middle + 1, low), ops.where(over, high, middle)
    return kl > ops.take(steps, low)[:, None]


def places_of(chosen: Tensor, spec: Any) -> tuple[Tensor, Tensor]:
    """(N, K) the places of chosen pixels (N, P), and which of them are some: as many as there may be."""
    n, pixels = ops.shape(chosen)
    ratio = spec.max_boundary_ratio
    if spec.budget == 'batch' and partners(spec.sync):
        k = pixels  # of other replicas' images, which may be larger
    elif isinstance(pixels, int):
        k = min(pixels, AROUND * int(ratio * pixels))
    else:
        k = ops.minimum(pixels, AROUND * whole(ops.cast(pixels, 'float64') * ratio))
    wanted = ops.arange(k, dtype='int32') + 1 + ops.zeros((n, 1), dtype='int32')
    found = places_up_to(ops.cast(cumulative_sum(ops.cast(chosen, 'int32')), 'int32'), wanted)
    count = ops.sum(ops.cast(chosen, 'int32'), axis=1)
    return found, ops.arange(k, dtype='int32') < count[:, None]


def places_up_to(numbers: Tensor, wanted: Tensor) -> Tensor:
    """(N, K) the first places up to which rows (N, P), that never fall, reach what is wanted (N, K); the last if none does."""
    n, pixels = ops.shape(numbers)
    row = ops.arange(n, dtype='int32')[:, None]  # rows stand behind one another, and are told apart
    order, wanted = (x + row * (pixels + 1) for x in (numbers, wanted))
    found = ops.searchsorted(ops.reshape(order, (-1,)), ops.reshape(wanted, (-1,)))
    found = ops.reshape(ops.cast(found, 'int32'), ops.shape(wanted)) - row * pixels
    return ops.minimum(found, pixels - 1)


def neighbours(batch: Batch, places: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 8, K) each: whether the neighbours of pixels (N, K) count, and their places.

    Else the place of the first that counts of the pixel in the same row, the one in the same column and the pixel itself.
    """
    height, width = batch.sizes
    down, right = (ops.convert_to_tensor(np.array(steps, 'int32')[:, None]) for steps in zip(*DIRECTIONS))
    own = places[:, None] + 0 * down
    y, x = own // width, own % width
    there, found = ops.zeros_like(own, dtype='bool'), own
    for dy, dx in ((down, 0 * right), (0 * down, right), (down, right)):  # the last has the last word
        to_y, to_x = y + dy, x + dx
        rows, columns = ops.logical_and(to_y >= 0, to_y < height), ops.logical_and(to_x >= 0, to_x < width)
        there = ops.logical_and(rows, columns)
        to = ops.where(there, to_y * width + to_x, own)
        there = ops.logical_and(there, at(batch.counted_pixels[..., None], to)[..., 0])
        found = ops.where(there, to, found)
    return there, found


def at(x: Tensor, places: Tensor) -> Tensor:
    """(N, ..., C) of x (N, P, C) at places (N, ...)."""
    n, pixels = ops.shape(x)[:2]
    first = ops.reshape(ops.arange(n, dtype='int32') * pixels, (-1,) + (1,) * (len(places.shape) - 1))
    return ops.take(ops.reshape(x, (-1, x.shape[2])), places + first, axis=0)
