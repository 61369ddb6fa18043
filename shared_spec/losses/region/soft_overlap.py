"""The classic soft losses on the product overlap: Jaccard, Dice, Tversky."""

import numpy as np

from shared_spec.checks import Integer, Real
from shared_spec.declare import Example, Region, loss_spec, param, shared_parameters
from shared_spec.granularity import mean_over_cells
from shared_spec.inputs import Batch
from shared_spec.overlap import product_overlap, score


@shared_parameters
class SoftOverlap(Region):
    """What the three share."""

    remarks = 'Not minimal at p = y when y is soft: use the metric losses there.'
    norm = 1
    examples = {
        'default': Example(),
        'image_class': Example(dict(granularity={'I': 0.5, 'C': 0.5}, smooth=1.0), class_weight=True),
        'all_levels': Example(dict(granularity={'D': 0.2, 'I': 0.3, 'C': 0.4}, classes='all', loss_weight=0.7)),
        'sigmoid_smooth0': Example(dict(activation='sigmoid', smooth=0.0, classes='all', granularity='C')),
    }

    @property
    def tversky_weights(self) -> tuple[float, float]:
        """(alpha, beta): the weights of false positives and false negatives."""
        raise NotImplementedError(type(self).__name__)

    def cell_loss(self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
        return 1 - score(tp, fp, fn, *self.tversky_weights, self.smooth)

    def of_batch(self, batch: Batch) -> float:
        """The loss of a ``Batch``."""
        statistics = product_overlap(batch, self.norm)
        mean = mean_over_cells(self, batch, statistics, self.cell_loss, self.class_weight)
        return float(self.loss_weight * self.after_mean(mean))

    def after_mean(self, x: float) -> float:
        """What happens to the mean over cells; nothing, for most."""
        return x


NORM = Integer(low=1, high=2)
NORM2 = {'norm2': Example(dict(norm=2, granularity='I', classes='all'))}


@loss_spec
class SoftJaccardLoss(SoftOverlap):
    """Soft Jaccard (IoU) loss."""

    title = 'Soft Jaccard loss'
    formula = 's = (tp + smooth) / (tp + fp + fn + smooth), product overlap; loss = 1 - s'
    source = 'Rahman, Wang: Optimizing Intersection-Over-Union in Deep Neural Networks, 2016'

    norm: int = param(1, NORM, 'power of p and y in their sizes |p|, |y|')
    examples = {**SoftOverlap.examples, **NORM2}

    @property
    def tversky_weights(self) -> tuple[float, float]:
        return 1.0, 1.0


@loss_spec
class SoftDiceLoss(SoftOverlap):
    """Soft Dice loss; ``norm=2`` is V-Net's."""

    title = 'Soft Dice loss'
    formula = 's = (tp + smooth) / (tp + fp/2 + fn/2 + smooth), product overlap; loss = 1 - s'
    source = 'Milletari, Navab, Ahmadi: V-Net, 2016'
    remarks = 'smooth here is half of the one in (2*tp + a) / (|p| + |y| + a). ' + SoftOverlap.remarks

    norm: int = param(1, NORM, 'power of p and y in their sizes |p|, |y|; 2 is V-Net')
    examples = {**SoftOverlap.examples, **NORM2}

    @property
    def tversky_weights(self) -> tuple[float, float]:
        return 0.5, 0.5


@loss_spec
class SoftTverskyLoss(SoftOverlap):
    """Soft Tversky loss."""

    title = 'Soft Tversky loss'
    formula = 's = (tp + smooth) / (tp + alpha*fp + beta*fn + smooth), product overlap; loss = 1 - s'
    source = 'Salehi, Erdogmus, Gholipour: Tversky loss function for image segmentation, 2017'

    alpha: float = param(0.3, Real(low=0), 'weight of false positives')
    beta: float = param(0.7, Real(low=0), 'weight of false negatives')
    examples = {**SoftOverlap.examples, 'false_positives': Example(dict(alpha=1.3, beta=0.2, granularity='I'))}

    @property
    def tversky_weights(self) -> tuple[float, float]:
        return self.alpha, self.beta
