"""Cross-entropy with class weights of every kind, hard and soft labels, label smoothing."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import clamp, ratio, times_log
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.pixel_sums import pixel_sum
from mmseg_plugin.losses.base import PixelLoss
from mmseg_plugin.losses.pixel.small_mean import small_mean
from mmseg_plugin.overlap import shared_logs
from mmseg_plugin.registry import register
from shared_spec import LOSSES, shapes

WISHES = 'reduction_override', 'avg_factor', 'align_corners'  # of a call, None where it has none


@register
class WeightedCrossEntropyLoss(PixelLoss):
    """Cross-entropy with class weights of every kind, hard or soft labels, label smoothing; softmax or sigmoid.

    A class weight list joins the denominator for hard labels, as in PyTorch, unless ``divisor`` says otherwise. An
    ignored pixel counts nowhere, an empty batch gives 0. Parameters, call and errors: ``segparity show WeightedCrossEntropyLoss``. Source: PyTorch.
    """

    spec_class = LOSSES['WeightedCrossEntropyLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        class_weight: str | Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        pos_weight: float | Sequence[float] | None = None,
        divisor: str = 'valid',
        reduction: str = 'mean',
        loss_name: str = 'loss_weighted_cross_entropy',
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
        if weight is None and batches is None and not absent:
            asked = {name: x for name, x in call.items() if x is not None or name not in WISHES}
            mean = {'reduction_override': self.reduction} | asked == {'reduction_override': 'mean'}
            loss = small_mean(self.spec, pred, target, ignore_index) if mean else None
            if loss is not None:
                return loss
        return super().loss_of_call(pred, target, weight, ignore_index, call, absent, batches)

    def compute(  # type: ignore[override]  # what reduction_of_call adds
        self, batch: Batch, reduction: str, avg_factor: float | Tensor | None
    ) -> Tensor:
        spec = self.spec
        spec.pos_weights(batch.channels, batch.softmax)  # which refuses what has no meaning
        w, size, mass = self.weights(batch)
        if reduction == 'none':
            return self.map_of(batch, self.pixel_loss(batch, w), mass, avg_factor)

        logs = shared_logs(batch) if batch.hard and batch.softmax and spec.label_smoothing == 0 else None
        if logs is None:
            total = pixel_sum(batch, lambda part: self.pixel_loss(part, w)).sum()
        else:
            total = (logs if w is None else apply_class_weight(w, logs)).sum()
        if reduction == 'mean' and avg_factor is not None:  # the caller's sum over ranks: each divides its own pixels
            total = self.divide(total, avg_factor, mass)
        else:
            share = mass if size is None or w is None else apply_class_weight(w, size).sum()
            if spec.divisor == 'all':
                share = torch.full_like(mass, batch.shape[0] * batch.shape[2])
            parts = sum_over_ranks({'loss': total, 'share': share}, spec.sync)
            total = ratio(parts['loss'], parts['share'], 0.0) if reduction == 'mean' else parts['loss']
        return (spec.loss_weight * total).to(batch.dtype)

    def pixel_loss(self, part: Batch, w: Tensor | None) -> Tensor:
        """(N, 1, P) the loss of each pixel."""
        e, c = self.spec.label_smoothing, part.channels
        if w is not None:
            w = (w[part.images] if w.dim() == 2 else w[None])[:, :, None].to(part.dtype)
        if part.softmax and part.hard:
            loss = -part.log_prob_of_own
            if w is not None:
                loss = apply_class_weight(part.at_own(w.expand(len(loss), -1, loss.shape[2])), loss)
            if e == 0:
                return loss
            log_p = part.log_prob[0]
            every = -log_p.sum(1, keepdim=True) if w is None else apply_class_weight(w, -log_p).sum(1, keepdim=True)
            return (1 - e) * loss + e / c * every
        log_p, log_not_p = part.log_prob
        y = part.target if e == 0 else (1 - e) * part.target + e / (c if log_not_p is None else 2)
        if log_not_p is None:
            return -times_log(y if w is None else w * y, log_p).sum(1, keepdim=True)
        positive, negative = y, 1 - y
        if w is not None:
            of_positive, of_negative = (w, w)
            if self.spec.class_weight == 'balanced':
                of_negative = 1 - w
            elif w.shape[1] > c:  # one channel as two classes
                of_negative, of_positive = w.split(1, 1)
            positive, negative = of_positive * positive, of_negative * negative
        factors = self.spec.pos_weights(part.channels, part.softmax)
        positive = positive if factors is None else part.of_each(factors) * positive
        return -(times_log(positive, log_p) + times_log(negative, log_not_p)).mean(1, keepdim=True)

    def weights(self, batch: Batch) -> tuple[Tensor | None, Tensor | None, Tensor]:
        """(weights, sizes, mass): a weight for each class, (C,) or (N, C) for balanced, or None.

        The sizes of the classes (C,) where the weights join the denominator, else None; mass: the weight of all pixels.
        """
        spec, c, mass = self.spec, batch.channels, batch.mass
        name, softmax = type(spec).__name__, batch.softmax
        if spec.class_weight is None:
            return None, None, mass.sum()
        if spec.class_weight == 'balanced':
            if softmax:
                raise ValueError(f"{name}: class_weight='balanced' is binary: it needs one channel or sigmoid channels")
            share = ratio(mass[:, None] - batch.class_sizes, mass[:, None], 0.0)
            return share, None, mass.sum()
        sizes = batch.class_sizes.sum(0)
        if c == 1 and spec.takes_two_weights:  # the softmax form of one channel, which has a background
            sizes, softmax = torch.cat([mass.sum() - sizes, sizes]), True
        if spec.class_weight == 'inverse_frequency':
            parts = sum_over_ranks({'sizes': sizes, 'mass': mass.sum()}, spec.sync)
            w = ratio(parts['mass'], len(sizes) * parts['sizes'], 0.0).detach()
        else:
            shapes.check_class_weight(name, spec.class_weight, (len(sizes),))
            w = sizes.new_tensor(spec.class_weight)
        joins = batch.hard and softmax and spec.divisor == 'valid'
        return w, sizes if joins else None, mass.sum()


def apply_class_weight(w: Tensor, loss: Tensor) -> Tensor:
    """w * loss; 0 for a class of weight 0 whose logits are -inf."""
    most = torch.finfo(loss.dtype).max
    return w * torch.where(w == 0, clamp(loss, -most, most), loss)
