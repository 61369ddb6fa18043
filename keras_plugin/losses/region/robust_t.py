"""The negative log-likelihood of an image's residuals under a Student t distribution, whose heavy tails forgive."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import backend, ops

from keras_plugin import hard_pixels
from keras_plugin.arithmetic import ratio
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.granularity import image_sums
from keras_plugin.inputs import Batch
from keras_plugin.layers.degrees_of_freedom import DegreesOfFreedom, newest_layer
from keras_plugin.losses.base import Loss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES, SpecError

# of 1/z, 1/z^3, ...: what lgamma(z) is above (z - 1/2)*log(z) - z + log(2*pi)/2
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
MODERATE = 1e17  # squares of what is below are float32


@keras.saving.register_keras_serializable(package='segparity')
class RobustTLoss(Loss):
    """Robust T: -log of a Student t density in the residual of a whole image; mean over foreground maps, then images.

    With ``learn_nu`` the log of the degrees of freedom is that of ``layer``, a ``DegreesOfFreedom`` of the model, given
    as itself or by its name, which means the newest layer of that name; so a saved model comes back with its own. The
    layer says where nu starts: ``nu`` stays at 1 or agrees. A copy of the model needs a loss with the copy's layer.
    An ignored pixel counts nowhere, an empty batch gives 0. Parameters, call and errors: ``segparity show RobustTLoss``.
    Source: arXiv 2306.00753.
    """

    spec_class = LOSSES['RobustTLoss']
    layer: DegreesOfFreedom | None
    layer_name: str | None

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        nu: float = 1.0,
        learn_nu: bool = False,
        log_precision: float = 0.0,
        epsilon: float = 1e-8,
        layer: DegreesOfFreedom | str | None = None,
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__({k: v for k, v in locals().items() if k != 'layer'})
        self.layer, self.layer_name = None, None
        if self.spec.learn_nu and layer is None:
            raise SpecError(
                'learn_nu=True needs layer, a keras_plugin.layers.DegreesOfFreedom that the model calls on its output, '
                'because fit trains the variables of layers alone',
                owner='RobustTLoss',
            )
        if layer is not None:
            self.tie(layer)

    def tie(self, layer: object) -> None:
        """Takes log_nu from ``layer``, a layer or the name of one that may be made later."""
        if not isinstance(layer, (DegreesOfFreedom, str)):
            allowed = 'a DegreesOfFreedom layer or the name of one'
            raise SpecError(owner='RobustTLoss', parameter='layer', given=layer, allowed=allowed)
        if not self.spec.learn_nu:
            rule = 'is given, which trains nu, but learn_nu is False'
            raise SpecError(rule, owner='RobustTLoss', parameter='layer', given=layer)
        self.layer_name = layer if isinstance(layer, str) else layer.name
        self.layer = newest_layer(layer) if isinstance(layer, str) else layer
        if self.layer is None:
            return
        default = self.spec.parameters()['nu'].default
        if self.spec.nu not in (default, self.layer.nu):
            raise SpecError(
                f'nu={self.spec.nu:g} contradicts the layer {self.layer_name!r}, where nu starts at '
                f'{self.layer.nu:g}; give nu to the layer alone',
                owner='RobustTLoss',
            )
        self.spec = dataclasses.replace(self.spec, nu=self.layer.nu)

    def log_nu(self, dtype: str) -> Tensor:
        """The log of the degrees of freedom, a scalar."""
        if not self.spec.learn_nu:
            return ops.convert_to_tensor(math.log(self.spec.nu), dtype=dtype)
        if self.layer is None:
            self.tie(self.layer_name)
        if self.layer is None or not self.layer.built:
            raise ValueError(
                f'RobustTLoss: no model has called the DegreesOfFreedom layer {self.layer_name!r} yet; call it on the '
                'output of the model that is trained, outputs = layer(logits)'
            )
        return ops.cast(self.layer.log_nu, dtype)

    def compute(self, batch: Batch) -> Tensor:
        spec, c = self.spec, batch.channels
        first = 0 if c == 1 else 1  # channel 0 of several is the background
        square = squared_errors(batch)[:, first:]  # of all, so that NaN of the background shows
        count = batch.sum(ops.ones_like(batch.given[..., :1]))
        dtype = backend.standardize_dtype(square.dtype)
        w = ops.cast(batch.image_weight[:, None], dtype)  # which acts in the mean over images alone
        square, count = ratio(square, w, 0.0), ratio(count, w, 0.0)
        log_nu = self.log_nu(dtype)
        loss = ops.sum(self.negative_log_likelihood(count, square, log_nu), axis=1) / square.shape[-1]

        parts = sum_over_replicas({'mean': image_sums(batch, loss)}, spec.sync)
        return ops.cast(spec.loss_weight * ratio(parts['mean'][0], parts['mean'][1], 0.0), batch.dtype)

    def negative_log_likelihood(self, count: Tensor, square: Tensor, log_nu: Tensor) -> Tensor:
        """The loss of each map, with lgamma in Stirling's form.

        Large terms cancel before they are rounded, in the value and in the slope along log nu, which falls as 1 / nu. So
        nu is m / r, m the smaller of nu and MODERATE, and a = nu/2 itself is asked for only where nothing cancels.
        """
        eps, high = self.spec.epsilon, math.log(np.finfo(backend.standardize_dtype(log_nu.dtype)).max) - 1
        h, t = count / 2, math.exp(self.spec.log_precision + eps) * square / 2
        one, top = ops.ones_like(log_nu), math.log(MODERATE) * ops.ones_like(log_nu)
        large, small = log_nu > top, log_nu < 0
        m, r = ops.exp(ops.where(large, top, log_nu)), ops.exp(top - ops.where(large, log_nu, top))
        ra, rah, rat = m + eps * r, m + (eps + 2 * h) * r, m + (eps + 2 * t) * r  # 2r times a, a + h and a + t
        a = (ops.exp(ops.where(log_nu < high, log_nu, high * one)) + eps) / 2
        scale = 1 + math.log(2 * math.pi) - self.spec.log_precision - ops.log1p(eps * ops.exp(-log_nu))
        u = 2 * r * (t - h) / rah
        near_one = ops.abs(u) < 0.25
        near = (t - h) * log1p_share(ops.where(near_one, u, ops.zeros_like(u)))
        inverse = 2 * r / ops.where(small, one, ra)  # of a, where it is not below 1/2
        rise = ops.where(small, ops.log(rah) - ops.log(ra), ops.log1p(h * inverse))
        return (
            ops.where(near_one, near, (a + h) * ops.log(rat / rah))
            + h * scale
            + rise / 2
            + above_stirling(a, inverse)
            - above_stirling(a + h, 2 * r / rah)
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), 'layer': self.layer_name}

    def __dir__(self) -> list[str]:
        """Without ``layer``: Keras saves what it finds here, and the layer's weight has its place in the model."""
        return [name for name in super().__dir__() if name != 'layer']


