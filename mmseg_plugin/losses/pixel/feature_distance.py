"""Distances between feature vectors, such as those of a student and of its teacher."""

from typing import Any

import torch
from torch import Tensor

from mmseg_plugin.inputs import Batch, flat, prepare
from mmseg_plugin.losses.base import PixelLoss, check_tensors, in_common
from mmseg_plugin.registry import register
from shared_spec import LOSSES


@register
class FeatureDistanceLoss(PixelLoss):
    """Distance between two vectors of features, pred and target, both (N, K) or (N, K, *space); mean over samples.

    distance: 'jaccard' and 'dice' of features >= 0, 'l1', 'l2' and 'cosine' of any. The target gets no gradient. A sample of
    weight 0 counts nowhere, an empty batch gives 0. Parameters, call and errors: ``segparity show FeatureDistanceLoss``.
    Source: arXiv 2302.05666.
    """

    spec_class = LOSSES['FeatureDistanceLoss']

    def __init__(
        self,
        *,
        loss_weight: float = 1.0,
        sync: bool = True,
        distance: str = 'jaccard',
        reduction: str = 'mean',
        loss_name: str = 'loss_feature_distance',
    ) -> None:
        super().__init__(locals())

    def loss_of_call(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None,
        ignore_index: int | None,
        call: dict[str, Any],
        absent: bool,
        batches: dict[Any, Batch] | None = None,
    ) -> Tensor:
        check_tensors(self.spec_class.__name__, pred=pred, target=target, weight=weight)
        if call.pop('align_corners', None) is not None:
            raise TypeError(f'{self.spec_class.__name__}: align_corners has no meaning, pred holds no logits')
        batch = self.batch_of_features(pred, target, weight)
        return super().loss_of_call(pred, target, None, None, call, absent, {in_common(self.spec): batch})

    def batch_of_features(self, pred: Tensor, target: Tensor, weight: Tensor | None) -> Batch:
        """The batch of pred, and of the target's features as its map, 0 where a sample is absent."""
        spec = self.spec
        spec.check_call(tuple(pred.shape), tuple(target.shape), target.is_floating_point(), target.dtype, 'first')
        labels = torch.zeros((), dtype=torch.uint8, device=pred.device).expand(*pred.shape[:1], *pred.shape[2:])
        batch = prepare(spec, pred, labels, weight)
        features = flat(target.detach(), 2).to(batch.dtype)
        if batch.pixel_weight is not None:
            features = torch.where((batch.pixel_weight != 0)[:, None], features, 0)
        if batch.visible and spec.refuses_negative:
            for x in (batch.given, features):
                negative = x.detach() < 0
                if negative.any():
                    counts = True if batch.pixel_weight is None else (batch.pixel_weight != 0)[:, None].cpu().numpy()
                    spec.check_signs(x.detach().double().cpu().numpy(), counts)
        batch.maps['features'] = features
        return batch

    def compute(  # type: ignore[override]  # what reduction_of_call adds
        self, batch: Batch, reduction: str, avg_factor: float | Tensor | None
    ) -> Tensor:
        return self.reduce(batch, self.pixel_loss, reduction, avg_factor)

    def pixel_loss(self, part: Batch) -> Tensor:
        """(N, 1, P) the distance of each pixel's vectors."""
        kind, a, b = self.spec.distance, part.pred, part.maps['features']
        if kind == 'cosine':
            return cosine_distance(a, b)
        size = torch.maximum(largest(a), largest(b))  # so that no square, and no sum of a set's, goes beyond the range
        a, b = a / size, b / size
        if kind == 'l2':
            return size * length(a - b)
        gap = (a - b).abs().sum(1, keepdim=True)
        if kind == 'l1':
            return size * gap
        total = (a + b).sum(1, keepdim=True)
        gap = torch.where(((a < 0) | (b < 0)).any(1, keepdim=True), torch.nan, gap)
        whole, twice = (total + gap, 2) if kind == 'jaccard' else (total, 1)
        return twice * gap / torch.where(total == 0, 1, whole)


def largest(x: Tensor) -> Tensor:
    """(N, 1, P) the largest absolute value of each vector, 1 where it is 0; without a gradient."""
    found = x.detach().abs().amax(1, keepdim=True)
    return torch.where(found == 0, 1, found)


def length(x: Tensor) -> Tensor:
    """(N, 1, P) the length of each vector, with a gradient of 0 where it is 0."""
    square = (x * x).sum(1, keepdim=True)
    nothing = square == 0
    return torch.where(nothing, 0, torch.where(nothing, 1, square).sqrt())


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """(N, 1, P) half the squared distance of the unit vectors; 1 where one of two vectors is 0."""
    a, b = a / largest(a), b / largest(b)
    of_a, of_b = length(a), length(b)
    a, b = a / torch.where(of_a == 0, 1, of_a), b / torch.where(of_b == 0, 1, of_b)
    half = ((a - b) ** 2).sum(1, keepdim=True) / 2
    return torch.where((of_a == 0) != (of_b == 0), 1, half)
