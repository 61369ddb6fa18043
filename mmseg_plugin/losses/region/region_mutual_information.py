"""Region mutual information: pixels are compared together with their neighbours, beside a cross-entropy."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mmseg_plugin.arithmetic import accumulator_dtype, ratio, scale_part, times_log
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.granularity import image_sums
from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.pixel_sums import class_value, pixel_sum
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
        log_p, log_q = part.log_prob
        if log_q is not None:
            return -(times_log(part.target, log_p) + times_log(1 - part.target, log_q))
        return -part.log_prob_of_own if part.hard else -times_log(part.target, log_p).sum(1, keepdim=True)

    def of_classes(self, part: Batch) -> Tensor:
        """(N, C) the lower bound of each class."""
        p = part.pred.sigmoid() if part.logits else part.pred
        y = part.target
        if part.pixel_weight is not None or not part.visible:
            p, y = (torch.where(part.counts[:, None], x, 0) for x in (p, y))
        p = p + CLIP if self.spec.ce == 'sigmoid' else p.clamp(min=CLIP)
        y, p = y.unflatten(2, part.space), p.unflatten(2, part.space)
        return self.lower_bound(self.regions(self.pool(y, nearest=True)), self.regions(self.pool(p)))

    def compute(self, batch: Batch) -> Tensor:
        spec = self.spec
        self.spec.pooled_size(batch.space)
        ce, rmi = pixel_sum(batch, self.pixel_loss), class_value(batch, self.of_classes)
        parts = {'ce': torch.stack([ce.sum(), batch.mass.sum()]), 'rmi': image_sums(batch, rmi.sum(1))}

        parts = sum_over_ranks(parts, spec.sync)
        (ce, mass), (total, images) = parts['ce'], parts['rmi']
        ce, rmi = ratio(ce, mass + 1 if spec.ce == 'sigmoid' else mass, 0.0), ratio(total, images, 0.0)
        return (spec.loss_weight * (scale_part(spec.ce_weight, ce) + (1 - spec.ce_weight) * rmi)).to(batch.dtype)

    def pool(self, x: Tensor, nearest: bool = False) -> Tensor:
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
        x = functional.pad(x, (before, right, before, below)).unflatten(3, (w, s)).unflatten(2, (h, s))
        return x.mean((3, 5)) if self.spec.pool == 'avg' else x.amax((3, 5))

    def regions(self, x: Tensor) -> Tensor:
        """(N, C, radius^2, number of regions) the maps' regions as vectors, centred."""
        r = self.spec.radius
        h, w = x.shape[2] - r + 1, x.shape[3] - r + 1
        x = x.to(accumulator_dtype(x))
        x = torch.stack([x[:, :, i : i + h, j : j + w] for i in range(r) for j in range(r)], 2).flatten(3)
        return x - x.mean(3, keepdim=True)

    def lower_bound(self, y: Tensor, p: Tensor) -> Tensor:
        """(N, C) half the log-determinant of the labels' covariance given the probabilities, per pixel of a region.

        With w = yp_cov (p_cov + ALPHA)^-1 the covariance is (y - w p)(y - w p)^T + ALPHA w w^T, which cancels nothing.
        As w makes that smallest, its own error and gradient drop out. The vectors hold differences between neighbours,
        less alike than the pixels; as ``step`` is unit triangular, the diagonal of the factor stays the same.
        """
        r = self.spec.radius
        step = p.new_tensor([[(i == j) - (i == j + 1) for j in range(r)] for i in range(r)])
        step = torch.kron(step, step)
        y, p, ridge = step @ y, step @ p, ALPHA * step @ step.mT
        with torch.no_grad():
            root = cholesky(p @ p.mT + ridge)
            w = solve(root, p @ y.mT).mT
            w = w + solve(root, p @ (y - w @ p).mT - ridge @ w.mT).mT  # what float32 missed
        rest = y - w @ p
        root = cholesky(rest @ rest.mT + w @ ridge @ w.mT + ridge)
        return torch.log(root.diagonal(dim1=2, dim2=3) + TINY).sum(2) / r**2


def cholesky(x: Tensor) -> Tensor:
    """The factor; NaN where there is none (a prediction that is NaN), without an error or a wait for the device."""
    root, info = torch.linalg.cholesky_ex(x)
    return torch.where((info == 0)[..., None, None], root, torch.nan)


def solve(root: Tensor, b: Tensor) -> Tensor:
    """(root root^T)^-1 b."""
    return torch.cholesky_solve(b, root)


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
