"""Focal Tversky: the Tversky loss of each cell to the power 1/gamma."""

import numpy as np

from shared_spec.checks import Real
from shared_spec.declare import Example, loss_spec, param
from shared_spec.losses.region.soft_overlap import SoftOverlap


@loss_spec
class FocalTverskyLoss(SoftOverlap):
    """Focal Tversky loss."""

    title = 'Focal Tversky loss'
    formula = 's = (tp + smooth) / (tp + alpha*fp + beta*fn + smooth), product overlap; loss = (1 - s)^(1/gamma)'
    source = 'Abraham, Khan: A novel focal Tversky loss function, 2018'
    remarks = (
        'The power acts on each cell, before the mean. Codes that raise to a power "gamma" below 1 mean 1/gamma of '
        'this one: 0.75 is gamma = 4/3. At s = 1 the gradient is 0 (in the official code NaN). ' + SoftOverlap.remarks
    )

    alpha: float = param(0.3, Real(low=0), 'weight of false positives')
    beta: float = param(0.7, Real(low=0), 'weight of false negatives')
    gamma: float = param(4 / 3, Real(low=0, above=True), 'the loss of a cell is raised to 1/gamma')
    examples = {**SoftOverlap.examples, 'below_one': Example(dict(gamma=0.5, alpha=1.3, beta=0.2, granularity='I'))}

    @property
    def tversky_weights(self) -> tuple[float, float]:
        return self.alpha, self.beta

    def cell_loss(self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
        wrong = self.alpha * fp + self.beta * fn
        bottom = tp + wrong + self.smooth
        return np.where(bottom > 0, wrong / np.where(bottom > 0, bottom, 1), 0.0) ** (1 / self.gamma)  # 1 - s
