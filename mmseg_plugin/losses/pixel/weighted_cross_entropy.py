"""Cross-entropy with class weights of every kind, hard and soft labels, label smoothing."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import ratio, times_log
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import PixelLoss
from mmseg_plugin.registry import register
from shared_spec import LOSSES, shapes


@register
class WeightedCrossEntropyLoss(PixelLoss):
    """Cross-entropy with class weights of every kind, hard or soft labels, label smoothing; softmax or sigmoid.

    A class weight list joins the denominator for hard labels, as in PyTorch. An ignored pixel counts nowhere, an
    empty batch gives 0. Parameters, call and errors: ``segparity show WeightedCrossEntropyLoss``. Source: PyTorch.
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
        reduction: str = 'mean',
        loss_name: str = 'loss_weighted_cross_entropy',
    ) -> None:
        super().__init__(locals())

    def compute(  # type: ignore[override]  # what reduction_of_call adds
        self, batch: Batch, reduction: str, avg_factor: float | Tensor | None
    ) -> Tensor:
        spec, y = self.spec, batch.target
        log_p, log_not_p = batch.log_prob
        if y.shape[1] == 1 and spec.takes_two_weights:  # the two-channel softmax form of one channel, which has both
            log_p, y = torch.cat([log_not_p, log_p], 1), torch.cat([1 - y, y], 1)  # type: ignore[list-item]
            log_not_p = None
        c, e = y.shape[1], spec.label_smoothing
        softmax = log_not_p is None
        smoothed = (1 - e) * y + e / (c if softmax else 2)
        positive = -times_log(smoothed, log_p)
        negative = None if log_not_p is None else -times_log(1 - smoothed, log_not_p)
        size, mass = batch.sum(y), batch.sum(torch.ones_like(y[:, :1]))
        if reduction == 'none':
            loss = self.pixel_map(batch, positive, negative, size, mass)
            # nothing is divided, as in MMSegmentation; what is no divisor is wrong all the same
            return (
                loss if avg_factor is None else loss.where(self.divisor(avg_factor, mass.sum(), loss) >= 0, torch.nan)
            )

        parts = {'size': size.sum(0), 'mass': mass.sum(0)}
        if spec.class_weight == 'balanced':
            w, _ = self.weights(size, mass, softmax, batch.hard)
            of_negatives = batch.sum(negative)  # type: ignore[arg-type]  # weights refuses softmax
            parts['loss'] = (apply_class_weight(w, batch.sum(positive)) + apply_class_weight(1 - w, of_negatives)).sum(
                0
            )
            w = torch.ones_like(size[0])
        else:
            parts['loss'] = batch.sum(positive if negative is None else positive + negative).sum(0)
        if avg_factor is None:
            parts = sum_over_ranks(parts, spec.sync)
        else:  # the caller's sum over ranks: each rank divides its own pixels
            parts.update(self.sum_sizes_over_ranks(size, mass))
        size, mass = parts['size'], parts['mass']
        joins = False
        if spec.class_weight != 'balanced':
            w, joins = self.weights(size, mass, softmax, batch.hard)
        total = apply_class_weight(w, parts['loss']).sum() / (1 if softmax else c)
        if reduction == 'mean':
            if avg_factor is None:
                total = ratio(total, (w * size).sum() if joins else mass.sum(), 0.0)
            else:
                total = self.divide(total, avg_factor, mass.sum())
        return (spec.loss_weight * total).to(batch.dtype)

    def pixel_map(self, batch: Batch, positive: Tensor, negative: Tensor | None, size: Tensor, mass: Tensor) -> Tensor:
        """(N, *space) the unreduced loss."""
        if self.spec.class_weight == 'balanced':
            w, _ = self.weights(size, mass, negative is None, batch.hard)
        else:
            parts = self.sum_sizes_over_ranks(size, mass)
            w, _ = self.weights(parts['size'], parts['mass'], negative is None, batch.hard)
        w = w[..., None].to(positive.dtype)
        if negative is None:
            loss = apply_class_weight(w, positive).sum(1)
        else:
            w_negative = 1 - w if self.spec.class_weight == 'balanced' else w
            loss = (apply_class_weight(w, positive) + apply_class_weight(w_negative, negative)).mean(1)
        return (self.spec.loss_weight * batch.weight * loss).reshape(loss.shape[0], *batch.space)

    def sum_sizes_over_ranks(self, size: Tensor, mass: Tensor) -> dict[str, Tensor]:
        """(C,) the size of each class and (1,) that of the batch, as class frequencies need them; else this rank's."""
        frequencies = self.spec.class_weight == 'inverse_frequency'
        return sum_over_ranks({'size': size.sum(0), 'mass': mass.sum(0)}, self.spec.sync and frequencies)

    def weights(self, size: Tensor, mass: Tensor, softmax: bool, hard: bool) -> tuple[Tensor, bool]:
        """The weight of each class, (C,) or (N, C) for balanced, and whether the weights join the denominator."""
        spec, c = self.spec, size.shape[-1]
        name = type(spec).__name__
        if spec.class_weight is None:
            return size.new_ones(c), False
        if spec.class_weight == 'balanced':
            if softmax:
                raise ValueError(f"{name}: class_weight='balanced' is binary: it needs one channel or sigmoid channels")
            return ratio(mass - size, mass, 0.0).detach(), False
        if spec.class_weight == 'inverse_frequency':
            return ratio(mass, c * size, 0.0).detach(), hard and softmax
        shapes.check_class_weight(name, spec.class_weight, (c,))
        return size.new_tensor(spec.class_weight), hard and softmax


def apply_class_weight(w: Tensor, loss: Tensor) -> Tensor:
    """w * loss; 0 for a class of weight 0, whose logits may be -inf."""
    return torch.where(w == 0, 0, w * loss)
