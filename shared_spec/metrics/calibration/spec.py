"""Calibration errors: how far confidence is from the share of pixels that are right."""

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.checks import Choice, Each, Integer
from shared_spec.declare import REQUIRED, Example, metric_spec, param
from shared_spec.metrics.label_map_spec import LabelMapSpec, defined_mean
from shared_spec.metrics.label_maps import check_ids, check_images, valid_pixels
from shared_spec.typing import Maps
from shared_spec.values import TOLERANCE


@metric_spec
class Calibration(LabelMapSpec):
    """Expected (ECE) and static, class-wise (SCE) calibration error of probabilities against hard labels.

    ``reference`` is written to be read: loops over images, classes and bins, fractions in [0, 1], NaN where nothing is
    defined.
    """

    title = 'Calibration errors ECE and SCE'
    formula = (
        'error(conf, hit) = sum_b n_b/n |mean hit_b - mean conf_b| = sum_b |sum hit_b - sum conf_b| / n over the bins '
        'b = min(floor(conf * B), B - 1); ECE: conf = max_c p_c, hit = (label == argmax); SCE: mean over classes c of '
        'the error of conf = p_c at every valid pixel, hit = (label == c); D: over the pixels of all images; '
        'I: of each image, then mean over images'
    )
    source = (
        'ECE: Guo et al.: On Calibration of Modern Neural Networks, arXiv 1706.04599; SCE: Nixon et al.: Measuring '
        'Calibration in Deep Learning, arXiv 1904.01685; D and I: JDTLosses'
    )
    remarks = (
        'Results are fractions; JDTLosses prints ECE in per cent and SCE in per mille. Bins are closed on the left and '
        '1.0 is in the last; conf * B is one float64 product of the value as given, so that a confidence on an edge '
        'such as 0.7 may fall into another bin as a float32. Of equal probabilities the first class is the argmax. '
        'SCE counts the classes that are labelled somewhere among the valid pixels (D: of the data set, I: of the '
        'image). A label that is neither a class nor ignored is a pixel that is never a hit. An image without a valid '
        'pixel counts nowhere; undefined everywhere: NaN. One channel is the probability p of class 1 of two, that of '
        'class 0 is 1 - p: no threshold. A probability that is NaN or +inf where it counts makes every result NaN; one '
        'beyond [0, 1] by 2^-7 at most is taken for 0 or 1, by more it is refused. binary: SCE counts class 1 only, and '
        'always. JDTLosses differs: it counts a wholly ignored image as perfect, class C-1 in every image with ignored '
        "pixels, every class in SCED, and class 1 only wherever there are two; hit='argmax' and binary=True for two "
        'classes give its SCED.'
    )
    takes = 'probabilities'
    mmseg_type = 'CalibrationMetric'
    mmseg_line = (
        "val_evaluator = [dict(type='FineGrainedMetric', ignore_index=255), "
        "dict(type='CalibrationMetric', ignore_index=255)]"
    )
    keras_line = (
        "metric = metrics.CalibrationError(num_classes=19, metric='ECE', level='I', ignore_class=255, from_logits=True)"
    )

    num_classes: int = param(
        REQUIRED, Integer(low=2), 'number of classes; a binary problem has 2, with one channel too'
    )
    levels: tuple[str, ...] = param(
        ('D', 'I'),
        Each(Choice('D', 'I'), "a list of different levels out of 'D', 'I'", unique=True),
        'which errors are reported: of all pixels of the data set, mean over images',
    )
    metrics: tuple[str, ...] = param(
        ('ECE', 'SCE'),
        Each(Choice('ECE', 'SCE'), "a list of different names out of 'ECE', 'SCE'", unique=True),
        'which errors are reported: of the most probable class, class by class',
    )
    bins: int = param(10, Integer(low=1), 'number of equal bins of confidence')
    hit: str = param(
        'label',
        Choice('label', 'argmax'),
        "when SCE counts a hit of class c: label == c (Nixon), or label == c == argmax ('argmax', JDTLosses)",
    )

    examples = {
        'default': Example(dict(num_classes=4), labels=('hard',)),
        'hit_argmax': Example(dict(num_classes=3, hit='argmax', bins=15), labels=('hard',)),
        'binary': Example(dict(num_classes=2, binary=True), labels=('hard',)),
        'ignore_nothing_one_metric': Example(
            dict(num_classes=4, ignore_index=None, metrics=['SCE'], levels=['I']), labels=('hard',)
        ),
    }

    def names(self) -> list[str]:
        """The names of the results, in order."""
        return [metric + level for metric in self.metrics for level in self.levels]

    def reference(self, probs: Maps, targets: Maps, pixel_weights: Maps | None = None) -> dict[str, float]:
        """Name -> fraction of lists of images: probabilities (C, *space) and integer labels (*space).

        One channel, (1, *space) or (*space), is the probability of class 1 of two. A pixel counts where weight > 0.
        """
        owner = type(self).__name__
        check_images(owner, probs, targets, pixel_weights, 'probs')
        images = []  # per image with a valid pixel: probabilities (C, P) and labels (P,)
        for i in range(len(targets)):
            weight = None if pixel_weights is None else pixel_weights[i]
            prob, target = select_valid(owner, probs[i], targets[i], weight, self.num_classes, self.ignore_index)
            if target.size:
                images.append((prob, target))
        if any(np.isnan(prob).any() for prob, _ in images):
            return dict.fromkeys(self.names(), float('nan'))

        result = {}
        for metric in self.metrics:
            for level in self.levels:
                if level == 'I':
                    result[metric + level] = defined_mean(self.error(metric, *image) for image in images)
                elif images:
                    every_pixel = [np.concatenate(part, axis=-1) for part in zip(*images)]
                    result[metric + level] = self.error(metric, *every_pixel)
                else:
                    result[metric + level] = float('nan')
        return result

    def error(self, metric: str, prob: np.ndarray, target: np.ndarray) -> float:
        """ECE or SCE of pixels: probabilities (C, P), labels (P,)."""
        argmax = prob.argmax(axis=0)
        if metric == 'ECE':
            return calibration_error(prob.max(axis=0), target == argmax, self.bins)
        errors = []
        for c in [1] if self.binary else range(self.num_classes):
            hit = target == c
            if not hit.any() and not self.binary:
                continue
            if self.hit == 'argmax':
                hit = hit & (argmax == c)
            errors.append(calibration_error(prob[c], hit, self.bins))
        return defined_mean(errors)


