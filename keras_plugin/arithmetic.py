"""Arithmetic of losses whose limits, gradients and dtypes are what the formulas mean, on every backend of Keras."""

import numpy as np
from keras import backend, ops

from keras_plugin.typing import Tensor


def ratio(top: Tensor, bottom: Tensor, empty: float = 1.0) -> Tensor:
    """top / bottom, and ``empty`` with zero gradient where bottom is 0, unless top is no number."""
    some = ops.logical_or(bottom != 0, top != top)
    return ops.where(some, top / ops.where(some, bottom, ops.ones_like(bottom)), empty * ops.ones_like(top))


def largest(x: Tensor, axis: int | tuple[int, ...], keepdims: bool = False, least: float = 0.0) -> Tensor:
    """Maximum over ``axis`` of numbers >= ``least``; XLA drops NaN. Also of no images (a replica may get none) or pixels."""
    if 0 in x.shape:  # which ``ops.max`` refuses
        return ops.sum(x, axis=axis, keepdims=keepdims)
    if backend.backend() == 'torch':  # where ``initial`` would be a tensor on the CPU, wherever x is
        return x.amax(axis, keepdim=keepdims)
    return ops.max(x, axis=axis, keepdims=keepdims, initial=least)


def at_least(x: Tensor, low: float) -> Tensor:
    """max(x, low) that stays in x's own dtype (``ops.maximum`` rounds float64 to float32 on the PyTorch backend)."""
    return ops.where(x <= low, low * ops.ones_like(x), x)


def clip(x: Tensor, low: float, high: float) -> Tensor:
    """x between two numbers, in x's own dtype, with zero gradient outside."""
    x = at_least(x, low)
    return ops.where(x >= high, high * ops.ones_like(x), x)


def scale_part(weight: float, x: Tensor) -> Tensor:
    """weight * x for a number; 0 leaves x out, infinite or not, which another part tells of NaN."""
    return weight * x if weight > 0 else 0


def power(x: Tensor, exponent: Tensor) -> Tensor:
    """x ** exponent for x >= 0, with zero gradient at 0, where a power below 1 is infinitely steep."""
    none = x <= 0
    return ops.where(none, ops.zeros_like(x), ops.where(none, ops.ones_like(x), x) ** exponent)


def minimum(p: Tensor, y: Tensor) -> Tensor:
    """The smaller one, with the gradient split evenly where they are equal (tf.minimum gives it all to the first)."""
    return ops.where(p < y, p, ops.where(p > y, y, (p + y) / 2))


def cumulative_sum(x: Tensor) -> Tensor:
    """Sums along axis 1 up to each entry, in x's own dtype (``ops.cumsum`` rounds float64 on the PyTorch backend)."""
    return x.cumsum(1) if backend.backend() == 'torch' else ops.cumsum(x, axis=1)


def add_in_log(x: Tensor, y: Tensor) -> Tensor:
    """log(exp(x) + exp(y)) in x's own dtype (``ops.logaddexp`` rounds float64 on some backends)."""
    high, low = ops.where(x > y, x, y), ops.where(x > y, y, x)
    return high + ops.log1p(ops.exp(low - ops.where(high == -np.inf, ops.zeros_like(high), high)))


def log1m_exp(x: Tensor) -> Tensor:
    """log(1 - exp(x)) for x < 0 that is not near 0."""
    return ops.log1p(-ops.exp(x))


def accumulator_dtype(x: Tensor) -> str:
    """The dtype in which statistics are added: TensorFlow's own float32 sums are too coarse (1e-5 on a large image)."""
    return 'float64' if backend.backend() == 'tensorflow' else backend.standardize_dtype(x.dtype)


def widest_dtype(x: Tensor) -> str:
    """The dtype for sums of unlike terms: float64 where the backend has it (JAX without x64, Apple's GPUs have not)."""
    if backend.backend() == 'jax':
        import jax

        # the options of jax.config are made at run time
        has_float64 = jax.config.jax_enable_x64  # type: ignore[attr-defined]
        return 'float64' if has_float64 else backend.standardize_dtype(x.dtype)
    apple = getattr(getattr(x, 'device', None), 'type', '') == 'mps'
    return backend.standardize_dtype(x.dtype) if apple else 'float64'
