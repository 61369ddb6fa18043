"""What a loss receives, in NumPy float64: logits or probabilities, hard or soft labels, ignored pixels, weights."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from shared_spec import shapes, values

if TYPE_CHECKING:
    from shared_spec.spec import LossSpec

FLOOR = 1e-7  # probabilities given as such are floored here before a logarithm, as Keras does


class Batch(NamedTuple):
    """One call's inputs with the spatial axes flattened to P pixels.

    logits (N, C, P) or None when probabilities were given, prob (N, C, P), target (N, C, P) in [0, 1],
    weight (N, P) with 0 where ignored, image_weight (N,), hard: whether the target came as class ids.
    sound (N, P): whether a prediction is a number, or does not count; a loss of others is NaN, here they are 0.
    """

    logits: np.ndarray | None
    prob: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    image_weight: np.ndarray
    hard: bool
    softmax: bool
    space: tuple[int, ...]
    sound: np.ndarray | np.bool_ = np.True_

    @property
    def has_pixel(self) -> np.ndarray:
        """(N,) whether an image has any pixel that counts."""
        return np.any(self.weight > 0, 1)

    @property
    def largest_target(self) -> np.ndarray:
        """(N, C) largest target among the pixels that count, 0 where none does."""
        return np.where(self.weight[:, None] > 0, self.target, 0).max(2, initial=0)

    def log_prob(self) -> tuple[np.ndarray, np.ndarray | None]:
        """(N, C, P) log-probabilities, and for sigmoid also those of the complement (None for softmax)."""
        if self.softmax:
            if self.logits is None:
                return np.log(np.maximum(self.prob, FLOOR)), None
            top = self.logits.max(1, keepdims=True)
            return self.logits - top - np.log(np.exp(self.logits - top).sum(1, keepdims=True)), None
        if self.logits is None:
            return np.log(np.maximum(self.prob, FLOOR)), np.log(np.maximum(1 - self.prob, FLOOR))
        return -np.logaddexp(0, -self.logits), -np.logaddexp(0, self.logits)

    @property
    def complement(self) -> np.ndarray:
        """(N, C, P) 1 - p, accurate where p is near 1."""
        return 1 - self.prob if self.logits is None else np.exp(self.log_both()[1])

    def log_both(self) -> tuple[np.ndarray, np.ndarray]:
        """(N, C, P) log p and log(1 - p) of every class by itself."""
        log_p, log_q = self.log_prob()
        if log_q is not None:
            return log_p, log_q
        if self.logits is None:
            if self.prob.shape[1] == 2:
                return log_p, log_p[:, ::-1]
            return log_p, np.log(np.maximum(1 - self.prob, FLOOR))
        others = (np.delete(log_p, c, 1) for c in range(log_p.shape[1]))
        return log_p, np.stack([np.logaddexp.reduce(rest, axis=1) for rest in others], 1)


def times_log(share: np.ndarray, log: np.ndarray) -> np.ndarray:
    """share * log of a probability, in which 0 * log 0 is 0."""
    with np.errstate(invalid='ignore'):
        return np.where(share == 0, 0, share * log)


def reduce_pixels(batch: Batch, loss: np.ndarray, reduction: str, divisor: float | None = None) -> float | np.ndarray:
    """Of weighted losses (N, P): the map (N, *space), the sum, or the sum over ``divisor``, by default the pixels' weights."""
    if reduction == 'none':
        return loss.reshape(len(loss), *batch.space)
    if reduction == 'sum':
        return float(loss.sum())
    divisor = batch.weight.sum() if divisor is None else divisor
    return float(loss.sum() / divisor) if divisor > 0 else 0.0


def scale_part(weight: float, x: float) -> float:
    """weight * x, a part of a loss, which a weight of 0 leaves out, infinite or not; NaN stays."""
    return weight * x if weight > 0 or math.isnan(x) else 0.0


def prepare(
    spec: 'LossSpec',
    pred: ArrayLike,
    target: ArrayLike,
    pixel_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
) -> Batch:
    """The ``Batch`` of one call. Shapes as in the catalogue's table 'What a loss receives'; refuses with ValueError.

    Without spatial axes, (N, C), every sample is an image of one pixel.
    """
    owner = type(spec).__name__
    pred, target = np.asarray(pred), np.asarray(target)
    shapes.check_pred(owner, pred.shape, 'first', spec.spatial_axes)
    if pred.dtype.kind != 'f':
        raise TypeError(f'{owner}: pred must be floating point, got {pred.dtype}')
    n, c, space = shapes.split(pred.shape, 'first')
    kind = shapes.label_kind(owner, pred.shape, target.shape, 'first')
    shapes.check_channels(owner, spec.channels, c)
    shapes.check_hard(owner, spec.labels, kind, target.dtype.kind == 'f', c, target.dtype, target.shape)
    ignored = shapes.check_ignore(owner, spec.ignore_index, ignore_index, c)
    p = int(np.prod(space))
    pred = pred.astype(np.float64).reshape(n, c, p)
    one_map = c == 1 or kind != 'channels'
    target = target.reshape((n, p) if one_map else (n, c, p))
    valid = np.ones((n, p), bool)
    for i in ignored if one_map else ():
        valid &= target != i

    weight, image_weight = valid.astype(np.float64), np.ones(n)
    if pixel_weight is not None:
        pixel_weight = np.asarray(pixel_weight, np.float64)
        if shapes.weight_kind(owner, (n, c, *space), pixel_weight.shape, 'first') == 'image':
            image_weight = pixel_weight.reshape(n)
            weight = np.where(valid, image_weight[:, None], 0)
        else:
            weight = np.where(valid, pixel_weight.reshape(n, p), 0)
        values.check_weights(owner, weight)
        values.check_weights(owner, image_weight)
    counts = weight > 0  # an ignored pixel's prediction and label may be anything, NaN too

    if c == 1:
        hard = target.dtype.kind in 'iub'
        values.check_one_channel(owner, target, counts)
        labels: np.ndarray = np.where(counts, target, 0).astype(np.float64)[:, None]
    elif one_map:
        hard = True
        values.check_ids(owner, target, counts, c)
        one_hot = target[:, None] == np.arange(c)[None, :, None]
        labels = (one_hot & counts[:, None]).astype(np.float64)
    else:
        hard = 'soft' not in spec.labels  # one-hot integers
        values.check_maps(owner, target, counts[:, None])
        if spec.one_label:
            values.check_one_label(owner, target, counts, axis=1)
        labels = np.where(counts[:, None], target, 0).astype(np.float64)

    softmax = c > 1 and spec.activation == 'softmax'
    sound = values.is_number(pred, softmax and spec.from_logits, 1) | ~counts
    if sound.all() and not spec.from_logits:
        values.check_probabilities(owner, pred, counts[:, None])
    pred = np.where((counts & sound)[:, None], pred, 0)
    if not spec.from_logits:
        logits, prob = None, pred
    elif softmax:
        logits, e = pred, np.exp(pred - pred.max(1, keepdims=True))
        prob = e / e.sum(1, keepdims=True)
    else:
        logits, prob = pred, np.exp(-np.logaddexp(0, -pred))
    return Batch(logits, prob, labels, weight, image_weight, hard, softmax, space, sound)
