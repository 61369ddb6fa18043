"""The negative log-likelihood of an image's residuals under a Student t distribution, whose heavy tails forgive."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.granularity import image_sums
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.overlap import squared_errors
from mmseg_plugin.registry import register
from shared_spec import LOSSES

# of 1/z, 1/z^3, ...: what lgamma(z) is above (z - 1/2)*log(z) - z + log(2*pi)/2
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
MODERATE = 1e17  # squares of what is below are float32


@register
class RobustTLoss(Loss):
    """Robust T: -log of a Student t density in the residual of a whole image; mean over foreground maps, then images.

    With ``learn_nu`` the log of the degrees of freedom is the parameter ``log_nu``. An ignored pixel counts nowhere,
    an empty batch gives 0. Parameters, call and errors: ``segparity show RobustTLoss``. Source: arXiv 2306.00753.
    """

    spec_class = LOSSES['RobustTLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        nu: float = 1.0,
        learn_nu: bool = True,
        log_precision: float = 0.0,
        epsilon: float = 1e-8,
        loss_name: str = 'loss_robust_t',
    ) -> None:
        super().__init__(locals())
        if self.spec.learn_nu:
            self.log_nu = nn.Parameter(torch.tensor(math.log(self.spec.nu)))

    def compute(self, batch: Batch) -> Tensor:
        spec, c = self.spec, batch.channels
        first = 0 if c == 1 else 1  # channel 0 of several is the background
        missed, false, _ = squared_errors(batch).sums[:, :, first:]
        square, count = missed + false, batch.mass[:, None]
        w = batch.image_weight[:, None].to(square.dtype)  # which acts in the mean over images alone
        square, count = ratio(square, w, 0.0), ratio(count, w, 0.0)
        if spec.learn_nu:
            log_nu = self.log_nu.to(square.dtype)
        else:
            log_nu = square.new_full((), math.log(spec.nu))
        loss = self.negative_log_likelihood(count, square, log_nu).sum(1) / square.shape[1]

        total, images = sum_over_ranks({'mean': image_sums(batch, loss)}, spec.sync)['mean']
        return (spec.loss_weight * ratio(total, images, 0.0)).to(batch.dtype)

    def negative_log_likelihood(self, count: Tensor, square: Tensor, log_nu: Tensor) -> Tensor:
        """The loss of each map, with lgamma in Stirling's form.

        Large terms cancel before they are rounded, in the value and in the slope along log nu, which falls as 1 / nu. So
        nu is m / r, m the smaller of nu and MODERATE, and a = nu/2 itself is asked for only where nothing cancels.
        """
        eps, high = self.spec.epsilon, math.log(torch.finfo(log_nu.dtype).max) - 1
        h, t = count / 2, math.exp(self.spec.log_precision + eps) * square / 2
        top = math.log(MODERATE)
        large, small = log_nu > top, log_nu < 0
        m, r = torch.where(large, top, log_nu).exp(), (top - torch.where(large, log_nu, top)).exp()
        ra, rah, rat = m + eps * r, m + (eps + 2 * h) * r, m + (eps + 2 * t) * r  # 2r times a, a + h and a + t
        a = (log_nu.clamp(max=high).exp() + eps) / 2
        scale = 1 + math.log(2 * math.pi) - self.spec.log_precision - (eps * (-log_nu).exp()).log1p()
        u = 2 * r * (t - h) / rah
        near_one = u.abs() < 0.25
        near = (t - h) * log1p_share(torch.where(near_one, u, 0))
        inverse = 2 * r / torch.where(small, 1, ra)  # of a, where it is not below 1/2
        rise = torch.where(small, rah.log() - ra.log(), (h * inverse).log1p())
        return (
            torch.where(near_one, near, (a + h) * (rat / rah).log())
            + h * scale
            + rise / 2
            + above_stirling(a, inverse)
            - above_stirling(a + h, 2 * r / rah)
        )


def log1p_share(u: Tensor) -> Tensor:
    """log(1 + u) / u for |u| below 1/4, from the series of atanh; so its slope is exact as well."""
    w = u / (2 + u)
    return 1 - w + 2 * w * w / (2 + u) * in_squares(w, [1 / (2 * k + 3) for k in range(10)])


def above_stirling(x: Tensor, inverse: Tensor) -> Tensor:
    """lgamma(x) - Stirling's formula for it: the series at x above 8, at x + 8 and the recurrence down to x > 0 below."""
    series = inverse < 1 / 8
    x = torch.where(series, 1, x)
    steps = sum((x + k + 0.5) * (1 / (x + k)).log1p() for k in range(1, 8)) + (x + 0.5) * (x.log1p() - x.log()) - 8
    v = torch.where(series, inverse, 1 / (x + 8))
    return torch.where(series, 0, steps) + v * in_squares(v, STIRLING)


def in_squares(x: Tensor, factors: Sequence[Any]) -> Tensor:
    """factors[0] + factors[1]*x^2 + factors[2]*x^4 + ..."""
    return functools.reduce(lambda found, factor: found * x * x + factor, reversed(factors))
