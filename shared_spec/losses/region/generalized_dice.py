"""Generalized Dice with weights that absent classes do not blow up and the image's size does not change."""

import numpy as np

from shared_spec import shapes
from shared_spec.checks import AnyOf, Choice, Each, Integer, Real, Weights
from shared_spec.declare import Example, Shared, Smoothed, loss_spec, param, shared_parameters
from shared_spec.granularity import as_weights
from shared_spec.inputs import Batch
from shared_spec.overlap import metric_overlap, product_overlap
from shared_spec.typing import Classes, Granularity


@shared_parameters
class PerBatchOrImage(Smoothed, Shared):
    """The shared parameters of a loss whose classes are weighed inside one ratio."""

    granularity: Granularity = param(
        'D', Weights('D', 'I'), 'one ratio over the data set (batch), or the mean of one per image'
    )
    classes: Classes = param(
        'all', AnyOf(Choice('all'), Each(Integer(low=0), 'a list of different class ids', unique=True)),
        "which classes enter the sums; 'absent' says what those without a pixel weigh",
    )  # fmt: skip
    presence_threshold: float = param(
        0.01, Real(low=0, high=1, below=True), 'a class is present where its largest target exceeds this'
    )


EXPONENT = {'square': 2, 'simple': 1, 'uniform': 0}


@loss_spec
class GeneralizedDiceLoss(PerBatchOrImage):
    """Generalized Dice: one Dice ratio in which each class weighs 1/size^2."""

    family = 'region'
    of_overlap = True
    title = 'Generalized Dice loss'
    formula = (
        '1 - (sum_c w_c*tp_c + smooth) / (sum_c w_c*(|p_c| + |y_c|)/2 + smooth); w_c = |y_c|^-2, |y_c|^-1 or 1, '
        'scaled to sum 1; an absent class takes the largest present weight, or none'
    )
    source = 'Sudre et al.: Generalised Dice overlap, 2017; NiftyNet'
    remarks = (
        'There is no loss per class, so no class_weight; `absent` takes the place of classes="present". '
        'No class at all: 0.'
    )

    weighting: str = param('square', Choice('square', 'simple', 'uniform'), 'power of 1/size that weighs a class')
    absent: str = param('max', Choice('max', 'drop'), 'a class without a pixel: the largest present weight, or none')
    overlap: str = param('product', Choice('product', 'metric'), "'metric' is minimal at p = y for soft labels too")

    examples = {
        'default': Example(),
        'image_simple': Example(dict(granularity='I', weighting='simple', absent='drop')),
        'both_uniform': Example(
            dict(granularity={'D': 0.5, 'I': 0.5}, weighting='uniform', smooth=0.0, loss_weight=2.0)
        ),
        'metric_sigmoid': Example(dict(overlap='metric', activation='sigmoid', presence_threshold=0.3)),
    }

    def class_weights(self, size: np.ndarray, present: np.ndarray) -> np.ndarray:
        """(C,) weights that sum to 1, or zeros where no class is present; ``size`` = |y_c|."""
        if not present.any():
            return np.zeros_like(size)
        w = np.zeros_like(size)
        w[present] = (size[present].min() / size[present]) ** EXPONENT[self.weighting]
        if self.absent == 'max':
            w[~present] = w[present].max()
        return w

    def ratio_loss(self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, present: np.ndarray) -> float:
        w = self.class_weights(tp + fn, present)
        if w.sum() == 0:
            return 0.0
        w = w / w.sum()
        top, bottom = (w * tp).sum() + self.smooth, (w * (tp + fp / 2 + fn / 2)).sum() + self.smooth
        return 1 - top / bottom

    def of_batch(self, batch: Batch) -> float:
        """The loss of a ``Batch``."""
        n, c = batch.target.shape[:2]
        chosen = shapes.channel_indices(type(self).__name__, self.classes, c)
        statistics = (product_overlap if self.overlap == 'product' else metric_overlap)(batch)
        tp, fp, fn = (s[:, chosen] for s in statistics)
        present = batch.largest_target[:, chosen] > self.presence_threshold
        result = 0.0
        for level, share in as_weights(self.granularity).items():
            if level == 'D':
                result += share * self.ratio_loss(tp.sum(0), fp.sum(0), fn.sum(0), np.any(present, 0))
            else:
                images = [i for i in range(n) if batch.has_pixel[i]]
                w = batch.image_weight[images]
                losses = np.array([self.ratio_loss(tp[i], fp[i], fn[i], present[i]) for i in images])
                result += share * (w * losses).sum() / w.sum() if images else 0.0
        return float(self.loss_weight * result)
