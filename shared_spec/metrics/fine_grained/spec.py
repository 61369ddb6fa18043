"""Fine-grained overlap metrics: pixel accuracy, and IoU, Dice, ... over the data set, over images and over classes."""

from collections.abc import Iterable, Sequence

import numpy as np

from shared_spec.checks import Choice, Each, Integer, Real
from shared_spec.declare import Example, metric_spec, param
from shared_spec.metrics.label_map_spec import MaskSpec, defined_mean
from shared_spec.metrics.label_maps import check_images, check_predicted, label_maps, valid_pixels
from shared_spec.typing import Maps

DECILES = tuple(range(10, 101, 10))  # the q over which IQ and CQ are averaged


@metric_spec
class FineGrained(MaskSpec):
    """Overlap of hard predictions with hard labels, from per-image counts tp, fp, fn of every class.

    ``reference`` is written to be read: loops over images and classes, fractions in [0, 1], NaN where nothing is
    defined.
    """

    title = 'Fine-grained overlap metrics'
    formula = (
        'Acc = tp/(tp+fn), IoU = tp/(tp+fp+fn), Dice = 2tp/(2tp+fp+fn), Precision = tp/(tp+fp), '
        'Fscore = (1+b^2)tp/((1+b^2)tp + b^2 fn + fp); D: counts added over images, mean over classes; '
        'I: mean over the classes of an image, then over images; C: mean over the images of a class, then over '
        'classes; Iq, Cq: over the lowest max(1, q*n // 100) values; IQ, CQ: mean over q = 10, 20, ..., 100'
    )
    source = 'Wang et al.: Revisiting Evaluation Metrics for Semantic Segmentation, arXiv 2310.19252; JDTLosses'
    remarks = (
        'D leaves out classes whose denominator is 0; a class that is only predicted has IoU 0 and counts. '
        'I and C count the cells (image, class) that are present; n is the number of values that are defined. '
        'Recall of a counted cell without ground truth is undefined and left out; precision of a counted cell without '
        'prediction is 0, for the object was missed. A label that is neither a class nor ignored belongs to no class: '
        'what is predicted there is a false positive, and aAcc = sum tp / sum (tp+fn) does not see it. An image '
        'without a valid pixel counts nowhere. Undefined everywhere: NaN. binary: only class 1 counts, presence is '
        "'either', and an image without it in either scores 1 under I and C; aAcc and FWIoU stay over both classes. "
        'JDTLosses differs there: its Acc is foreground recall and its C averages both classes.'
    )
    mmseg_type = 'FineGrainedMetric'
    mmseg_line = "val_evaluator = dict(type='FineGrainedMetric', ignore_index=255, q=[1, 5])"
    keras_line = '\n'.join(
        (
            "metric = metrics.MeanIoU(num_classes=19, level='C', ignore_class=255, from_logits=True)",
            "metric = metrics.MeanDice(num_classes=19, level='C', ignore_class=255, from_logits=True)",
            "metric = metrics.MeanAccuracy(num_classes=19, level='C', ignore_class=255, from_logits=True)",
            "metric = metrics.MeanPrecision(num_classes=19, level='C', ignore_class=255, from_logits=True)",
            "metric = metrics.MeanFscore(num_classes=19, level='C', ignore_class=255, from_logits=True)",
            'metric = metrics.PixelAccuracy(num_classes=19, ignore_class=255, from_logits=True)',
            'metric = metrics.SegmentationReport(num_classes=19, ignore_class=255, from_logits=True)',
            "callback = metrics.WorstCaseResults()  # for metrics with worst_every='epoch'",
            'callback = metrics.CheckMetrics()  # says why a result is NaN',
        )
    )

    levels: tuple[str, ...] = param(
        ('D', 'I', 'C'),
        Each(Choice('D', 'I', 'C'), "a list of different levels out of 'D', 'I', 'C'", unique=True),
        'which means are reported: over the data set, over images, over classes',
    )
    q: tuple[int, ...] = param(
        (1, 5),
        Each(Integer(1, 100), 'a list (it may be empty) of different integers from 1 to 100', at_least=0, unique=True),
        'per cent of the lowest values that the worst-case results of I and C average; empty for none',
        keras_default=(),
    )
    metrics: tuple[str, ...] = param(
        ('mAcc', 'mIoU', 'mDice'),
        Each(
            Choice('mAcc', 'mIoU', 'mDice', 'mPrecision', 'mFscore'),
            "a list of different names out of 'mAcc', 'mIoU', 'mDice', 'mPrecision', 'mFscore'",
            unique=True,
        ),
        'which scores are reported; mAcc is the recall',
        keras_default=('mIoU',),
    )
    beta: float = param(1.0, Real(low=0, above=True), 'weight of recall in mFscore')

    examples = {
        'default': Example(dict(num_classes=4), labels=('hard',)),
        'every_metric': Example(
            dict(num_classes=3, metrics=['mAcc', 'mIoU', 'mDice', 'mPrecision', 'mFscore'], beta=2.0, q=[10, 50]),
            labels=('hard',),
        ),
        'present_in_either': Example(dict(num_classes=4, present_in='either', levels=['I', 'C']), labels=('hard',)),
        'binary': Example(dict(num_classes=2, binary=True), labels=('hard',)),
        'ignore_nothing_no_worst': Example(dict(num_classes=4, ignore_index=None, q=[]), labels=('hard',)),
    }

    def names(self) -> list[str]:
        """The names of the results, in order."""
        worst = [str(q) for q in self.q] + (['Q'] if self.q else [])
        suffixes = [level + w for level in self.levels for w in ['', *(worst if level != 'D' else [])]]
        return ['aAcc', 'FWIoU', *(metric + suffix for metric in self.metrics for suffix in suffixes)]

    def reference(self, preds: Maps, targets: Maps, pixel_weights: Maps | None = None) -> dict[str, float]:
        """Name -> fraction of lists of integer id maps, or of stacks (N, *space); a pixel counts where weight > 0."""
        owner = type(self).__name__
        check_images(owner, preds, targets, pixel_weights)
        images = []  # per image with a valid pixel: a list over classes of (tp, fp, fn)
        for i in range(len(targets)):
            weight = None if pixel_weights is None else pixel_weights[i]
            pred, target, weight = label_maps(owner, preds[i], targets[i], weight)
            valid = valid_pixels(target, weight, self.ignore_index)
            check_predicted(owner, pred[valid], self.num_classes)
            if valid.any():
                images.append(class_counts(pred[valid], target[valid], self.num_classes))
        total = [tuple(sum(image[c][k] for image in images) for k in range(3)) for c in range(self.num_classes)]

        result = dict(aAcc=pixel_accuracy(total), FWIoU=frequency_weighted_iou(total))
        classes = [1] if self.binary else range(self.num_classes)
        for metric in self.metrics:
            for level in self.levels:
                if level == 'D':
                    result[metric + 'D'] = defined_mean(self.score(metric, *total[c]) for c in classes)
                    continue
                cells = [[self.cell(metric, *image[c]) for c in classes] for image in images]
                if level == 'I':
                    groups = [[defined_mean(row) for row in cells]]
                else:
                    groups = [[row[k] for row in cells] for k in range(len(classes))]
                result[metric + level] = defined_mean(mean_of_lowest(100, values) for values in groups)
                for q in self.q:
                    result[f'{metric}{level}{q}'] = defined_mean(mean_of_lowest(q, values) for values in groups)
                if self.q:
                    deciles = [defined_mean(mean_of_lowest(q, values) for values in groups) for q in DECILES]
                    result[metric + level + 'Q'] = defined_mean(deciles)
        return result

    def cell(self, metric: str, tp: int, fp: int, fn: int) -> float:
        """The score of one class in one image, NaN where the cell does not count."""
        if self.binary and tp + fp + fn == 0:
            return 1.0
        in_target, in_pred = tp + fn > 0, tp + fp > 0
        if not self.is_present(in_target, in_pred):
            return float('nan')
        if metric == 'mPrecision' and not in_pred:
            return 0.0
        return self.score(metric, tp, fp, fn)

    def score(self, metric: str, tp: int, fp: int, fn: int) -> float:
        """The score of counts, NaN where its denominator is 0."""
        b2 = self.beta**2
        above, below = {
            'mAcc': (tp, tp + fn),
            'mIoU': (tp, tp + fp + fn),
            'mDice': (2 * tp, 2 * tp + fp + fn),
            'mPrecision': (tp, tp + fp),
            'mFscore': ((1 + b2) * tp, (1 + b2) * tp + b2 * fn + fp),
        }[metric]
        return above / below if below > 0 else float('nan')


