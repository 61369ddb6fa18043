"""Focal cross-entropy: pixels that are right already count less."""

import numpy as np

from shared_spec.checks import AnyOf, Each, Optional, Real
from shared_spec.declare import Example, Shared, SpecError, loss_spec, param
from shared_spec.inputs import Batch, reduce_pixels, times_log

ALPHA = AnyOf(Real(low=0), Each(Real(low=0), 'a list of one number >= 0 for each class'))


@loss_spec
class FocalCrossEntropyLoss(Shared):
    """Cross-entropy weighed by (1 - p)^gamma, softmax over classes or sigmoid per channel."""

    family = 'pixel'
    reductions = ('mean', 'sum', 'none')
    title = 'Focal cross-entropy'
    formula = (
        'mean over pixels of sum_c alpha_c * y_c * (1 - p_c)^gamma * (-log p_c); sigmoid: alpha * y * (1 - p)^gamma * '
        '(-log p) + (1 - alpha) * (1 - y) * p^gamma * (-log(1 - p)) of each channel, mean over channels'
    )
    source = 'Lin et al.: Focal loss for dense object detection, arXiv 1708.02002'
    remarks = (
        'alpha None weighs nothing. Under softmax a number is a factor on every pixel and a list has a factor for each '
        'class, not normalised; sigmoid channels, and one channel, weigh positives with alpha (of a list: the one of the '
        'channel) and negatives with 1 - alpha, where alpha must be at most 1. A list of two for one channel is '
        '(background, foreground), the two-channel softmax form. The mean is over the pixels that count, whatever alpha '
        'is. Probabilities are floored at 1e-7 before the logarithm.'
    )

    gamma: float = param(2.0, Real(low=0), 'focusing: the power of 1 - p; 0 is cross-entropy')
    alpha: float | tuple[float, ...] | None = param(
        None,
        Optional(ALPHA),
        'factor on every pixel, or one for each class; sigmoid: on positives, 1 - alpha on negatives',
    )

    examples = {
        'default': Example(),
        'gamma_5': Example(dict(gamma=5, alpha=0.4, loss_weight=0.7)),
        'gamma_below_1': Example(dict(gamma=0.5)),
        'alphas': Example(dict(gamma=1), channels=('many',), class_weight='alpha'),
        'sigmoid': Example(dict(activation='sigmoid', alpha=0.25, gamma=1.5)),
        'two_alphas': Example(dict(alpha=[0.4, 1.7]), channels=('one',)),
    }

    def validate(self) -> None:
        if self.activation == 'sigmoid' and isinstance(self.alpha, float) and self.alpha > 1:
            raise SpecError(
                owner=type(self).__name__,
                parameter='alpha',
                given=self.alpha,
                allowed='at most 1 for sigmoid channels, whose negatives weigh 1 - alpha',
            )

    def alphas(self, channels: int, softmax: bool) -> tuple[list[float], list[float]] | None:
        """The factors of each channel: on positives, and under sigmoid on negatives; None where all are 1."""
        alpha, name = self.alpha, type(self).__name__
        if alpha is None:
            return None
        if not softmax and channels == 1 and isinstance(alpha, tuple) and len(alpha) == 2:
            return [alpha[1]], [alpha[0]]
        if isinstance(alpha, tuple) and len(alpha) != channels:
            need = '1 or 2 entries' if channels == 1 else f'{channels} entries, one for each class'
            raise ValueError(f'{name}: alpha must have {need}, got {len(alpha)}')
        found = list(alpha) if isinstance(alpha, tuple) else [alpha] * channels
        if not softmax and max(found) > 1:
            raise ValueError(
                f'{name}: alpha must be at most 1 for sigmoid channels, whose negatives weigh 1 - alpha, got {max(found):g}'
            )
        return found, [1 - a for a in found]

    def of_batch(self, batch: Batch, reduction: str = 'mean') -> float | np.ndarray:
        """The loss of a ``Batch``; a map (N, *space) for the reduction 'none'."""
        y, v = batch.target, batch.weight
        c = y.shape[1]
        log_p, log_not_p = batch.log_prob()
        found = self.alphas(c, softmax=log_not_p is None)
        positive, negative = (
            (np.ones((c, 1)), np.ones((c, 1))) if found is None else (np.array(x)[:, None] for x in found)
        )

        loss = self._focal(positive * y, log_p)
        if log_not_p is None:
            loss = loss.sum(1)
        else:
            loss = (loss + self._focal(negative * (1 - y), log_not_p)).mean(1)
        loss = self.loss_weight * np.where(v > 0, v * loss, 0)
        return reduce_pixels(batch, loss, reduction)

    def _focal(self, share: np.ndarray, log_p: np.ndarray) -> np.ndarray:
        """share * (1 - p)^gamma * (-log p)."""
        rest = np.maximum(-np.expm1(log_p), 0)
        return -times_log(share * rest**self.gamma, log_p)
