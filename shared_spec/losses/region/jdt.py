"""The JDT losses: Jaccard metric, Dice semimetric, compatible Tversky."""

import numpy as np

from shared_spec.checks import Boolean, Integer, Real
from shared_spec.declare import Example, Region, loss_spec, param, shared_parameters
from shared_spec.granularity import reduce_cells
from shared_spec.inputs import Batch
from shared_spec.overlap import metric_overlap, score

TINY = 1e-37  # floor of a score under the logarithm: reached only with smooth = 0


@shared_parameters
class JDT(Region):
    """What the three share; ``tversky_weights`` tells them apart."""

    norm: int = param(1, Integer(low=1), 'power of p, y and p - y inside the sums')
    log_loss: bool = param(False, Boolean(), 'take -log s instead of 1 - s')
    gamma: float = param(1.0, Real(low=1), 'power of the loss of a cell')

    examples = {
        'default': Example(),
        'image_class': Example(dict(granularity={'I': 0.5, 'C': 0.5}, smooth=1.0), class_weight=True),
        'all_levels_log': Example(dict(granularity={'D': 0.2, 'I': 0.3, 'C': 0.4}, classes='all', log_loss=True)),
        'norm2_gamma2_present': Example(dict(norm=2, gamma=2.0, classes='present', loss_weight=0.7)),
        'norm3_smooth0': Example(dict(norm=3, smooth=0.0, classes='all', granularity='I')),
        'sigmoid_gamma': Example(dict(activation='sigmoid', gamma=1.5, granularity='C', presence_threshold=0.3)),
    }

    @property
    def tversky_weights(self) -> tuple[float, float]:
        """(alpha, beta): the weights of false positives and false negatives."""
        raise NotImplementedError(type(self).__name__)

    def cell_loss(self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
        s = score(tp, fp, fn, *self.tversky_weights, self.smooth)
        loss = -np.log(np.maximum(s, TINY)) if self.log_loss else 1 - s
        return loss if self.gamma == 1 else np.maximum(loss, 0) ** self.gamma

    def of_batch(self, batch: Batch, reduction: str = 'mean') -> float | np.ndarray:
        """The loss of a ``Batch``; for the reduction 'none' those of its images or classes."""
        statistics = metric_overlap(batch, self.norm)
        return reduce_cells(self, batch, statistics, self.cell_loss, reduction)


@loss_spec
class JaccardMetricLoss(JDT):
    """Jaccard loss that is a metric on soft labels too."""

    title = 'Jaccard metric loss'
    formula = 's = (tp + smooth) / (tp + fp + fn + smooth), metric overlap; loss = (1 - s)^gamma, or (-log s)^gamma'
    source = 'Wang, Ning, Blaschko: Jaccard Metric Losses, arXiv 2302.05666; Wang et al.: arXiv 2310.19252 (D, I, C)'

    @property
    def tversky_weights(self) -> tuple[float, float]:
        return 1.0, 1.0


@loss_spec
class DiceSemimetricLoss(JDT):
    """Dice loss that is a semimetric on soft labels too."""

    title = 'Dice semimetric loss'
    formula = 's = (tp + smooth) / (tp + fp/2 + fn/2 + smooth), metric overlap; loss = (1 - s)^gamma, or (-log s)^gamma'
    source = 'Wang et al.: Dice Semimetric Losses, arXiv 2303.16296'

    @property
    def tversky_weights(self) -> tuple[float, float]:
        return 0.5, 0.5


@loss_spec
class CompatibleTverskyLoss(JDT):
    """Tversky loss that is minimal at p = y on soft labels too."""

    title = 'Compatible Tversky loss'
    formula = 's = (tp + smooth) / (tp + alpha*fp + beta*fn + smooth), metric overlap; loss = (1 - s)^gamma, or (-log s)^gamma'
    source = 'Wang et al.: Dice Semimetric Losses, arXiv 2303.16296'

    alpha: float = param(0.5, Real(low=0), 'weight of false positives')
    beta: float = param(0.5, Real(low=0), 'weight of false negatives')

    examples = {
        **JDT.examples,
        'false_positives': Example(dict(alpha=1.3, beta=0.2, granularity='I')),
        'false_negatives': Example(dict(alpha=0.1, beta=0.9, log_loss=True)),
    }

    @property
    def tversky_weights(self) -> tuple[float, float]:
        return self.alpha, self.beta
