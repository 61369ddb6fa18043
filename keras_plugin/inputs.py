"""What a loss receives, in Keras: logits or probabilities, hard or soft labels, ignored pixels, weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import backend, ops

from keras_plugin import values
from keras_plugin.arithmetic import accumulator_dtype, at_least, largest, log1m_exp
from keras_plugin.typing import Tensor
from shared_spec import shapes
from shared_spec.inputs import FLOOR
from shared_spec.spec import LossSpec

CHUNK = 128  # pixels, about, that are added in the input's precision before the wider one takes over


class made_once:
    """A property that becomes an attribute at its first use; functools has one with a lock, which torch.compile refuses."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make, self.name = make, make.__name__

    def __get__(self, batch: Any, owner: type | None = None) -> Any:
        value = self.make(batch)
        setattr(batch, self.name, value)
        return value


class Batch:
    """One call's inputs with the spatial axes flattened to P pixels, float32 or float64.

    As they came: given (N, P, C) logits or probabilities, labels (N, P) class ids or (N, P, C); where weight (N, P) is 0
    a pixel is absent, and these two may hold anything; where it is NaN one of the three is outside its range, and the
    loss is NaN. As losses see them, made when first asked for: pred and target (N, P, C), both 0 where a pixel is absent,
    the latter in [0, 1], and 0 too where the weight is NaN.
    weighted: whether weights may be others than 0, 1 and NaN.
    labels_weight (N, P) is the weight without what predictions make NaN of, unpredicted (N, P) where those do, or None;
    doubted: whether any weight may be NaN. unseen: whether labels are maps whose values nobody has seen; those outside
    their range leave the weight alone and are NaN themselves, in target too.
    Besides: image_weight (N,), hard: whether the target came as class ids, softmax or sigmoid, logits: what pred holds,
    dtype, channels, space, line: the length of its last axis, and sizes: those of all axes, tensors where they are not known;
    distance_map (N, P, K) of losses that take one; features (N, P, C) of a target that holds those in place of labels.
    """

    distance_map: Tensor
    features: Tensor

    def __init__(
        self,
        given: Tensor,
        labels: Tensor,
        weight: Tensor,
        unpredicted: Tensor | None,
        image_weight: Tensor,
        hard: bool,
        softmax: bool,
        logits: bool,
        space: tuple[int | None, ...],
        line: Any,
        doubted: bool,
        unseen: bool,
        weighted: bool,
    ) -> None:
        self.given, self.labels, self.image_weight = given, labels, image_weight
        self.labels_weight, self.unpredicted, self.doubted = weight, unpredicted, doubted
        self.unseen, self.weighted = unseen, weighted
        self.hard, self.softmax, self.logits = hard, softmax, logits
        self.space, self.line = space, line
        self.sizes: tuple[Any, ...] = space
        self.dtype, self.channels = backend.standardize_dtype(given.dtype), given.shape[-1]

    def with_target(self, target: Tensor) -> Batch:
        """The same batch with another dense target."""
        other = copy.copy(self)
        other.labels = other.target = target
        other.channels = target.shape[-1]
        return other

    @made_once
    def weight(self) -> Tensor:
        """(N, P) ``labels_weight``, NaN where ``unpredicted``."""
        return values.nan_where(self.labels_weight, self.unpredicted)

    @made_once
    def counted_pixels(self) -> Tensor:
        """(N, P) which pixels are not absent."""
        return self.labels_weight != 0  # NaN counts

    @made_once
    def labelled(self) -> Tensor:
        """(N, P) which pixels have a label in its range, of those that count."""
        return self.labels_weight > 0

    @made_once
    def own(self) -> Tensor:
        """(N, P) the class of each pixel that is ``labelled``, 0 elsewhere; of class ids alone."""
        return ops.where(self.labelled, self.labels, ops.zeros_like(self.labels))

    @made_once
    def pred(self) -> Tensor:
        """(N, P, C) what was given, 0 where a pixel is absent, NaN in value and gradient where ``weight`` is."""
        given = self.given
        if self.doubted:  # so that the gradient is NaN there, whatever of the target and the formula is 0
            given = given * values.nan_where(ops.ones_like(self.weight), ops.isnan(self.weight))[..., None]
        return keep_pixels(self.counted_pixels, given)

    @made_once
    def target(self) -> Tensor:
        """(N, P, C) labels in the batch's dtype, one-hot from class ids; 0 where a pixel is not ``labelled``."""
        y = self.labels
        if len(y.shape) != 2:
            return keep_pixels(self.labelled, y)
        y = ops.where(self.labelled, y, -1 * ops.ones_like(y))
        return ops.cast(y[..., None] == ops.arange(self.channels, dtype=y.dtype), self.dtype)

    @property
    def prob(self) -> Tensor:
        """(N, P, C) probabilities."""
        if not self.logits:
            return self.pred
        return ops.softmax(self.pred, axis=-1) if self.softmax else ops.sigmoid(self.pred)

    @property
    def zero_loss(self) -> Tensor:
        """(N, P) 0 with a gradient of 0, NaN where a pixel counts that is wrong: what a loss is whose factor is 0.

        By a factor that is not seen to be 0, by which optimizers of graphs would drop NaN.
        """
        wrong = ops.isnan(ops.sum(ops.stop_gradient(self.prob), axis=-1, keepdims=True))
        wrong = ops.logical_or(wrong, ops.isnan(self.weight)[..., None])
        if self.unseen:
            wrong = ops.logical_or(wrong, ops.isnan(ops.sum(self.target, axis=-1, keepdims=True)))
        zero = ops.zeros_like(self.prob)
        return ops.sum(self.prob * ops.where(wrong, zero + np.nan, zero), axis=-1)

    @property
    def log_prob(self) -> tuple[Tensor, Tensor | None]:
        """(N, P, C) log-probabilities, and for sigmoid also those of the complement (None for softmax)."""
        if self.logits:
            if self.softmax:
                return ops.log_softmax(self.pred, axis=-1), None
            return -ops.softplus(-self.pred), -ops.softplus(self.pred)
        log_p = ops.log(at_least(self.pred, FLOOR))
        return log_p, None if self.softmax else ops.log(at_least(1 - self.pred, FLOOR))

    @property
    def prob_both(self) -> tuple[Tensor, Tensor]:
        """(N, P, C) p and 1 - p of every class by itself, each accurate where it is small."""
        if not self.logits:
            return self.pred, 1 - self.pred
        log_p, log_q = self.log_both
        return ops.exp(log_p), ops.exp(log_q)

    @property
    def log_both(self) -> tuple[Tensor, Tensor]:
        """(N, P, C) log p and log(1 - p) of every class by itself, each accurate where p is near 1."""
        log_p, log_q = self.log_prob
        if log_q is not None:
            return log_p, log_q
        if not self.logits:
            if log_p.shape[-1] == 2:
                return log_p, ops.flip(log_p, axis=-1)
            return log_p, ops.log(at_least(1 - self.pred, FLOOR))
        zero = ops.zeros_like(log_p)
        classes = ops.arange(log_p.shape[-1], dtype='int32')
        top = ops.cast(ops.argmax(log_p, axis=-1), 'int32')[..., None] == classes
        rest = ops.logsumexp(ops.where(top, zero - 1e30, log_p), axis=-1, keepdims=True)  # log(1 - p) of the largest p
        rest = ops.where(rest <= -1e30, -np.inf * ops.ones_like(rest), rest)
        log_q = ops.where(top, rest + zero, log1m_exp(ops.where(top, zero - 1, log_p)))
        near_one = ops.logical_and(top, rest < -1)
        log_p = ops.where(near_one, log1m_exp(ops.where(near_one, rest + zero, zero - 1)), log_p)
        return log_p, log_q

    def times_log(self, share: Tensor, log: Tensor) -> Tensor:
        """share * log of a probability, in which 0 * log 0 is 0, and 0 * NaN is NaN where nothing else shows it.

        Else the pixel's weight is NaN, or the log of its class, of which the share is not 0.
        """
        if values.is_seen_finite(log):
            return share * log
        nothing = share == 0
        if self.softmax and not self.hard:
            nothing = ops.logical_and(nothing, log == -np.inf)
        return ops.where(nothing, ops.zeros_like(log), share * log)

    @made_once
    def has_pixel(self) -> Tensor:
        """(N,) whether an image has any pixel that counts."""
        return ops.any(self.counted_pixels, axis=1)

    def present(self, threshold: float, size: Tensor | None = None) -> Tensor:
        """(N, C) whether the largest target among the pixels that count exceeds ``threshold`` < 1.

        Every class of an image with a weight that is not a number: XLA makes ``0 * NaN`` 0 where the 0 was a boolean.
        size (N, C): for class ids the weight of a class's pixels, where it is known already.
        """
        if size is not None:
            return values.negate(size <= 0)
        nowhere = ops.isnan(self.weight)
        if self.softmax and self.logits and self.unpredicted is None and not values.is_seen_finite(self.given):
            is_nan = ops.isnan(self.prob[..., 0])  # a softmax is NaN in all classes or in none
            nowhere = ops.logical_or(nowhere, is_nan)
        nowhere = ops.any(nowhere, axis=1)
        if self.unseen:
            nowhere = ops.logical_or(nowhere, ops.isnan(ops.sum(self.target, axis=(1, 2))))
        return ops.logical_or(largest(self.target, axis=1) > threshold, nowhere[:, None])

    @made_once
    def chunk(self) -> Any:
        """The number of pixels, a divisor of all, that are added in the input's precision; close to ``CHUNK``."""
        pixels = self.given.shape[1]
        if pixels is None:
            return self.line
        sizes = [k for k in range(1, min(pixels, 16 * CHUNK) + 1) if pixels % k == 0]
        return min(sizes, key=lambda k: max(k, CHUNK) / min(k, CHUNK), default=1)

    def chunks(self, x: Tensor) -> Tensor:
        """(N, P / chunk, chunk, ...) of x (N, P, ...)."""
        pixels = self.given.shape[1]
        rows = -1 if pixels is None else pixels // self.chunk
        return ops.reshape(x, (ops.shape(x)[0], rows, self.chunk, *x.shape[2:]))

    def sum(self, x: Tensor) -> Tensor:
        """(N, C) sum over pixels of weight * x; short sums are added in ``accumulator_dtype``, so small classes survive."""
        return self.add(ops.sum(self.chunks(x * self.weight[..., None]), axis=2))

    def add(self, x: Tensor) -> Tensor:
        """Sums along axis 1, added in ``accumulator_dtype``; NaN in all classes of an image where it is in one of ``unseen``."""
        x = ops.sum(ops.cast(x, accumulator_dtype(x)), axis=1)
        if self.unseen:
            wrong = ops.any(ops.isnan(x), axis=-1, keepdims=True)
            x = x * ops.where(wrong, np.nan * ops.ones_like(x), ops.ones_like(x))
        return x


