"""Unified focal: focal cross-entropy and focal Tversky under one pair of parameters."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from shared_spec.checks import CLASSES, Boolean, Real, Weights
from shared_spec.declare import Compound, Example, loss_spec, param
from shared_spec.granularity import mean_over_cells
from shared_spec.inputs import FLOOR, Batch
from shared_spec.overlap import total
from shared_spec.typing import Classes, Granularity


@loss_spec
class UnifiedFocalLoss(Compound):
    """Unified focal loss, symmetric and asymmetric."""

    title = 'Unified focal loss'
    formula = (
        'weight * FL + (1 - weight) * FTL; FL = mean over pixels of sum_c w_c (1 - p_c)^gamma y_c (-log p_c), w = delta '
        'on foreground, 1 - delta on background; FTL = mean over cells of (1 - s)^(1 - gamma), '
        's = (tp + smooth) / (tp + delta*fn + (1 - delta)*fp + smooth), product overlap'
    )
    source = 'Yeung et al.: Unified focal loss, arXiv 2102.04525'
    remarks = (
        'asymmetric: no focusing on the foreground in FL, none on the background (class 0) in FTL. p and 1 - p are '
        'clipped to 1e-7, beyond it the gradient is 0. One channel is background and foreground, and so is each of '
        "several sigmoid channels. weight is the share of FL, as in MONAI; the authors' code has its complement."
    )

    granularity: Granularity = param('I', Weights('D', 'I', 'C'), 'which mean the Tversky part takes')
    classes: Classes = param('all', CLASSES, 'which classes count in the Tversky part')
    smooth: float = param(1e-7, Real(low=0), 'added to numerator and denominator of the Tversky score, in pixels')
    weight: float = param(0.5, Real(low=0, high=1), 'share of the focal cross-entropy')
    delta: float = param(0.6, Real(low=0, high=1), 'weight of false negatives and of the foreground')
    gamma: float = param(0.5, Real(low=0, high=1, below=True), 'focusing')
    asymmetric: bool = param(False, Boolean(), 'focus the background in FL and the foreground in FTL alone')

    examples = {
        'default': Example(),
        'asymmetric': Example(dict(asymmetric=True, delta=0.7, gamma=0.2, weight=0.3, loss_weight=2.0)),
        'batch': Example(dict(granularity={'D': 0.5, 'C': 0.5}, classes='present', smooth=1.0, gamma=0.0)),
        'sigmoid': Example(dict(activation='sigmoid', delta=0.2)),
    }

    def sides(self, channels: int, softmax: bool) -> tuple['UnifiedFocalLoss', list[bool]]:
        """(spec for the Tversky part's cells, (C',) which of its classes are background).

        Softmax has its C classes; one channel and sigmoid channels have 2C: all backgrounds, then all foregrounds.
        """
        if softmax:
            return self, [k == 0 for k in range(channels)]
        spec = self
        if channels > 1 and not isinstance(self.classes, str):
            spec = dataclasses.replace(self, classes=[*self.classes, *(channels + k for k in self.classes)])
        return spec, [True] * channels + [False] * channels

    def powers(self, background: Iterable[bool]) -> tuple[list[float], list[float], list[float]]:
        """For each class: its weight and its focusing power in FL, and the power of 1 - s in FTL."""
        focus = [self.gamma if not self.asymmetric or b else 0.0 for b in background]
        tversky = [1.0 if self.asymmetric and b else 1 - self.gamma for b in background]
        return [1 - self.delta if b else self.delta for b in background], focus, tversky

    def of_batch(self, batch: Batch) -> float:
        """The loss of a ``Batch``."""
        p, y, v = batch.prob, batch.target, batch.weight
        channels = p.shape[1]
        spec, background = self.sides(channels, batch.softmax)
        if not batch.softmax:
            p, y = np.concatenate([1 - p, p], 1), np.concatenate([1 - y, y], 1)
        weights, focus, tversky = (np.array(x) for x in self.powers(background))
        p = np.clip(p, FLOOR, 1 - FLOOR)

        focal = weights[:, None] * (1 - p) ** focus[:, None] * y * -np.log(p)
        mass = v.sum() * (1 if batch.softmax else channels)
        focal = (v * focal.sum(1)).sum() / mass if mass > 0 else 0.0

        def cell_loss(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
            wrong = self.delta * fn + (1 - self.delta) * fp
            bottom = tp + wrong + self.smooth
            return np.where(bottom > 0, wrong / np.where(bottom > 0, bottom, 1), 0.0) ** tversky

        y = np.where(v[:, None] > 0, y, 0)
        statistics = total(v, p * y), total(v, p * (1 - y)), total(v, (1 - p) * y)
        region = mean_over_cells(spec, batch._replace(target=y), statistics, cell_loss)
        return float(self.loss_weight * (self.weight * focal + (1 - self.weight) * region))
