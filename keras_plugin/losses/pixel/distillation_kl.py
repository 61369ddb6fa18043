"""Knowledge distillation: how far a student's distribution is from a teacher's, pixel by pixel."""

import functools

import keras
from keras import backend, ops

from keras_plugin import values
from keras_plugin.arithmetic import add_in_log
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import PixelLoss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES
from shared_spec.values import check_distribution, is_no_distribution


@keras.saving.register_keras_serializable(package='segparity')
class DistillationKLLoss(PixelLoss):
    """Kullback-Leibler divergence of a softened student from a teacher, who stands in the labels; softmax or sigmoid.

    y_true holds the teacher's probabilities, or its logits with ``teacher_from_logits``. A pixel of weight 0 counts
    nowhere, an empty batch gives 0. Parameters, call and errors: ``segparity show DistillationKLLoss``. Source: Hinton
    et al., arXiv 1503.02531.
    """

    spec_class = LOSSES['DistillationKLLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        temperature: float = 1.0,
        teacher_from_logits: bool = False,
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def batch_of_call(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None) -> Batch:
        if self.spec.teacher_from_logits:
            y_true = self.probabilities(values.to_tensor(y_true), tuple(y_pred.shape))
        with self.spec.naming_teacher():
            return super().batch_of_call(y_true, y_pred, sample_weight)

    def probabilities(self, z: Tensor, shape: tuple[int | None, ...]) -> Tensor:
        """The softened probabilities of a teacher's logits z of that shape."""
        dtype = backend.standardize_dtype(z.dtype)
        self.spec.check_teacher(backend.is_float_dtype(dtype), shape, tuple(z.shape))
        z = ops.stop_gradient(ops.cast(z, dtype if dtype == 'float64' else 'float32')) / self.spec.temperature
        return ops.sigmoid(z) if z.shape[-1] == 1 or self.spec.activation == 'sigmoid' else ops.softmax(z, axis=-1)

    def compute(self, batch: Batch) -> Tensor:
        return self.reduce(batch, self.pixel_loss(batch))

    def pixel_loss(self, batch: Batch) -> Tensor:
        """(N, P) the loss of each pixel."""
        t = self.spec.temperature
        (log_p, log_not_p), q = batch.log_prob, batch.target
        if t != 1:
            log_p = log_p / t
            if log_not_p is None:
                log_p = ops.log_softmax(log_p, axis=-1)
            else:
                both = add_in_log(log_p, log_not_p / t)
                log_p, log_not_p = log_p - both, log_not_p / t - both
        loss = ops.sum(divergence(batch, q, log_p), axis=-1)
        if log_not_p is None and not batch.hard:
            wrong = ops.logical_and(batch.counted_pixels, is_no_distribution(ops.sum(q, axis=-1)))
            check = functools.partial(check_distribution, type(self).__name__, axis=-1)
            loss = loss * values.nan_where(ops.ones_like(loss), values.look(check, wrong, q, batch.counted_pixels))
        if log_not_p is not None:
            loss = (loss + ops.sum(divergence(batch, 1 - q, log_not_p), axis=-1)) / batch.channels
        return t * t * loss


def divergence(batch: Batch, q: Tensor, log_p: Tensor) -> Tensor:
    """q * (log q - log p)."""
    return batch.times_log(q, ops.log(ops.where(q > 0, q, ops.ones_like(q)))) - batch.times_log(q, log_p)
