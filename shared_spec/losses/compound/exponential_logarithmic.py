"""Exponential logarithmic loss: Dice and cross-entropy, each the power of a logarithm."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared_spec import shapes
from shared_spec.checks import CLASS_WEIGHT, AnyOf, Choice, Optional, Real
from shared_spec.declare import Compound, Example, loss_spec, param
from shared_spec.granularity import mean_over_cells
from shared_spec.inputs import Batch
from shared_spec.overlap import product_overlap, score


@loss_spec
class ExponentialLogarithmicLoss(Compound):
    """Exponential logarithmic loss."""

    of_overlap = True
    title = 'Exponential logarithmic loss'
    formula = (
        'dice_weight * mean over cells of (-log clip(Dice))^gamma_dice + ce_weight * mean over pixels of '
        'sum_c y_c * w_c * (-log clip(p_c))^gamma_ce; clip to [clip, 1 - clip]'
    )
    source = 'Wong et al.: 3D segmentation with exponential logarithmic loss, arXiv 1809.00076'
    remarks = (
        "class_weight acts in the cross-entropy; 'frequency' is w_c = (sum_k f_k / f_c)^1/2 with f_c = |y_c| of the "
        'batch. A power below 1 is infinitely steep at 0: the clip belongs to the definition, beyond it the gradient is '
        '0. A counted class that is absent costs (-log clip)^gamma_dice. smooth is half of the one in '
        '(2*tp + a) / (|p| + |y| + a). One channel and sigmoid channels have a background and a foreground term each.'
    )

    dice_weight: float = param(0.8, Real(low=0), 'factor on the Dice part')
    ce_weight: float = param(0.2, Real(low=0), 'factor on the cross-entropy part')
    gamma_dice: float = param(0.3, Real(low=0, above=True), 'power of -log Dice')
    gamma_ce: float = param(0.3, Real(low=0, above=True), 'power of the cross-entropy of a pixel')
    clip: float = param(1e-7, Real(low=0, high=0.5, above=True, below=True), 'Dice and p stay this far from 0 and 1')
    class_weight: str | tuple[float, ...] | None = param(
        'frequency',
        Optional(AnyOf(Choice('frequency'), CLASS_WEIGHT)),
        "factor on each class's cross-entropy; 'frequency': (sum_k f_k / f_c)^1/2 from the batch",
    )

    examples = {
        'default': Example(),
        'image': Example(
            dict(granularity={'I': 0.5, 'C': 0.5}, gamma_dice=1.5, gamma_ce=0.7, smooth=1.0), class_weight=True
        ),
        'unweighted': Example(dict(class_weight=None, classes='all', smooth=0.0, ce_weight=1.0, loss_weight=0.5)),
        'sigmoid': Example(dict(activation='sigmoid', clip=1e-3)),
        'two_weights': Example(dict(class_weight=[0.4, 1.7]), channels=('one',)),
    }

    def cell_loss(self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
        """(-log Dice)^gamma from Dice where it is small and from 1 - Dice where that is, neither below ``clip``."""
        s = score(tp, fp, fn, 0.5, 0.5, self.smooth)
        bottom = tp + (fp + fn) / 2 + self.smooth
        u = (fp + fn) / 2 / np.where(bottom > 0, bottom, 1)  # 1 - s, whose logarithm log1p takes without rounding
        near_one = np.log1p(-np.clip(u, self.clip, 0.5))
        return (-np.where(s > 0.5, near_one, np.log(np.maximum(s, self.clip)))) ** self.gamma_dice

    def weights_of_list(self, channels: int, softmax: bool) -> tuple[Sequence[float] | None, Sequence[float]]:
        """(background, foreground) weights of each channel, or (None, weights) for softmax; from the list or ones."""
        if self.class_weight is None:
            listed: Any = (1.0,) * channels
        else:
            listed = self.class_weight
            shapes.check_class_weight(type(self).__name__, listed, (channels, 2) if channels == 1 else (channels,))
        if softmax:
            return None, listed
        return (listed[:1], listed[1:]) if len(listed) > channels else (listed, listed)

    def of_batch(self, batch: Batch) -> float:
        """The loss of a ``Batch``."""
        dice = mean_over_cells(self, batch, product_overlap(batch), self.cell_loss)
        y, v = batch.target, batch.weight
        log_p, log_q = batch.log_both()
        sides = [(y, log_p)] if batch.softmax else [(1 - y, log_q), (y, log_p)]
        sizes = [(v[:, None] * share).sum((0, 2)) for share, _ in sides]
        if self.class_weight == 'frequency':
            all_of_them = sum(sizes).sum() if batch.softmax else sum(sizes)
            weights: Sequence[Any] = [np.sqrt(all_of_them / np.where(f > 0, f, np.inf)) for f in sizes]
        else:
            weights = self.weights_of_list(y.shape[1], batch.softmax)[-len(sides) :]
        ce = 0.0
        for (share, log), w in zip(sides, weights):
            x = np.clip(-log, -np.log1p(-self.clip), -np.log(self.clip)) ** self.gamma_ce
            ce += (v[:, None] * share * x * np.reshape(w, (1, -1, 1))).sum()
        mass = v.sum() * (1 if batch.softmax else y.shape[1])
        ce = ce / mass if mass > 0 else 0.0
        return float(self.loss_weight * (self.dice_weight * dice + self.ce_weight * ce))
