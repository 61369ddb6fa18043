"""Conditional boundary loss: features at a boundary are drawn to those of their class around them, and told from others."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import accumulator_dtype, ratio, scale_part
from mmseg_plugin.boundaries import wide_boundary
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.features import Features, features_of, neighbours, pairs, sampled
from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.pixel_maps import pixel_map
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.registry import register
from mmseg_plugin.values import can_look
from shared_spec import LOSSES
from shared_spec.features import offsets
from shared_spec.losses.boundary.conditional_boundary import TINY


class Places(NamedTuple):
    """``Features``, and at their places (N, H, W): what is predicted right, and the boundary; image_weight (N,)."""

    features: Features
    right: Tensor
    edge: Tensor
    image_weight: Tensor


@register
class ConditionalBoundaryLoss(Loss):
    """Three terms of features around boundary pixels: cosines, a frozen classifier on means, the distance to a mean.

    At the call: ``embedding`` (N, D, h, w); ``classifier``, the weight (C, D) or (C, D, 1, 1) and the bias (C,) of the layer
    that makes logits of features; ``boundary`` (N, H, W) of 0 and 1, made where it is not given. Pictures alone. Nothing
    to compare is 0, an ignored pixel has no part but in context, as ``ignored`` says. Parameters, call and errors:
    ``segparity show ConditionalBoundaryLoss``. Source: Wu et al., 2023.
    """

    spec_class = LOSSES['ConditionalBoundaryLoss']

    def __init__(
        self,
        *,
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        window: int = 5,
        weight_context: float = 1.0,
        weight_classify: float = 0.2,
        weight_a2c: float = 2.0,
        skip_class: int | None = None,
        ignored: str = 'differ',
        boundary_ratio: float = 0.02,
        loss_name: str = 'loss_conditional_boundary',
    ) -> None:
        super().__init__(locals())

    def compute(  # type: ignore[override]
        self, batch: Batch, embedding: Tensor, classifier: Sequence[Tensor], boundary: Tensor | None = None
    ) -> Tensor:
        spec = self.spec
        places, wrong = self.places(batch, embedding, boundary)
        weight, bias = self.frozen(places.features.embedding, batch.channels, classifier)
        nothing = places.features.nothing + wrong + 0 * (weight.sum() + bias.sum())
        context, means = self.context(places), self.of_means(places, weight, bias)
        sums = sum_over_ranks(dict(context=context, means=means, nothing=nothing.to(means.dtype)), spec.sync)
        of_all, all_weight, of_right, right_weight, gap = sums['means']
        cosines, images = sums['context']
        classify = over_classes(ratio(of_all, all_weight, 0.0) + ratio(of_right, right_weight, 0.0), right_weight)
        a2c = over_classes(ratio(gap, right_weight, 0.0), right_weight)
        parts = (
            (spec.weight_context, ratio(cosines, images, 0.0)),
            (spec.weight_classify, classify),
            (spec.weight_a2c, a2c),
        )
        total = sum((scale_part(factor, part) for factor, part in parts), sums['nothing'])
        return (spec.loss_weight * total).to(batch.dtype)

    def places(self, batch: Batch, embedding: Tensor, boundary: Tensor | None) -> tuple[Places, Tensor]:
        """What the three terms look at, and 0, or NaN for a boundary that is none where nobody looks."""
        features, spec = features_of(batch, embedding, everywhere=self.spec.ignored == 'differ'), self.spec
        size, wrong = embedding.shape[2:], features.weight.new_zeros(())
        if boundary is None:
            edge = wide_boundary(batch, spec.boundary_ratio)
        else:
            edge, wrong = self.given_edge(batch, boundary)
        guess = sampled(batch, pixel_map(batch, predicted_class), size)
        edge = sampled(batch, edge, size) & (features.weight != 0)
        return Places(features, guess == features.label, edge, batch.image_weight), wrong

    def given_edge(self, batch: Batch, boundary: Tensor) -> tuple[Tensor, Tensor]:
        """(N, P) the boundary that a call was given, and 0 or NaN."""
        if not torch.is_tensor(boundary):
            raise TypeError(f'{batch.owner}: boundary must be a torch.Tensor, got {type(boundary).__name__}')
        self.spec.check_boundary(boundary.shape, (batch.shape[0], *batch.space))
        given, counts = boundary.flatten(1), batch.counts
        wrong = (counts & (given != 0) & (given != 1)).any()
        if can_look(given, counts) and wrong:
            self.spec.check_boundary_values(given.double().cpu().numpy(), counts.cpu().numpy())
        return given == 1, torch.where(wrong, torch.nan, 0.0)

    def frozen(self, embedding: Tensor, channels: int, classifier: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """(C, D) and (C,) the classifier in the embedding's dtype, without a gradient."""
        name = self.spec_class.__name__
        if not isinstance(classifier, Sequence) or len(classifier) != 2 or not all(map(torch.is_tensor, classifier)):
            raise TypeError(f'{name}: classifier must be a pair of tensors, weight and bias')
        weight, bias = (x.detach().to(embedding.dtype) for x in classifier)
        self.spec.check_classifier(weight.shape, bias.shape, channels, embedding.shape[1])
        return weight.flatten(1), bias

    def context(self, places: Places) -> Tensor:
        """(2,) the sum over images of how far cosines are from what they should be, and the sum of the images' weights."""
        e, label, weight, _ = places.features
        squares = (e * e).sum(1, keepdim=True)
        unit = e * torch.where(squares == 0, 0, torch.where(squares == 0, 1, squares).rsqrt())
        wide, reach = accumulator_dtype(e), self.spec.window // 2
        centre = places.edge if self.spec.skip_class is None else places.edge & (label != self.spec.skip_class)
        centre = torch.where(centre & inner(label.shape[1:], reach, label.device), weight, 0)
        total = pairs_weight = weight.new_zeros(len(weight), dtype=wide)
        for step in offsets(self.spec.window, 2):
            if step < (0, 0):
                continue  # the same pairs, seen from the other pixel
            (one, other), (of_one, of_other), (own, theirs) = (pairs(x, step) for x in (unit, centre, label))
            if self.spec.ignored == 'mask':
                of_one, of_other = torch.where(theirs < 0, 0, of_one), torch.where(own < 0, 0, of_other)
            share = of_one + of_other
            cost = share * ((one * other).sum(1) - (own == theirs).to(one.dtype)) ** 2
            total, pairs_weight = total + cost.sum((1, 2), dtype=wide), pairs_weight + share.sum((1, 2), dtype=wide)
        images = torch.where(pairs_weight == 0, 0, places.image_weight.to(wide))
        return torch.stack([(images * ratio(total, pairs_weight, 0.0)).sum(), images.sum()])

    def of_means(self, places: Places, weight: Tensor, bias: Tensor) -> Tensor:
        """(5, K) sums over the pixels of each class: cross-entropies and weights of m, and of r; squared distances to r."""
        e, label, w, _ = places.features
        scores = torch.einsum('cd,ndhw->nchw', weight, e)  # of the classifier, which is as linear as a mean
        numbered = torch.cat([torch.ones_like(scores[:, :1]), scores], 1)
        of_right = torch.where(places.right, label, -1)
        costs, share = [], torch.where(places.edge, w, 0)
        for codes, own in ((label, share), (of_right, torch.where(places.right, share, 0))):
            found = self.around(numbered, codes, label)
            number, z = found[:, 0], found[:, 1:] / (found[:, :1] + TINY) + bias[:, None, None]
            z = z if z.shape[1] > 1 else torch.cat([torch.zeros_like(z), z], 1)
            loss = torch.nn.functional.cross_entropy(z, label.clamp(min=0), reduction='none')
            share = torch.where(number >= 1, own, 0)
            costs += [torch.where(share == 0, 0, share * loss), share]
        with torch.no_grad():
            mean = self.around(e.detach(), of_right, label) / (found[:, :1].detach() + TINY)
        gap = ((e - mean) ** 2).mean(1)
        terms = torch.stack([*costs, torch.where(share == 0, 0, share * gap)]).flatten(1)
        sums = terms.new_zeros(len(terms), max(2, len(bias)), dtype=accumulator_dtype(terms))
        return sums.scatter_add(1, label.clamp(min=0).flatten().expand_as(terms), terms.to(sums.dtype))

    def around(self, x: Tensor, codes: Tensor, label: Tensor) -> Tensor:
        """(N, K, H, W) the sum of x over the pixels of the window around each whose code is its own label."""
        total, window = torch.zeros_like(x), self.spec.window
        for code, other in zip(neighbours(codes, window, empty=-2), neighbours(x, window)):
            total = total + torch.where((code == label)[:, None], other, 0)
        return total


def predicted_class(part: Batch) -> Tensor:
    """(n, 1, p) the class that has the largest logit or probability."""
    if part.channels > 1:
        return part.pred.argmax(1, keepdim=True)
    return (part.pred > (0 if part.logits else 0.5)).long()


def inner(size: Sequence[int], reach: int, device: torch.device) -> Tensor:
    """(H, W) whether all pixels up to ``reach`` away lie in the image."""
    rows, columns = ((place >= reach) & (place < n - reach) for n in size for place in [torch.arange(n, device=device)])
    return rows[:, None] & columns


def over_classes(x: Tensor, weight: Tensor) -> Tensor:
    """The mean of x (K,) over the classes whose weight is not 0; 0 where there is none."""
    some = weight != 0
    return ratio(torch.where(some, x, 0).sum(), some.sum().to(x.dtype), 0.0)
