"""Region mutual information: pixels are compared together with their neighbours, beside a cross-entropy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import backend, ops

from keras_plugin import values
from keras_plugin.arithmetic import at_least, largest, ratio, scale_part, widest_dtype
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.granularity import image_sums
from keras_plugin.inputs import Batch, keep_pixels
from keras_plugin.losses.base import Loss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES
from shared_spec.losses.region.region_mutual_information import ALPHA, CLIP, TINY
from shared_spec.typing import Shape


@keras.saving.register_keras_serializable(package='segparity')
class RegionMutualInformationLoss(Loss):
    """ce_weight * cross-entropy + (1 - ce_weight) * region mutual information, of regions of the pooled maps.

    An ignored pixel is a zero in both maps and counts nowhere else, an empty batch gives 0; 2-D images alone.
    Parameters, call and errors: ``segparity show RegionMutualInformationLoss``. Source: Zhao 2019, official code.
    """

    spec_class = LOSSES['RegionMutualInformationLoss']

    def __init__(
        self,
        *,
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        radius: int = 3,
        pool: str = 'max',
        pool_size: int = 3,
        ce_weight: float = 0.5,
        ce: str = 'sigmoid',
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def compute(self, batch: Batch) -> Tensor:
        spec, y = self.spec, batch.target
        log_p, log_q = batch.log_prob
        bce = -batch.times_log(y, log_p) - (0 if log_q is None else batch.times_log(1 - y, log_q))
        # the two parts cancel where the prediction is good, so both are added precisely
        ce = ops.sum(in_float64(lambda v, x: ops.sum(v * x, axis=1), batch.weight, ops.sum(bce, axis=-1)))
        mass = ops.sum(batch.sum(ops.ones_like(y[..., :1])))
        p = ops.sigmoid(batch.pred) if batch.logits else batch.pred
        p = keep_pixels(batch.counted_pixels, p)
        p = p + CLIP if spec.ce == 'sigmoid' else at_least(p, CLIP)
        y, p = (self.maps(x, batch.space) for x in (y, p))
        rmi = in_float64(self.lower_bound, self.pool(y, nearest=True), self.pool(p))
        ce, mass = ops.cast(ce, rmi.dtype), ops.cast(mass, rmi.dtype)
        parts = {'ce': ops.stack([ce, mass]), 'rmi': image_sums(batch, rmi)}

        parts = sum_over_replicas(parts, spec.sync)
        ce, mass = parts['ce'][0], parts['ce'][1]
        ce = ratio(ce, mass + 1 if spec.ce == 'sigmoid' else mass, 0.0)
        rmi = ratio(parts['rmi'][0], parts['rmi'][1], 0.0)
        rmi = values.nan_where(rmi, ops.isnan(parts['ce'][0]))  # the maxima of XLA drop NaN
        return ops.cast(spec.loss_weight * (scale_part(spec.ce_weight, ce) + (1 - spec.ce_weight) * rmi), batch.dtype)

    def maps(self, x: Tensor, space: Shape) -> Tensor:
        """(N, H, W, C) from (N, P, C)."""
        self.spec.pooled_size(space)  # refuses sizes that are not known
        return ops.reshape(x, (-1, *space, x.shape[-1]))

    def pool(self, x: Tensor, nearest: bool = False) -> Tensor:
        """(N, h, w, C) the maps after pooling; equal maxima share the gradient."""
        s, (height, width, c) = self.spec.stride, x.shape[1:]
        h, w = self.spec.pooled_size((height, width))
        if s == 1:
            return x
        if self.spec.pool == 'interpolate':
            shrink = nearest_lines if nearest else bilinear_lines
            return shrink(shrink(x, h, 1), w, 2)
        before = s // 2
        below, right = h * s - before - height, w * s - before - width  # negative: lines that no window reaches
        x = x[:, : height + min(below, 0), : width + min(right, 0)]
        x = ops.pad(x, ((0, 0), (before, max(below, 0)), (before, max(right, 0)), (0, 0)))
        x = ops.reshape(x, (-1, h, s, w, s, c))
        return ops.sum(x, axis=(2, 4)) / s**2 if self.spec.pool == 'avg' else largest(x, axis=(2, 4))

    def regions(self, x: Tensor) -> Tensor:
        """(N, C, radius^2, number of regions) the maps' regions as vectors, centred."""
        r, c = self.spec.radius, x.shape[-1]
        h, w = x.shape[1] - r + 1, x.shape[2] - r + 1
        x = ops.transpose(x, (0, 3, 1, 2))
        x = ops.stack([x[:, :, i : i + h, j : j + w] for i in range(r) for j in range(r)], axis=2)
        x = ops.reshape(x, (-1, c, r * r, h * w))
        return x - ops.sum(x, axis=3, keepdims=True) / (h * w)  # ops.mean rounds float64 on some backends

    def lower_bound(self, y: Tensor, p: Tensor) -> Tensor:
        """(N,) half the log-determinants of the labels' covariances given the probabilities, per pixel of a region.

        y, p (N, h, w, C) the pooled maps; the classes are added here, in the precision that this has.
        With w = yp_cov (p_cov + ALPHA)^-1 the covariance is (y - w p)(y - w p)^T + ALPHA w w^T, which cancels nothing.
        As w makes that smallest, its own error and gradient drop out. The vectors hold differences between neighbours,
        less alike than the pixels; as ``step`` is unit triangular, the diagonal of the factor stays the same.
        """
        r, y, p = self.spec.radius, self.regions(y), self.regions(p)
        step = [[(i == j) - (i == j + 1) for j in range(r)] for i in range(r)]
        step = ops.convert_to_tensor(np.kron(step, step), dtype=p.dtype)
        y, p, ridge = step @ y, step @ p, ALPHA * step @ transpose_last(step)
        q = ops.stop_gradient(p)
        root = cholesky(q @ transpose_last(q) + ridge)
        w = transpose_last(solve(root, q @ transpose_last(y)))
        w = w + transpose_last(
            solve(root, q @ transpose_last(y - w @ q) - ridge @ transpose_last(w))
        )  # what float32 missed
        rest = y - w @ p
        root = cholesky(rest @ transpose_last(rest) + w @ ridge @ transpose_last(w) + ridge)
        return ops.sum(ops.log(ops.diagonal(root, axis1=2, axis2=3) + TINY), axis=(1, 2)) / r**2