def keep_pixels(pixels: Tensor, x: Tensor) -> Tensor:
    """x (N, P, C) with 0 at other ``pixels`` (N, P)."""
    return ops.where(pixels[..., None], x, ops.zeros_like(x))


def prepare(
    spec: LossSpec,
    y_true: Tensor,
    y_pred: Tensor,
    sample_weight: Tensor | None = None,
    dtype: str = 'float32',
    mask: Tensor | None = None,
) -> Batch:
    """The ``Batch`` of one call; refuses shapes with ValueError, and values where they can be seen, dtypes with TypeError.

    A pixel that counts and has a value outside its range weighs NaN, and makes NaN of all sums. mask: that of Keras, where
    y_pred, which has it otherwise, only stands for a prediction.
    """
    owner = type(spec).__name__
    mask = getattr(y_pred, '_keras_mask', mask)
    pred, target = values.to_tensor(y_pred), values.to_tensor(y_true)
    kind_of_pred, kind_of_target = backend.standardize_dtype(pred.dtype), backend.standardize_dtype(target.dtype)
    shapes.check_pred(owner, pred.shape, 'last', spec.spatial_axes)
    if not backend.is_float_dtype(kind_of_pred):
        raise TypeError(f'{owner}: y_pred must be floating point, got {kind_of_pred}')
    dtype = 'float64' if 'float64' in (kind_of_pred, dtype) else 'float32'
    kind = shapes.label_kind(owner, pred.shape, target.shape, 'last')
    _, c, space = shapes.split(tuple(pred.shape), 'last')
    shapes.check_channels(owner, spec.channels, c)
    is_float = backend.is_float_dtype(kind_of_target)
    shapes.check_hard(owner, spec.labels, kind, is_float, c, kind_of_target, tuple(target.shape))
    ignored = shapes.check_ignore(owner, spec.ignore_index, None, c)
    pixels = None if None in space else math.prod(space)
    n = ops.shape(pred)[0]

    def flat(x: Tensor, *channels: int) -> Tensor:
        return ops.reshape(x, (-1 if pixels else n, -1 if pixels is None else pixels, *channels))

    given, labels = flat(ops.cast(pred, dtype), c), values.as_numbers(target)
    one_map = c == 1 or kind != 'channels'
    labels = flat(labels) if one_map else flat(labels, c)
    valid = ops.ones_like(given[..., 0], dtype='bool')
    for i in ignored if one_map else ():
        valid = ops.logical_and(valid, ops.logical_not(values.equals(labels, i)))

    weight, image_weight = ops.cast(valid, dtype), ops.ones((n,), dtype=dtype)
    given_weights = [factor for factor in (sample_weight, mask) if factor is not None]
    for factor in given_weights:
        factor = ops.cast(values.to_tensor(factor), dtype)
        if shapes.weight_kind(owner, tuple(y_pred.shape), tuple(factor.shape), 'last') == 'image':
            image_weight = ops.reshape(factor, (-1,))
            factor = image_weight[:, None]
        else:
            factor = flat(factor)
        absent = ops.logical_or(weight == 0, factor == 0)  # whatever the other is
        weight = ops.where(absent, ops.zeros_like(weight), weight * factor)

    softmax = c > 1 and spec.activation == 'softmax'
    weights = (weight, image_weight) if given_weights else (weight,)
    wrong, unpredicted, unseen = values.wrong_pixels(
        owner, labels, given, weights, spec.from_logits, softmax, spec.one_label and not one_map, spec.of_overlap
    )
    weight = values.nan_where(weight, wrong)
    if c == 1:
        hard, labels = not is_float, ops.cast(labels, dtype)[..., None]
    elif one_map:
        hard, labels = True, ops.cast(labels, 'int32')
    else:
        hard, labels = 'soft' not in spec.labels, ops.cast(labels, dtype)  # one-hot integers
        if unseen:
            labels = values.nan_where(labels, values.is_outside(labels))
    line = ops.shape(pred)[-2] if space else 1
    doubted = wrong is not None or unpredicted is not None
    weighted, logits = bool(given_weights), spec.from_logits
    batch = Batch(
        given, labels, weight, unpredicted, image_weight, hard, softmax, logits, space, line, doubted, unseen, weighted
    )
    batch.sizes = tuple(ops.shape(pred)[1:-1])
    return batch
