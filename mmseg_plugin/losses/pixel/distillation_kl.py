"""Knowledge distillation: how far a student's distribution is from a teacher's, pixel by pixel."""

from typing import Any

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import times_log
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import PixelLoss
from mmseg_plugin.registry import register
from shared_spec import LOSSES
from shared_spec.values import check_distribution, is_no_distribution


@register
class DistillationKLLoss(PixelLoss):
    """Kullback-Leibler divergence of a softened student from a teacher, who stands in the labels; softmax or sigmoid.

    target holds the teacher's probabilities, or its logits with ``teacher_from_logits``. A pixel of weight 0 counts
    nowhere, an empty batch gives 0. Parameters, call and errors: ``segparity show DistillationKLLoss``. Source: Hinton
    et al., arXiv 1503.02531.
    """

    spec_class = LOSSES['DistillationKLLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        temperature: float = 1.0,
        teacher_from_logits: bool = False,
        reduction: str = 'mean',
        loss_name: str = 'loss_distillation_k_l',
    ) -> None:
        super().__init__(locals())

    def labels_of(self, pred: Tensor, target: Tensor) -> Tensor:
        if not self.spec.teacher_from_logits:
            return target
        shape = tuple(pred.shape)
        if target.dim() == pred.dim():
            shape = (*shape[:2], *target.shape[2:])  # pred may be resized yet
        self.spec.check_teacher(target.is_floating_point(), shape, tuple(target.shape))
        dtype = torch.promote_types(target.dtype, torch.float32)
        z = target.detach().to(dtype) / self.spec.temperature
        return z.sigmoid() if z.shape[1] == 1 or self.spec.activation == 'sigmoid' else z.softmax(1)

    def loss_of_call(self, *args: Any, **kwargs: Any) -> Tensor:
        with self.spec.naming_teacher():
            return super().loss_of_call(*args, **kwargs)

    def compute(  # type: ignore[override]  # what reduction_of_call adds
        self, batch: Batch, reduction: str, avg_factor: float | Tensor | None
    ) -> Tensor:
        if batch.visible and batch.softmax and not batch.hard and is_no_distribution(batch.labels.sum(1)).any():
            counts = (batch.weight != 0).cpu().numpy()
            check_distribution(batch.owner, batch.labels.double().cpu().numpy(), counts, axis=1)
        return self.reduce(batch, self.pixel_loss, reduction, avg_factor)

    def pixel_loss(self, part: Batch) -> Tensor:
        """(N, 1, P) the loss of each pixel."""
        t = self.spec.temperature
        if part.softmax and part.hard and t == 1:
            return -part.log_prob_of_own
        (log_p, log_not_p), q = part.log_prob, part.target
        if t != 1:
            log_p = log_p / t
            both = log_p.logsumexp(1, keepdim=True) if log_not_p is None else torch.logaddexp(log_p, log_not_p / t)
            log_p, log_not_p = log_p - both, None if log_not_p is None else log_not_p / t - both
        if log_not_p is None:
            loss = divergence(q, log_p).sum(1, keepdim=True)
            if not part.hard:
                wrong = is_no_distribution(q.sum(1)) & (part.weight != 0)
                loss = loss * torch.where(wrong[:, None], torch.nan, 1.0)
        else:
            loss = (divergence(q, log_p) + divergence(1 - q, log_not_p)).mean(1, keepdim=True)
        return t * t * loss


def divergence(q: Tensor, log_p: Tensor) -> Tensor:
    """q * (log q - log p)."""
    return torch.xlogy(q, q) - times_log(q, log_p)
