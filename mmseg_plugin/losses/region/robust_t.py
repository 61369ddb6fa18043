"""The negative log-likelihood of an image's residuals under a Student t distribution, whose heavy tails forgive."""

import math

import torch
from torch import nn

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.granularity import image_sums
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.registry import register
from shared_spec import LOSSES

# of 1/z, 1/z^3, ...: what lgamma(z) is above (z - 1/2)*log(z) - z + log(2*pi)/2
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)


@register
class RobustTLoss(Loss):
    """Robust T: -log of a Student t density in the residual of a whole image; mean over foreground maps, then images.

    With ``learn_nu`` the log of the degrees of freedom is the parameter ``log_nu``. An ignored pixel counts nowhere,
    an empty batch gives 0. Parameters, call and errors: ``segparity show RobustTLoss``. Source: arXiv 2306.00753.
    """

    spec_class = LOSSES['RobustTLoss']

    def __init__(
        self, *, activation='softmax', from_logits=True, ignore_index=None, sync=True, loss_weight=1.0, nu=1.0,
        learn_nu=True, log_precision=0.0, epsilon=1e-8, loss_name='loss_robust_t',
    ):  # fmt: skip
        super().__init__(locals())
        if self.spec.learn_nu:
            self.log_nu = nn.Parameter(torch.tensor(math.log(self.spec.nu)))

    def compute(self, batch):
        spec, c = self.spec, batch.channels
        first = 0 if c == 1 else 1  # channel 0 of several is the background
        p, y = batch.prob[:, first:], batch.target[:, first:]
        square, count = batch.sum((p - y) ** 2), batch.sum(torch.ones_like(p[:, :1]))
        w = batch.image_weight[:, None].to(square.dtype)  # which acts in the mean over images alone
        square, count = ratio(square, w, 0.0), ratio(count, w, 0.0)
        if spec.learn_nu:
            log_nu = self.log_nu.to(square.dtype)
        else:
            log_nu = square.new_full((), math.log(spec.nu))
        loss = self.negative_log_likelihood(count, square, log_nu).sum(1) / p.shape[1]

        parts = sum_over_ranks({'mean': image_sums(batch, loss)}, spec.sync)
        return (spec.loss_weight * ratio(*parts['mean'], 0.0)).to(batch.dtype)

    def negative_log_likelihood(self, count, square, log_nu):
        """The loss of each map, with lgamma in Stirling's form: its large terms cancel before they are rounded."""
        precision = math.exp(self.spec.log_precision + self.spec.epsilon)
        a, h, t = (log_nu.exp() + self.spec.epsilon) / 2, count / 2, precision * square / 2
        scale = 1 + math.log(2 * math.pi) - self.spec.log_precision - (self.spec.epsilon * (-log_nu).exp()).log1p()
        return (
            (a + h) * log_ratio(a, t, h) + h * scale + (h / a).log1p() / 2 + above_stirling(a) - above_stirling(a + h)
        )


def log_ratio(a, t, h):
    """log((a + t) / (a + h)), accurate near 1 and near 0."""
    u = (t - h) / (a + h)
    near_one = u.abs() < 0.5
    return torch.where(near_one, torch.where(near_one, u, 0).log1p(), ((a + t) / (a + h)).log())


def above_stirling(x):
    """lgamma(x) - Stirling's formula for it, from the series at x + 8 and the recurrence down to x > 0."""
    steps = sum((x + k + 0.5) * (1 / (x + k)).log1p() - 1 for k in range(8))
    return steps + sum(b / (x + 8) ** (2 * k + 1) for k, b in enumerate(STIRLING))