def cholesky(x: Tensor) -> Tensor:
    """The factor; NaN for what is not a number, where Keras' own raises and would end a training with loss scaling."""
    wrong = ops.any(x != x, axis=(-2, -1), keepdims=True)
    one = ops.eye(x.shape[-1], dtype=x.dtype) + ops.zeros_like(x)
    x = ops.where(wrong, one, x)
    if backend.backend() == 'tensorflow':  # where Keras' raises for a gradient of NaN too
        import tensorflow as tf

        return ops.where(wrong, np.nan * one, tf.linalg.cholesky(x))
    return ops.where(wrong, np.nan * one, ops.cholesky(x))


def solve(root: Tensor, b: Tensor) -> Tensor:
    """(root root^T)^-1 b."""
    return ops.solve_triangular(transpose_last(root), ops.solve_triangular(root, b, lower=True))


def transpose_last(x: Tensor) -> Tensor:
    return ops.swapaxes(x, -1, -2)


def in_float64(function: Callable[[Tensor, Tensor], Tensor], constant: Tensor, x: Tensor) -> Tensor:
    """``function(constant, x)``, (N,), computed in float64 where there is any, with the gradient of x, (N, ...).

    The covariances of smooth maps are close to singular. JAX without x64 has float64 in a part of its own alone, which
    therefore hands out its gradient ready-made.
    """
    if backend.backend() != 'jax' or widest_dtype(x) == 'float64':
        return function(ops.cast(constant, widest_dtype(x)), ops.cast(x, widest_dtype(x)))
    import jax

    # type checkers do not know of both places
    x64 = jax.enable_x64 if hasattr(jax, 'enable_x64') else jax.experimental.enable_x64  # type: ignore[attr-defined]

    def value(constant: Tensor, x: Tensor) -> Tensor:
        with x64(True):
            return function(constant.astype('float64'), x.astype('float64')).astype(x.dtype)

    def value_and_gradient(constant: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        with x64(True):
            result, pull = jax.vjp(lambda z: function(constant.astype('float64'), z), x.astype('float64'))
            (gradient,) = pull(ops.ones_like(result))
            return result.astype(x.dtype), gradient.astype(x.dtype)

    def backward(gradient: Tensor, g: Tensor) -> tuple[None, Tensor]:
        return None, ops.reshape(g, (-1, *(1 for _ in gradient.shape[1:]))) * gradient

    value = jax.custom_vjp(value)
    value.defvjp(value_and_gradient, backward)
    return value(constant, x)


def nearest_lines(x: Tensor, size: int, axis: int) -> Tensor:
    """``size`` lines of ``x`` along ``axis``: line floor(i * length / size)."""
    length = x.shape[axis]
    return take(x, [i * length // size for i in range(size)], axis)


def bilinear_lines(x: Tensor, size: int, axis: int) -> Tensor:
    """``size`` lines along ``axis`` between the lines of ``x``, from its first to its last."""
    last, steps = x.shape[axis] - 1, max(size - 1, 1)
    low = [i * last // steps for i in range(size)]
    part = ops.convert_to_tensor([i * last % steps / steps for i in range(size)], dtype=x.dtype)
    part = part[:, None, None] if axis == 1 else part[:, None]
    low, high = take(x, low, axis), take(x, [min(k + 1, last) for k in low], axis)
    return low + part * (high - low)


def take(x: Tensor, lines: Sequence[int], axis: int) -> Tensor:
    return ops.take(x, ops.convert_to_tensor(lines, dtype='int32'), axis=axis)
