"""Cross-entropy of the pixels of a batch that a rule selects by their losses."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared_spec import shapes
from shared_spec.declare import Shared, shared_parameters
from shared_spec.inputs import Batch, prepare, reduce_pixels, times_log
from shared_spec.parameter_groups import ClassWeighted

TIE = 1e-5  # losses closer than this, or this share of themselves, may change places when they are rounded
ORDER = (
    'The selection is over the pixels of the whole batch that count, whatever they weigh, and has no gradient; their '
    'weights act in the mean; a NaN among the losses of pixels that count is never left out. Sigmoid channels: the loss of a pixel is the mean over its channels. '
    'One channel takes one class weight, or two (background, foreground), the two-channel softmax form. Probabilities '
    'are floored at 1e-7 before the logarithm.'
)


@shared_parameters
class SelectedCrossEntropy(ClassWeighted, Shared):
    """What losses of selected pixels share: ``rule`` says which part of each pixel is in."""

    family = 'pixel'
    reductions = ('mean', 'sum', 'none')

    def rule(self, losses: np.ndarray, weighted: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """(which part of each pixel is in, the losses that decide it, the loss where it begins); of the pixels that count.

        losses, weighted (M,): the cross-entropy of each pixel without and with the weights of classes.
        """
        raise NotImplementedError(type(self).__name__)

    def of_batch(self, batch: Batch, reduction: str = 'mean', part: np.ndarray | None = None) -> float | np.ndarray:
        """The loss of a ``Batch``; a map (N, *space) for the reduction 'none'. part (N, P): the selection, if given."""
        part = self.select(batch)[0] if part is None else part
        v = np.where(part > 0, part * batch.weight, 0)
        loss = self.loss_weight * np.where(v > 0, v * self.cross_entropy(batch, weighted=True), 0)
        return reduce_pixels(batch, loss, reduction, v.sum())

    def select(self, batch: Batch) -> tuple[np.ndarray, bool]:
        """(N, P) which part of each pixel is in, and whether rounded losses select the same."""
        counts, part = batch.weight > 0, np.zeros_like(batch.weight)
        if not counts.any():
            return part, True
        losses, weighted = (np.where(batch.sound, self.cross_entropy(batch, w), np.inf)[counts] for w in (False, True))
        part[counts], deciding, edge = self.rule(losses, weighted)
        near = np.isclose(deciding, edge, rtol=TIE, atol=TIE)
        alone = near.sum() <= (deciding == edge).any()
        return part, bool(alone or (part[counts][near] == 1).all())

    def weights(self, channels: int) -> tuple[list[float], list[float]] | None:
        """The weights of each channel: of positives, and under sigmoid of negatives; None where all are 1."""
        if self.class_weight is None:
            return None
        shapes.check_class_weight(type(self).__name__, self.class_weight, (1, 2) if channels == 1 else (channels,))
        w = list(self.class_weight)
        return (w[1:], w[:1]) if len(w) > channels else (w, w)

    def cross_entropy(self, batch: Batch, weighted: bool) -> np.ndarray:
        """(N, P) that of each pixel."""
        y, c = batch.target, batch.target.shape[1]
        log_p, log_not_p = batch.log_prob()
        weights = self.weights(c)
        if weights is None or not weighted:
            weights = [1.0] * c, [1.0] * c
        positive, negative = (np.array(w)[:, None] for w in weights)
        loss = -times_log(positive * y, log_p)
        if log_not_p is None:
            return loss.sum(1)
        return (loss - times_log(negative * (1 - y), log_not_p)).mean(1)

    def reference_near(
        self, pred: ArrayLike, target: ArrayLike, pixel_weight: ArrayLike | None = None, **extras: Any
    ) -> Callable[[np.ndarray], Any] | None:
        """The loss of the pixels that ``pred`` selects; None where rounding decides which."""
        part, sure = self.select(prepare(self, pred, target, pixel_weight, **extras))
        if not sure:
            return None
        return lambda p: self.reference(p, target, pixel_weight, part=part, **extras)