def squared_errors(batch: Batch) -> Tensor:
    """(N, C) sums over pixels of the squared difference between probability and label."""
    if not hard_pixels.takes(batch):
        return batch.sum((batch.prob - batch.target) ** 2)
    margin, others = hard_pixels.margin_and_sums(batch, hard_pixels.SQUARE)
    (own,) = hard_pixels.sum_by_class(batch, hard_pixels.own_and_rest(margin)[1] ** 2)
    return others + own


def log1p_share(u: Tensor) -> Tensor:
    """log(1 + u) / u for |u| below 1/4, from the series of atanh; so its slope is exact as well."""
    w = u / (2 + u)
    return 1 - w + 2 * w * w / (2 + u) * in_squares(w, [1 / (2 * k + 3) for k in range(10)])


def above_stirling(x: Tensor, inverse: Tensor) -> Tensor:
    """lgamma(x) - Stirling's formula for it: the series at x above 8, at x + 8 and the recurrence down to x > 0 below."""
    series, one = inverse < 1 / 8, ops.ones_like(x)
    x = ops.where(series, one, x)
    steps = sum((x + k + 0.5) * ops.log1p(1 / (x + k)) for k in range(1, 8)) - 8
    steps = steps + (x + 0.5) * (ops.log1p(x) - ops.log(x))
    v = ops.where(series, inverse, 1 / (x + 8))
    return ops.where(series, 0 * one, steps) + v * in_squares(v, STIRLING)


def in_squares(x: Tensor, factors: Sequence[float]) -> Tensor:
    """factors[0] + factors[1]*x^2 + factors[2]*x^4 + ..."""
    return functools.reduce(lambda found, factor: found * x * x + factor, reversed(factors))