def select_valid(
    owner: str, prob: ArrayLike, target: ArrayLike, weight: ArrayLike | None, num_classes: int, ignore_index: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities (C, P), float64 in [0, 1] or NaN, and the labels (P,) of the pixels that count."""
    prob, target = np.asarray(prob), np.asarray(target)
    if prob.dtype.kind != 'f':
        raise TypeError(f'{owner}: probs must be maps of floating-point probabilities, got {prob.dtype}')
    check_ids(owner, 'target', target)
    weight = None if weight is None else np.asarray(weight)
    if weight is not None and weight.shape != target.shape:
        raise ValueError(f'{owner}: weight must have the shape {target.shape} of target, got {weight.shape}')
    one_channel = num_classes == 2 and prob.shape in (target.shape, (1, *target.shape))
    if not one_channel and prob.shape != (num_classes, *target.shape):
        raise ValueError(
            f'{owner}: prob must be (C, *space) = {(num_classes, *target.shape)} to match target {target.shape}, '
            f'got {prob.shape}'
        )
    valid = valid_pixels(target, weight, ignore_index)
    prob = prob.reshape(1 if one_channel else num_classes, *target.shape)[:, valid].astype(np.float64)
    prob[prob == np.inf] = np.nan
    strange = (prob < -TOLERANCE) | (prob > 1 + TOLERANCE)
    if strange.any():
        raise ValueError(f'{owner}: probabilities must be in [0, 1], got {prob[strange][0]:g}')
    prob = prob.clip(0, 1)
    return np.concatenate([1 - prob, prob]) if one_channel else prob, target[valid]


def calibration_error(confidence: np.ndarray, hit: np.ndarray, bins: int) -> float:
    """sum_b |sum of hits - sum of confidence| / n over the bins of n pixels."""
    bin_of = np.minimum(np.floor(confidence * bins), bins - 1)
    error = 0.0
    for b in range(bins):
        inside = bin_of == b
        error += abs(hit[inside].sum() - confidence[inside].sum())
    return float(error / len(confidence))
