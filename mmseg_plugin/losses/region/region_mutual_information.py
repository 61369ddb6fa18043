"""Region mutual information: pixels are compared together with their neighbours, beside a cross-entropy."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mmseg_plugin.arithmetic import accumulator_dtype, ratio, scale_part, times_log
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.granularity import image_sums
from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.pixel_sums import class_value, pixel_sum
from mmseg_plugin.kernels.twice import once_differentiable
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.registry import register
from shared_spec import LOSSES
from shared_spec.losses.region.region_mutual_information import ALPHA, CLIP, TINY


@register
class RegionMutualInformationLoss(Loss):
    """ce_weight * cross-entropy + (1 - ce_weight) * region mutual information, of regions of the pooled maps.

    An ignored pixel is a zero in both maps and counts nowhere else, an empty batch gives 0; 2-D images alone.
    Parameters, call and errors: ``segparity show RegionMutualInformationLoss``. Source: Zhao 2019, official code.
    """

    spec_class = LOSSES['RegionMutualInformationLoss']

    def __init__(
        self,
        *,
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        radius: int = 3,
        pool: str = 'max',
        pool_size: int = 3,
        ce_weight: float = 0.5,
        ce: str = 'sigmoid',
        loss_name: str = 'loss_region_mutual_information',
    ) -> None:
        super().__init__(locals())

    def pixel_loss(self, part: Batch) -> Tensor:
        """(N, 1, P) the softmax cross-entropy of each pixel, or the sigmoid one of each channel (N, C, P)."""
        if not part.softmax and part.logits and part.hard and part.labels.dim() == 2:
            own = part.at_own(part.pred)
            return -functional.logsigmoid(-part.pred.scatter(1, part.own, -own)).sum(1, keepdim=True)
        log_p, log_q = part.log_prob
        if log_q is not None:
            return -(times_log(part.target, log_p) + times_log(1 - part.target, log_q))
        return -part.log_prob_of_own if part.hard else -times_log(part.target, log_p).sum(1, keepdim=True)

    def of_classes(self, part: Batch) -> Tensor:
        """(N, C) the lower bound of each class."""
        p = part.pred.sigmoid() if part.logits else part.pred
        y = part.target
        if part.pixel_weight is not None or not part.visible:
            counts = part.counts[:, None].to(p.dtype)
            p, y = p * counts, y * counts
        p = p + CLIP if self.spec.ce == 'sigmoid' else p.clamp(min=CLIP)
        y, p = y.unflatten(2, part.space), p.unflatten(2, part.space)
        once = part.once
        return self.lower_bound(self.pool(y, once, nearest=True), self.pool(p, once), once)

    def compute(self, batch: Batch) -> Tensor:
        spec = self.spec
        self.spec.pooled_size(batch.space)
        ce, rmi = pixel_sum(batch, self.pixel_loss), class_value(batch, self.of_classes)
        parts = {'ce': torch.stack([ce.sum(), batch.mass.sum()]), 'rmi': image_sums(batch, rmi.sum(1))}

        parts = sum_over_ranks(parts, spec.sync)
        (ce, mass), (total, images) = parts['ce'], parts['rmi']
        ce, rmi = ratio(ce, mass + 1 if spec.ce == 'sigmoid' else mass, 0.0), ratio(total, images, 0.0)
        return (spec.loss_weight * (scale_part(spec.ce_weight, ce) + (1 - spec.ce_weight) * rmi)).to(batch.dtype)

    def pool(self, x: Tensor, once: bool, nearest: bool = False) -> Tensor:
        """(N, C, h, w) the maps after pooling; equal maxima share the gradient."""
        s, (height, width) = self.spec.stride, x.shape[2:]
        h, w = self.spec.pooled_size((height, width))
        if s == 1:
            return x
        if self.spec.pool == 'interpolate':
            shrink = nearest_lines if nearest else bilinear_lines
            return shrink(shrink(x, h, 2), w, 3)
        before = s // 2
        below, right = h * s - before - height, w * s - before - width  # negative: lines that no window reaches
        x = functional.pad(x, (before, right, before, below))
        if self.spec.pool == 'avg':
            return x.unflatten(3, (w, s)).unflatten(2, (h, s)).mean((3, 5))
        return LargestOfWindows.apply(x, s) if once else largest(x, s)

    def lower_bound(self, y: Tensor, p: Tensor, once: bool) -> Tensor:
        """(N, C) half the log-determinant of the labels' covariance given the probabilities, per pixel of a region.

        From maps (N, C, h, w). All covariances are entries of one product of the regions' vectors, labels before
        probabilities, in float64, whose rounding is small beside the ridge ALPHA.
        """
        r, (n, c) = self.spec.radius, y.shape[:2]
        maps = torch.stack([y, p], 2).flatten(0, 1).to(dtype=torch.float64, device=device_with_float64(p))
        vectors = functional.unfold(maps, r)
        both = Covariances.apply(vectors) if once else covariances(vectors)
        ridge = ALPHA * torch.eye(r * r, dtype=both.dtype, device=both.device)
        yy, yp, pp = both[:, : r * r, : r * r], both[:, : r * r, r * r :], both[:, r * r :, r * r :]
        half = torch.linalg.solve_triangular(cholesky(pp + ridge), yp.mT, upper=False)
        root = cholesky(yy - half.mT @ half + ridge)
        bound = torch.log(root.diagonal(dim1=1, dim2=2) + TINY).sum(1) / r**2
        return bound.reshape(n, c).to(dtype=accumulator_dtype(p), device=p.device)


class LargestOfWindows(torch.autograd.Function):
    """``largest``; equal maxima share the gradient, as in it, in fewer passes and without masks of bool."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, s: int) -> Tensor:
        top = largest(x, s)
        ctx.save_for_backward(x, top)
        ctx.side = s
        return top

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x, top), s = ctx.saved_tensors, ctx.side
        windows = x.unflatten(3, (-1, s)).unflatten(2, (-1, s))
        equal = torch.eq(windows, top[:, :, :, None, :, None], out=torch.empty_like(windows))
        share = grad / equal.sum((3, 5))
        return equal.mul_(share[:, :, :, None, :, None]).reshape(x.shape), None


