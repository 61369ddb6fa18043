"""Combo: cross-entropy that weighs missed foreground, less the Dice score."""

import numpy as np

from shared_spec.checks import Real
from shared_spec.declare import Compound, Example, loss_spec, param
from shared_spec.granularity import mean_over_cells
from shared_spec.inputs import Batch, scale_part, times_log
from shared_spec.overlap import product_overlap, score


@loss_spec
class ComboLoss(Compound):
    """Combo loss."""

    of_overlap = True
    title = 'Combo loss'
    formula = (
        'alpha * CE - (1 - alpha) * Dice score; CE = mean over pixels of -beta*y*log p - (1 - beta)*(1 - y)*log(1 - p) '
        'on the foreground, for more classes the mean over all but class 0; Dice of the product overlap, mean over all '
        'cells that count, the background among them'
    )
    source = 'Taghanaki et al.: Combo loss, arXiv 1805.02798'
    remarks = (
        'A perfect prediction costs -(1 - alpha). The published code has the sign of the second term wrong (it rewards '
        'false positives); this is the paper. beta above 1/2 punishes missed foreground; another well-known code has it '
        'reversed. smooth is half of the one in (2*tp + a) / (|p| + |y| + a). Two probability channels: log p_0 stands '
        'for log(1 - p_1).'
    )

    alpha: float = param(0.5, Real(low=0, high=1), 'share of the cross-entropy')
    beta: float = param(0.5, Real(low=0, high=1), 'weight of missed foreground, the rest weighs false alarms')
    examples = {
        'default': Example(),
        'image': Example(dict(alpha=0.3, beta=0.8, granularity={'I': 0.5, 'C': 0.5}, classes='all', smooth=1.0)),
        'sigmoid': Example(dict(activation='sigmoid', beta=0.2, smooth=0.0, loss_weight=2.0)),
    }

    def cell_loss(self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
        """The Dice score, no loss: ``of_batch`` subtracts its mean."""
        return score(tp, fp, fn, 0.5, 0.5, self.smooth)

    def of_batch(self, batch: Batch) -> float:
        """The loss of a ``Batch``."""
        y, v = batch.target, batch.weight
        log_p, log_q = batch.log_both()
        loss = -times_log(self.beta * y, log_p) - times_log((1 - self.beta) * (1 - y), log_q)
        foreground = loss if y.shape[1] == 1 else loss[:, 1:]
        ce = (v * foreground.mean(1)).sum() / v.sum() if v.sum() > 0 else 0.0
        dice = mean_over_cells(self, batch, product_overlap(batch), self.cell_loss)
        return float(self.loss_weight * (scale_part(self.alpha, ce) - (1 - self.alpha) * dice))
