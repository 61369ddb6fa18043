"""Three surrogates of the Hausdorff distance: by distance transforms, by erosions, by convolutions with discs."""

import copy
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.distance import both_sides, largest
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.pixel_sums import pixel_sum
from mmseg_plugin.losses.boundary.maps import MappedMean
from mmseg_plugin.registry import register
from shared_spec import LOSSES

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@register
class HausdorffDistanceLoss(MappedMean):
    """Surrogates of the Hausdorff distance: the squared errors weighed by distances, by how deep errors erode, or by discs.

    ``distance_map`` (N, C, *space) at the call is the distance of every pixel to the other side of its label, for
    method='distance_transform'; else the loss makes it. That of the prediction is made at every call. An ignored pixel
    counts nowhere, an empty batch gives 0. Parameters, call and errors: ``segparity show HausdorffDistanceLoss``. Source:
    arXiv 1904.10030.
    """

    spec_class = LOSSES['HausdorffDistanceLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        spacing: Sequence[float] | None = None,
        method: str = 'distance_transform',
        alpha: float = 2.0,
        erosions: int = 10,
        radii: Sequence[int] = (3, 6, 9, 12, 15, 18),
        classes: str | Sequence[int] = 'all',
        loss_name: str = 'loss_hausdorff_distance',
    ) -> None:
        super().__init__(locals())

    def compute(self, batch: Batch, distance_map: Tensor | None = None) -> Tensor:  # type: ignore[override]
        spec, weigh = self.spec, self.spec.method == 'distance_transform'
        spec.check_given(distance_map)
        if weigh:
            batch = self.with_map(batch, distance_map)
            batch.maps['distance_map'] = self.sum_of_powers(batch)
        else:
            batch.look()
        cells = self.counted_cells(batch)

        def costs(part: Batch) -> Tensor:
            cost = (part.prob - part.target).square() * part.maps['distance_map'] if weigh else self.cost(part)
            return cost if cells is None else cost * cells[part.images, :, None].to(part.dtype)

        total = pixel_sum(batch, costs) if weigh else batch.sum(costs(batch))
        counted = float(batch.channels) if cells is None else cells.sum(1)
        parts = sum_over_ranks(dict(loss=total.sum(), share=(batch.mass * counted).sum()), spec.sync)
        return (spec.loss_weight * ratio(parts['loss'], parts['share'], 0.0)).to(batch.dtype)

    def make_map(self, inside: Tensor, valid: Tensor, dtype: torch.dtype) -> Tensor:
        depth, gap = both_sides(inside, valid, self.spec.spacing, dtype)
        return depth + gap

    @torch.no_grad()
    def sum_of_powers(self, batch: Batch) -> Tensor:
        """(N, C, P) d(p > 1/2)^alpha + d(y)^alpha, 0 at absent pixels."""
        of_label = batch.maps['distance_map'].to(batch.dtype)
        valid = batch.counts.view(len(of_label), 1, *batch.space)
        prob = copy.copy(batch).prob  # which the batch would keep, without a gradient
        inside = (prob > 0.5).view(*of_label.shape[:2], *batch.space) & valid
        of_prediction = self.make_map(inside, valid, batch.dtype).flatten(2) if inside.numel() else of_label
        found = of_prediction**self.spec.alpha + of_label**self.spec.alpha
        return torch.where(valid.flatten(2), found, 0)

    def cost(self, batch: Batch) -> Tensor:
        """(N, C, P) that of erosions or of discs."""
        p, y = (x.view(len(x), batch.channels, *batch.space) for x in (batch.prob, batch.target))
        valid = batch.counts.view(len(p), 1, *batch.space)
        p = torch.where(valid, p, 0)
        error = (p - y).square()
        if not p.numel():
            return error.flatten(2)
        return (
            self.eroded(error, valid) if self.spec.method == 'erosion' else error * self.discs(p, y, valid)
        ).flatten(2)

    def eroded(self, b: Tensor, valid: Tensor) -> Tensor:
        """(N, C, *space) the sum over erosions of b."""
        axes, total = range(2, b.dim()), torch.zeros_like(b)
        for k in range(1, self.spec.erosions + 1):
            near = b + sum(neighbours(b, axis) for axis in axes)
            b = torch.where(valid, (near / (2 * len(axes) + 1) - 0.5).relu(), 0)
            low, high = -largest(torch.where(valid, -b, -torch.inf)), largest(b)
            span = high > low
            b = torch.where(valid & span, (b - torch.where(span, low, 0)) / torch.where(span, high - low, 1), b)
            total = total + b * float(k) ** self.spec.alpha
        return total

    def discs(self, p: Tensor, y: Tensor, valid: Tensor) -> Tensor:
        """(N, C, *space) what multiplies with the squared error."""
        total = torch.zeros_like(p)
        for r in self.spec.radii:
            near, far = (
                [(mean_over_disc(torch.where(valid, x, 0), r) - 0.5).relu() for x in pair]
                for pair in ((1 - y, p), (y, 1 - p))
            )
            total = total + float(r) ** self.spec.alpha * (sum(near) * p + sum(far) * y)
        return total


def neighbours(x: Tensor, axis: int) -> Tensor:
    """The sum of both neighbours along an axis, 0 outside."""
    sides = [0, 0] * (x.dim() - 1 - axis) + [1, 1]
    padded = functional.pad(x, sides)
    length = x.shape[axis]
    return padded.narrow(axis, 0, length) + padded.narrow(axis, 2, length)


def mean_over_disc(x: Tensor, radius: int) -> Tensor:
    """(N, C, *space) the mean over the pixels at most ``radius`` away, those outside the image 0."""
    axes = x.dim() - 2
    inside = [sum(i * i for i in o) <= radius**2 for o in itertools.product(range(-radius, radius + 1), repeat=axes)]
    disc = x.new_tensor(inside).view(1, 1, *(2 * radius + 1,) * axes) / sum(inside)
    return CONVOLUTIONS[axes](x.flatten(0, 1)[:, None], disc, padding=radius).view_as(x)
