"""The classic soft losses on the product overlap: Jaccard, Dice, Tversky."""

import numpy as np

from shared_spec import shapes
from shared_spec.checks import Boolean, Integer, Real
from shared_spec.declare import Example, Region, loss_spec, param, shared_parameters
from shared_spec.granularity import as_weights, only_level, reduce_cells
from shared_spec.inputs import Batch
from shared_spec.overlap import product_overlap, score
from shared_spec.parameters import SpecError


@shared_parameters
class SoftOverlap(Region):
    """What the three share."""

    remarks = 'Not minimal at p = y when y is soft: use the metric losses there.'
    norm = 1
    pooled = False
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

    def of_batch(self, batch: Batch, reduction: str = 'mean') -> float | np.ndarray:
        """The loss of a ``Batch``; for the reduction 'none' those of its images or classes."""
        statistics = product_overlap(batch, self.norm)
        if self.pooled:
            return self.loss_weight * self.reduce_pooled(batch, statistics, reduction)
        return reduce_cells(self, batch, statistics, self.cell_loss, reduction)

    def reduce_pooled(self, batch: Batch, statistics: tuple[np.ndarray, ...], reduction: str) -> float | np.ndarray:
        """One loss of the sums over all classes that count: of the batch (D), or the mean of those of images (I).

        An image without a valid pixel counts nowhere; nothing counted: 0.
        """
        chosen = shapes.channel_indices(type(self).__name__, self.classes, batch.target.shape[1])
        sums = [s[batch.has_pixel][:, chosen].sum(1) for s in statistics]
        weight = batch.image_weight[batch.has_pixel]
        if reduction == 'none':
            level, share = only_level(type(self).__name__, self.granularity)
            losses = np.zeros(len(batch.has_pixel) if level == 'I' else 1)
            if level == 'I':
                losses[batch.has_pixel] = weight * self.cell_loss(*sums)
            elif len(weight):
                losses[0] = self.cell_loss(*(s.sum() for s in sums))
            return share * losses
        if not len(weight):
            return 0.0
        of_level = {'D': lambda: self.cell_loss(*(s.sum() for s in sums))}
        of_level['I'] = lambda: (weight * self.cell_loss(*sums)).sum() / weight.sum()
        return float(sum(share * of_level[level]() for level, share in as_weights(self.granularity).items()))

    def validate(self) -> None:
        super().validate()
        if not self.pooled:
            return
        refused = {
            'class_weight': (self.class_weight is not None, 'None with pooled=True, where all classes share one score'),
            'classes': (
                self.classes == 'present',
                "'all' or a list of class ids with pooled=True ('auto' is 'all'), where no class has a loss to leave out",
            ),
            'granularity': (
                'C' in as_weights(self.granularity),
                "'D', 'I' or weights of these two with pooled=True, for 'C' is a mean over classes",
            ),
        }
        for name, (is_refused, allowed) in refused.items():
            if is_refused:
                given = self.builtin_value(name)
                raise SpecError(owner=type(self).__name__, parameter=name, given=given, allowed=allowed)


NORM = Integer(low=1, high=2)
NORM2 = {'norm2': Example(dict(norm=2, granularity='I', classes='all'))}
POOLED_MEANING = (
    'all classes of an image (granularity I) or of the batch (D) in one score; the classes are all, or those of a list'
)


@loss_spec
class SoftJaccardLoss(SoftOverlap):
    """Soft Jaccard (IoU) loss."""

    title = 'Soft Jaccard loss'
    formula = 's = (tp + smooth) / (tp + fp + fn + smooth), product overlap; loss = 1 - s'
    source = 'Rahman, Wang: Optimizing Intersection-Over-Union in Deep Neural Networks, 2016'

    norm: int = param(1, NORM, 'power of p and y in their sizes |p|, |y|')
    pooled: bool = param(False, Boolean(), POOLED_MEANING)
    examples = {
        **SoftOverlap.examples,
        **NORM2,
        'pooled': Example(dict(pooled=True, granularity={'D': 0.5, 'I': 0.5}, classes=[1])),
    }

    @property
    def tversky_weights(self) -> tuple[float, float]:
        return 1.0, 1.0


@loss_spec
class SoftDiceLoss(SoftOverlap):
    """Soft Dice loss; ``norm=2`` is V-Net's."""

    title = 'Soft Dice loss'
    formula = 's = (tp + smooth) / (tp + fp/2 + fn/2 + smooth), product overlap; loss = 1 - s'
    source = 'Milletari, Navab, Ahmadi: V-Net, 2016'
    remarks = (
        'smooth here is half of the one in (2*tp + a) / (|p| + |y| + a). '
        + SoftOverlap.remarks
        + ' pooled=True with norm=2 '
        "and granularity='I' is MMSegmentation's DiceLoss from 1.1 on, whose eps stands in the denominator alone: that is "
        'smooth / (|p|/2 + |y|/2 + smooth) more, for smooth = eps, below 1e-8 from 512 x 512 pixels on.'
    )

    norm: int = param(1, NORM, 'power of p and y in their sizes |p|, |y|; 2 is V-Net')
    pooled: bool = param(False, Boolean(), POOLED_MEANING)
    examples = {
        **SoftOverlap.examples,
        **NORM2,
        'pooled': Example(dict(pooled=True)),
        'pooled_image': Example(dict(pooled=True, norm=2, granularity='I')),
    }

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
    pooled: bool = param(False, Boolean(), POOLED_MEANING)
    examples = {
        **SoftOverlap.examples,
        'false_positives': Example(dict(alpha=1.3, beta=0.2, granularity='I')),
        'pooled': Example(dict(pooled=True, granularity='I', alpha=1.3, smooth=0.0, activation='sigmoid')),
    }

    @property
    def tversky_weights(self) -> tuple[float, float]:
        return self.alpha, self.beta