def class_counts(pred: np.ndarray, target: np.ndarray, num_classes: int) -> list[tuple[int, int, int]]:
    """A list over classes of (tp, fp, fn) of one image's valid pixels."""
    counts = []
    for c in range(num_classes):
        tp = int(((pred == c) & (target == c)).sum())
        fp = int(((pred == c) & (target != c)).sum())
        fn = int(((pred != c) & (target == c)).sum())
        counts.append((tp, fp, fn))
    return counts


def pixel_accuracy(total: Sequence[tuple[int, ...]]) -> float:
    """Rightly predicted pixels among those labelled with a class."""
    labelled = sum(tp + fn for tp, _, fn in total)
    return sum(tp for tp, _, _ in total) / labelled if labelled else float('nan')


def frequency_weighted_iou(total: Sequence[tuple[int, ...]]) -> float:
    """IoU of each class weighted with its share of the labelled pixels; a class without labels has weight 0."""
    labelled = sum(tp + fn for tp, _, fn in total)
    if not labelled:
        return float('nan')
    return sum((tp + fn) / labelled * tp / (tp + fp + fn) for tp, fp, fn in total if tp + fn > 0)


def mean_of_lowest(q: int, values: Iterable[float]) -> float:
    """Mean of the lowest max(1, q*n // 100) of the n defined values, NaN where none is."""
    values = sorted(v for v in values if v == v)
    return defined_mean(values[: max(1, q * len(values) // 100)])
