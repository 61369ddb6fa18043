"""CalibrationError: ECE and SCE for ``compile(metrics=[...])``, and the state behind it."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_plugin.metrics.calibration_gaps import HALF, carry_over, class_errors, errors, image_gaps, probabilities
from keras_plugin.metrics.checked_metric import CheckedMetric, spec_of
from keras_plugin.metrics.counts import pair_counts
from keras_plugin.metrics.label_maps import LabelMaps
from keras_plugin.metrics.state import RunningMean, Totals
from keras_plugin.metrics.wrong_pixels import WrongPixels, count_by_kind
from keras_plugin.typing import DType, Tensor
from shared_spec.checks import Choice
from shared_spec.metrics.calibration import Calibration
from shared_spec.parameters import check_parameter

LEVEL, METRIC = Choice('D', 'I'), Choice('ECE', 'SCE')


class CalibrationTotals:
    """The gaps of every bin over all images (D), the running means of the images' errors (I), for a ``Calibration``.

    Gaps are whole pixels in two int32 limbs and a rest in units of 2^-24, so that D is within 1e-7 of exact up to 2^51
    pixels. What several replicas hold may be added.
    """

    def __init__(self, metric: CheckedMetric, spec: Calibration) -> None:
        self.spec, self.dtype = spec, metric.state_dtype
        rows = ('ECE' in spec.metrics) + ('SCE' in spec.metrics) * (1 if spec.binary else spec.num_classes)
        self.strange = WrongPixels(metric, 'wrong_probabilities')
        if 'D' in spec.levels:
            self.whole = Totals(metric, (rows, spec.bins), 'gap')
            self.part = metric.add_variable((rows, spec.bins), 'zeros', dtype='int32', name='gap_part')
            self.labelled = Totals(metric, (spec.num_classes + 1,), 'labelled')
        if 'I' in spec.levels:
            self.means = RunningMean(metric, 'calibration', (len(spec.metrics),), self.dtype)

    def update(self, maps: LabelMaps, prob: Tensor, counts: Tensor) -> None:
        """Adds a batch: ``LabelMaps``, probabilities (N, *space, C), and their tp, fp, fn."""
        whole, part, strange = image_gaps(self.spec, maps, prob)
        self.strange.update(self.spec.num_classes, count_by_kind(dict(probabilities=strange)))
        pixels = ops.sum(counts[..., 0] + counts[..., 1], axis=1, keepdims=True)  # all that are predicted
        labelled = ops.concatenate([counts[..., 0] + counts[..., 2], ops.cast(pixels, 'int32')], axis=1)
        if 'D' in self.spec.levels:
            high, low = (ops.cast(ops.sum(x, axis=0), 'int32') for x in (part // HALF, part % HALF))
            carry, rest = carry_over(0, high + self.part // HALF, low + self.part % HALF)
            self.part.assign(rest)
            self.whole.update(ops.concatenate([whole, ops.expand_dims(carry, 0)], axis=0))
            self.labelled.update(labelled)
        if 'I' in self.spec.levels:
            found = errors(self.spec, whole, part, labelled, self.dtype)
            values, counted = zip(*(found[metric] for metric in self.spec.metrics))
            self.means.update(ops.stack(values), ops.stack(counted))

    def value(self) -> list[Tensor]:
        """() results in the order of ``spec.names()``; NaN once a probability was none."""
        found = {}
        if 'D' in self.spec.levels:
            labelled, whole = self.labelled.value(self.dtype), self.whole.value(self.dtype)
            for metric, (error, counted) in errors(self.spec, whole, self.part.value, labelled, self.dtype).items():
                found[metric + 'D'] = ops.where(counted, error, float('nan'))
        if 'I' in self.spec.levels:
            found.update(zip((metric + 'I' for metric in self.spec.metrics), ops.unstack(self.means.value())))
        return [self.strange.nan_if_wrong(found[name]) for name in self.spec.names()]

    def per_class(self) -> dict[str, np.ndarray]:
        """'SCED' -> NumPy (C,), the terms of its mean; empty where SCED is no result."""
        if 'SCED' not in self.spec.names():
            return {}
        labelled, whole = self.labelled.value('float32'), self.whole.value('float32')
        found = class_errors(self.spec, whole, self.part.value, labelled, 'float32')
        return {'SCED': np.array(ops.convert_to_numpy(found))}

    def complaint(self) -> str | None:
        """The sentence about what made the results NaN, or None."""
        return self.strange.complaint(self.spec.num_classes)


@keras.saving.register_keras_serializable(package='segparity')
class CalibrationError(CheckedMetric):
    """A calibration error, a fraction: ``metric`` 'ECE' or 'SCE', ``level`` 'D' over all pixels or 'I' over images.

    Lower is better; NaN where nothing is defined. Takes scores, not class ids: (N, *space, C), or one channel as
    class 1 of two; labels and weights as in ``keras_plugin.metrics.label_maps``. ``bins``, ``hit``, ``binary`` as in
    ``segparity show Calibration``. Confidences are added as integers in units of 2^-24. The default name is that of the
    result, such as 'ECED'.
    """

    spec: Calibration
    _direction = 'down'

    def __init__(
        self,
        num_classes: int,
        metric: str = 'ECE',
        level: str = 'D',
        ignore_class: int | None = None,
        from_logits: bool = False,
        bins: int = 10,
        hit: str = 'label',
        binary: bool = False,
        name: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        owner = type(self).__name__
        spec = spec_of(
            Calibration,
            owner,
            num_classes=num_classes,
            ignore_class=ignore_class,
            levels=(check_parameter(owner, 'level', LEVEL, level),),
            metrics=(check_parameter(owner, 'metric', METRIC, metric),),
            bins=bins,
            hit=hit,
            binary=binary,
        )
        super().__init__(spec, from_logits, name or spec.names()[0], dtype)
        self._calibration = CalibrationTotals(self, spec)

    def add(self, maps: LabelMaps, y_pred: Tensor) -> None:
        prob = probabilities(type(self).__name__, self.from_logits, maps.scores, y_pred)
        self._calibration.update(maps, prob, pair_counts(maps.target, maps.pred, self.spec.num_classes))

    def result(self) -> Tensor:
        return self.finish_result(self._calibration.value()[0])

    def per_class(self) -> dict[str, np.ndarray]:
        self.check()
        return self._calibration.per_class()

    def complaint(self) -> str | None:
        return super().complaint() or self._calibration.complaint()

    def own_config(self) -> dict[str, Any]:
        return {'metric': self.spec.metrics[0], 'level': self.spec.levels[0]}