def largest(x: Tensor, s: int) -> Tensor:
    """(N, C, H/s, W/s) the largest of each window of s x s."""
    return x.unflatten(2, (-1, s)).amax(3).unflatten(3, (-1, s)).amax(4)


class Covariances(torch.autograd.Function):
    """``covariances``, whose gradient is one product in place of two."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return covariances(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        both = grad + grad.mT
        return (both @ x).sub_(both @ x.mean(2, keepdim=True))


def covariances(x: Tensor) -> Tensor:
    """(N, K, K) sums of products of what differs from its mean, of N times K rows of L numbers."""
    means = x.mean(2, keepdim=True)
    return x @ x.mT - x.shape[2] * means @ means.mT


def device_with_float64(x: Tensor) -> torch.device:
    return torch.device('cpu') if x.device.type == 'mps' else x.device


def cholesky(x: Tensor) -> Tensor:
    """The factor; NaN where there is none (a prediction that is NaN), without an error or a wait for the device."""
    root, info = torch.linalg.cholesky_ex(x)
    return torch.where((info == 0)[..., None, None], root, torch.nan)


def nearest_lines(x: Tensor, size: int, axis: int) -> Tensor:
    """``size`` lines of ``x`` along ``axis``: line floor(i * length / size)."""
    length = x.shape[axis]
    return take(x, [i * length // size for i in range(size)], axis)


def bilinear_lines(x: Tensor, size: int, axis: int) -> Tensor:
    """``size`` lines along ``axis`` between the lines of ``x``, from its first to its last."""
    last, steps = x.shape[axis] - 1, max(size - 1, 1)
    below = [i * last // steps for i in range(size)]
    part = x.new_tensor([i * last % steps / steps for i in range(size)])
    part = part[:, None] if axis == 2 else part
    low, high = take(x, below, axis), take(x, [min(k + 1, last) for k in below], axis)
    return low + part * (high - low)


def take(x: Tensor, lines: Sequence[int], axis: int) -> Tensor:
    return x.index_select(axis, torch.tensor(lines, device=x.device))
