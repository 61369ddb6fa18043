"""Knowledge distillation: how far a student's distribution is from a teacher's, pixel by pixel."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.checks import Boolean, Real
from shared_spec.declare import Example, Shared, loss_spec, param
from shared_spec.inputs import Batch, reduce_pixels, times_log
from shared_spec.values import check_distribution

OF_PROBABILITIES = 'soft labels must lie', 'one-channel target must lie'  # sentences of ``shared_spec.values``


@loss_spec
class DistillationKLLoss(Shared):
    """Kullback-Leibler divergence of a softened student from a teacher, who stands in the labels."""

    family = 'pixel'
    reductions = ('mean', 'sum', 'none')
    title = 'Distillation by the Kullback-Leibler divergence'
    formula = (
        'T^2 * mean over pixels of sum_c q_c * (log q_c - log p_c), p = softmax(z / T), T the temperature; sigmoid: the '
        'same of each channel and its complement, mean over channels'
    )
    source = 'Hinton et al.: Distilling the knowledge in a neural network, arXiv 1503.02531; JDTLosses'
    remarks = (
        "The labels are the teacher's probabilities q, softened already, or with teacher_from_logits its logits, whose "
        'softmax at the same temperature is taken and which get no gradient. Probabilities must sum to 1. Class ids are a teacher who is sure: '
        'cross-entropy. A pixel weight leaves out pixels. 0 * log 0 is 0. Probabilities of the student are floored at 1e-7; '
        'a temperature other than 1 takes their logarithms for its logits.'
    )

    temperature: float = param(1.0, Real(low=0, above=True), 'by which logits are divided before the softmax')
    teacher_from_logits: bool = param(
        False,
        Boolean(),
        "whether the labels hold the teacher's logits, (N, C, *space) floats, in place of probabilities",
    )

    examples = {
        'default': Example(),
        'temperature': Example(dict(temperature=4, loss_weight=0.3)),
        'sigmoid': Example(dict(activation='sigmoid', temperature=0.7)),
    }

    def check_teacher(self, floats: bool, pred: Sequence[int | None], target: Sequence[int | None]) -> None:
        """Refuses labels that are no logits of a teacher, where such are asked for; None is a size that is not known yet."""
        same = len(pred) == len(target) and all(a == b or None in (a, b) for a, b in zip(pred, target))
        if not floats or not same:
            found = f'floats of shape {target}' if floats else f'integers of shape {target}'
            raise ValueError(
                f"{type(self).__name__}: with teacher_from_logits=True target must hold the teacher's logits, floats of "
                f"pred's shape {pred}, got {found}"
            )

    def reference(
        self,
        pred: ArrayLike,
        target: ArrayLike,
        pixel_weight: ArrayLike | None = None,
        ignore_index: int | None = None,
        **extras: Any,
    ) -> float | Any:
        """As ``LossSpec.reference``, of the teacher's logits where they are asked for."""
        if self.teacher_from_logits:
            pred, target = np.asarray(pred), np.asarray(target)
            self.check_teacher(target.dtype.kind == 'f', np.shape(pred), target.shape)
            z = target.astype(np.float64) / self.temperature
            if z.shape[1] == 1 or self.activation == 'sigmoid':
                target = np.exp(-np.logaddexp(0, -z))
            else:
                with np.errstate(invalid='ignore'):  # of what is no number NaN
                    e = np.exp(z - z.max(1, keepdims=True))
                    target = e / e.sum(1, keepdims=True)
        with self.naming_teacher():
            return super().reference(pred, target, pixel_weight, ignore_index, **extras)

    @contextlib.contextmanager
    def naming_teacher(self) -> Iterator[None]:
        """In which a sentence on probabilities made of a teacher's logits is one on these logits."""
        try:
            yield
        except ValueError as error:
            if self.teacher_from_logits and any(words in str(error) for words in OF_PROBABILITIES):
                raise ValueError(
                    f"{type(self).__name__}: the teacher's logits must be numbers, in each pixel that counts one of them "
                    'finite, got NaN, +inf or nothing but -inf'
                ) from None
            raise

    def of_batch(self, batch: Batch, reduction: str = 'mean') -> float | np.ndarray:
        """The loss of a ``Batch``; a map (N, *space) for the reduction 'none'."""
        q, v = batch.target, batch.weight
        if batch.softmax and not batch.hard:
            check_distribution(type(self).__name__, q, v > 0, axis=1)
        log_p, log_not_p = (None if x is None else x / self.temperature for x in batch.log_prob())
        assert log_p is not None  # noqa: S101  log_prob has it always
        if log_not_p is None:
            if self.temperature != 1:
                log_p = log_p - np.logaddexp.reduce(log_p, axis=1, keepdims=True)
            loss = self._divergence(q, log_p).sum(1)
        else:
            both = np.logaddexp(log_p, log_not_p) if self.temperature != 1 else 0.0
            loss = (self._divergence(q, log_p - both) + self._divergence(1 - q, log_not_p - both)).mean(1)
        loss = self.loss_weight * self.temperature**2 * np.where(v > 0, v * loss, 0)
        return reduce_pixels(batch, loss, reduction)

    def _divergence(self, q: np.ndarray, log_p: np.ndarray) -> np.ndarray:
        """q * (log q - log p)."""
        return times_log(q, np.log(np.where(q > 0, q, 1))) - times_log(q, log_p)
