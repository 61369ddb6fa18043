"""What a loss receives, in Keras: logits or probabilities, hard or soft labels, ignored pixels, weights."""

import math
import os
from typing import NamedTuple

import numpy as np
from keras import backend, ops

from keras_plugin.overlap import floor, largest
from shared_spec import shapes
from shared_spec.inputs import FLOOR

DEBUG = os.environ.get('SEGPARITY_DEBUG', '') not in ('', '0')
CHUNK = 128  # pixels that are added in the input's precision before the wider one takes over


class Batch(NamedTuple):
    """One call's inputs with the spatial axes flattened to P pixels, float32 or float64.

    pred (N, P, C) logits or probabilities, target (N, P, C) in [0, 1], weight (N, P) with 0 where ignored,
    image_weight (N,), hard: whether the target came as class ids, softmax or sigmoid, logits: what pred holds.
    """

    pred: object
    target: object
    weight: object
    image_weight: object
    hard: bool
    softmax: bool
    logits: bool
    space: tuple

    @property
    def prob(self):
        """(N, P, C) probabilities."""
        if not self.logits:
            return self.pred
        return ops.softmax(self.pred, axis=-1) if self.softmax else ops.sigmoid(self.pred)

    @property
    def log_prob(self):
        """(N, P, C) log-probabilities, and for sigmoid also those of the complement (None for softmax)."""
        if self.logits:
            if self.softmax:
                return ops.log_softmax(self.pred, axis=-1), None
            return -ops.softplus(-self.pred), -ops.softplus(self.pred)
        log_p = ops.log(floor(self.pred, FLOOR))
        return log_p, None if self.softmax else ops.log(floor(1 - self.pred, FLOOR))

    @property
    def prob_both(self):
        """(N, P, C) p and 1 - p of every class by itself, each accurate where it is small."""
        if not self.logits:
            return self.pred, 1 - self.pred
        log_p, log_q = self.log_both
        return ops.exp(log_p), ops.exp(log_q)

    @property
    def log_both(self):
        """(N, P, C) log p and log(1 - p) of every class by itself, each accurate where p is near 1."""
        log_p, log_q = self.log_prob
        if log_q is not None:
            return log_p, log_q
        if not self.logits:
            if log_p.shape[-1] == 2:
                return log_p, ops.flip(log_p, axis=-1)
            return log_p, ops.log(floor(1 - self.pred, FLOOR))
        zero = ops.zeros_like(log_p)
        top = ops.argmax(log_p, axis=-1)[..., None] == ops.arange(log_p.shape[-1])
        rest = ops.logsumexp(ops.where(top, zero - 1e30, log_p), axis=-1, keepdims=True)  # log(1 - p) of the largest p
        log_q = ops.where(top, rest + zero, log1m_exp(ops.where(top, zero - 1, log_p)))
        near_one = ops.logical_and(top, rest < -1)
        log_p = ops.where(near_one, log1m_exp(ops.where(near_one, rest + zero, zero - 1)), log_p)
        return log_p, log_q

    @property
    def has_pixel(self):
        """(N,) whether an image has any pixel that counts."""
        return ops.any(self.weight > 0, axis=1)

    @property
    def largest_target(self):
        """(N, C) largest target among the pixels that count, 0 where none does."""
        return largest(self.target, axis=1)

    def sum(self, x):
        """(N, C) sum over pixels of weight * x; short sums are added in ``accumulator``, so small classes survive."""
        x = x * self.weight[..., None]
        pixels, channels = x.shape[1], x.shape[2]
        if pixels is not None:
            chunk = max(k for k in range(1, min(CHUNK, pixels) + 1) if pixels % k == 0)
            x = ops.sum(ops.reshape(x, (-1, pixels // chunk, chunk, channels)), axis=2)
        return ops.sum(ops.cast(x, accumulator(x)), axis=1)


def log1m_exp(x):
    """log(1 - exp(x)) for x < 0 that is not near 0."""
    return ops.log1p(-ops.exp(x))


def accumulator(x):
    """The dtype in which statistics are added: TensorFlow's own float32 sums are too coarse (1e-5 on a large image)."""
    return 'float64' if backend.backend() == 'tensorflow' else backend.standardize_dtype(x.dtype)


def widest(x):
    """The dtype for sums of unlike terms: float64 where the backend has it (JAX without x64, Apple's GPUs have not)."""
    if backend.backend() == 'jax':
        import jax

        return 'float64' if jax.config.jax_enable_x64 else backend.standardize_dtype(x.dtype)
    apple = getattr(getattr(x, 'device', None), 'type', '') == 'mps'
    return backend.standardize_dtype(x.dtype) if apple else 'float64'


def prepare(spec, y_true, y_pred, sample_weight=None, dtype='float32'):
    """The ``Batch`` of one call; refuses shapes with ValueError and dtypes with TypeError."""
    owner = type(spec).__name__
    mask = getattr(y_pred, '_keras_mask', None)
    pred, target = ops.convert_to_tensor(y_pred), ops.convert_to_tensor(y_true)
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

    def flat(x, *channels):
        return ops.reshape(x, (n, -1, *channels) if pixels is None else (-1, pixels, *channels))

    pred = flat(ops.cast(pred, dtype), c)
    valid = ops.ones_like(pred[..., 0], dtype='bool')
    if c == 1:
        hard = not is_float
        target = ops.cast(flat(target), dtype)
        for i in ignored:
            valid = ops.logical_and(valid, target != i)
        check_values(owner, target, valid, 0, 1, 'a one-channel target must lie in [0, 1]')
        target = target[..., None]
    elif kind == 'channels':
        hard = 'soft' not in spec.labels  # one-hot integers
        target = flat(ops.cast(target, dtype), c)
    else:
        hard = True
        ids = ops.cast(flat(target), 'int32')
        for i in ignored:
            valid = ops.logical_and(valid, ids != i)
        check_values(owner, ids, valid, 0, c - 1, f'target labels must be below {c}')
        target = ops.cast(ids[..., None] == ops.arange(c, dtype='int32'), dtype)

    weight, image_weight = ops.cast(valid, dtype), ops.ones_like(pred[:, 0, 0])
    for given in (sample_weight, mask):
        if given is None:
            continue
        given = ops.cast(ops.convert_to_tensor(given), dtype)
        if shapes.weight_kind(owner, tuple(y_pred.shape), tuple(given.shape), 'last') == 'image':
            image_weight = given
            weight = weight * given[:, None]
        else:
            weight = weight * flat(given)

    counts = (weight > 0)[..., None]
    pred = ops.where(counts, pred, ops.zeros_like(pred))  # an ignored pixel's prediction may be anything, NaN too
    target = ops.where(counts, target, ops.zeros_like(target))
    softmax = c > 1 and spec.activation == 'softmax'
    return Batch(pred, target, weight, image_weight, hard, softmax, spec.from_logits, space)


def check_values(owner, values, valid, low, high, rule):
    """Refuses labels outside their range under SEGPARITY_DEBUG=1, where the values can be seen (not while tracing)."""
    if not DEBUG:
        return
    try:
        values, valid = np.asarray(ops.convert_to_numpy(values)), np.asarray(ops.convert_to_numpy(valid))
    except Exception:  # each backend has its own error for a value that is only traced
        return
    wrong = valid & ((values < low) | (values > high))
    if wrong.any():
        raise ValueError(f'{owner}: {rule}, got {values[wrong][0]:g}')
