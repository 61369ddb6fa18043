"""The parameters that every metric of the spec has, those of metrics of masks, and the mean that references take."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from shared_spec.checks import Boolean, Choice, Integer, Optional
from shared_spec.declare import REQUIRED, MetricSpec, SpecError, param, shared_parameters


@shared_parameters
class LabelMapSpec(MetricSpec):
    """A metric of label maps of images; ``mmseg_type`` is the evaluator that measures it."""

    num_classes: int = param(REQUIRED, Integer(low=1), 'number of classes; a binary problem has 2')
    ignore_index: int | None = param(
        255,
        Optional(Integer()),
        'label that counts nowhere',
        keras_default=None,
        keras_name='ignore_class',
        always=('mmseg', 'keras'),
    )
    binary: bool = param(False, Boolean(), 'foreground against background: only class 1 counts')

    def validate(self) -> None:
        if self.binary and self.num_classes != 2:
            raise SpecError(
                f'binary=True needs num_classes=2 (0 is background, 1 is foreground), got {self.num_classes}',
                owner=type(self).__name__,
            )

    def to_mmseg(self) -> dict[str, Any]:
        """The MMSegmentation config dict; the number of classes comes from the data set, ``ignore_index`` is stated."""
        written = {name: self.builtin_value(name) for name, _ in self._written('mmseg') if name != 'num_classes'}
        return {'type': self.mmseg_type, **written}


@shared_parameters
class MaskSpec(LabelMapSpec):
    """A metric of a class's two masks in an image, that of the prediction and that of the ground truth."""

    present_in: str = param(
        'target',
        Choice('target', 'either'),
        'where a class must occur to be present in an image: in the ground truth, or there or in the prediction',
    )

    def is_present(self, in_target: bool | np.bool_, in_pred: bool | np.bool_) -> bool | np.bool_:
        """Whether a class is present in an image, from whether its masks are not empty."""
        return in_target or (in_pred and (self.binary or self.present_in == 'either'))


def defined_mean(values: Iterable[float]) -> float:
    """Plain mean of what is defined, NaN where nothing is."""
    values = [v for v in values if v == v]
    return sum(values) / len(values) if values else float('nan')
