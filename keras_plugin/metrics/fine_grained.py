"""Metrics with one number as result: pixel accuracy, and mean IoU, Dice, accuracy, precision and F-score."""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_plugin.metrics.base import CountedMetric
from keras_plugin.metrics.checked_metric import spec_of
from keras_plugin.metrics.scores import pixel_accuracy
from keras_plugin.metrics.state import DECILES
from keras_plugin.typing import DType, Tensor
from shared_spec.checks import AnyOf, Choice, Integer, Optional
from shared_spec.metrics.fine_grained import FineGrained
from shared_spec.parameters import SpecError, check_parameter

LEVEL = Choice('D', 'I', 'C')
WORST = Optional(AnyOf(Integer(1, 100), Choice('Q')))


@keras.saving.register_keras_serializable(package='segparity')
class PixelAccuracy(CountedMetric):
    """``aAcc``: rightly predicted pixels among those labelled with a class, a fraction; NaN without any.

    Inputs as in ``keras_plugin.metrics.label_maps.label_maps``. The default name is that of the result.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_class: int | None = None,
        from_logits: bool = False,
        name: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        spec = spec_of(FineGrained, type(self).__name__, num_classes=num_classes, ignore_class=ignore_class)
        super().__init__(spec, from_logits, 1, 'step', name or 'aAcc', dtype, totals=True, means=(), worst=False)

    def result(self) -> Tensor:
        return self.finish_result(pixel_accuracy(self._totals.value(self.state_dtype)))

    def per_class(self) -> dict[str, np.ndarray]:
        return {}  # it is no mean over classes


class MeanScore(CountedMetric):
    """A mean of one score at one level; a subclass names the score.

    ``level`` 'D' is over the data set, 'I' over images, 'C' over classes; ``q`` makes it the mean over the lowest q per
    cent ('Q': the mean over q = 10, 20, ..., 100), for which every image's counts are kept: exact up to ``max_images``
    images, NaN beyond. They are sorted in every step; ``worst_every='epoch'`` has NaN there and leaves the result to the
    callback ``WorstCaseResults``. The default name is that of the result, such as 'mIoUC5'.
    """

    metric = ''
    beta = 1.0

    def __init__(
        self,
        num_classes: int,
        level: str = 'D',
        q: int | str | None = None,
        ignore_class: int | None = None,
        from_logits: bool = False,
        max_images: int = 1000,
        present_in: str = 'target',
        binary: bool = False,
        worst_every: str = 'step',
        name: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        owner = type(self).__name__
        self.level, self.q = check_parameter(owner, 'level', LEVEL, level), check_parameter(owner, 'q', WORST, q)
        if self.level == 'D' and self.q is not None:
            rule = f"has a meaning at level 'I' or 'C', got q={q!r} at level 'D'"
            raise SpecError(rule, owner=owner, parameter='q', given=q)
        spec = spec_of(
            FineGrained,
            owner,
            num_classes=num_classes,
            ignore_class=ignore_class,
            levels=(self.level,),
            q=(self.q,) if isinstance(self.q, int) else (),
            metrics=(self.metric,),
            present_in=present_in,
            binary=binary,
            beta=self.beta,
        )
        worst = self.q is not None
        super().__init__(
            spec,
            from_logits,
            max_images,
            worst_every,
            name or f'{self.metric}{self.level}{"" if self.q is None else self.q}',
            dtype,
            totals=self.level == 'D',
            means=() if worst else (self.level,),
            worst=worst,
        )

    def result(self) -> Tensor:
        if self.worst_at_step:
            q = DECILES if self.q == 'Q' else (self.q,)
            value = ops.mean(self._table.worst_cases(self.spec, (self.level,), q, self.state_dtype)[self.level])
        elif self.q is not None:
            value = float('nan')
        else:
            value = self.level_means(self.level)[0]
        return self.finish_result(value)

    def worst_results(self) -> dict[str, float]:
        if self.q is None:
            return {}
        return {self.name: self.state().results(self.worst_spec)[f'{self.metric}{self.level}{self.q}']}

    @property
    def worst_spec(self) -> FineGrained:
        return dataclasses.replace(self.spec, q=(self.q if isinstance(self.q, int) else DECILES[0],))

    def per_class(self) -> dict[str, np.ndarray]:
        name = f'{self.metric[1:]}{self.level}{"" if self.q is None else self.q}'
        return {found: values for found, values in super().per_class().items() if found == name}

    def own_config(self) -> dict[str, Any]:
        return {'level': self.level, 'q': self.q, 'max_images': self.max_images, 'worst_every': self.worst_every}


@keras.saving.register_keras_serializable(package='segparity')
class MeanIoU(MeanScore):
    """Mean IoU = tp / (tp + fp + fn); see ``MeanScore``."""

    metric = 'mIoU'


@keras.saving.register_keras_serializable(package='segparity')
class MeanDice(MeanScore):
    """Mean Dice = 2 tp / (2 tp + fp + fn); see ``MeanScore``."""

    metric = 'mDice'


@keras.saving.register_keras_serializable(package='segparity')
class MeanAccuracy(MeanScore):
    """Mean accuracy of a class, its recall: tp / (tp + fn); see ``MeanScore``."""

    metric = 'mAcc'


@keras.saving.register_keras_serializable(package='segparity')
class MeanPrecision(MeanScore):
    """Mean precision = tp / (tp + fp); see ``MeanScore``."""

    metric = 'mPrecision'


@keras.saving.register_keras_serializable(package='segparity')
class MeanFscore(MeanScore):
    """Mean F-score = (1 + beta^2) tp / ((1 + beta^2) tp + beta^2 fn + fp); see ``MeanScore``."""

    metric = 'mFscore'

    def __init__(
        self,
        num_classes: int,
        level: str = 'D',
        q: int | str | None = None,
        ignore_class: int | None = None,
        from_logits: bool = False,
        max_images: int = 1000,
        present_in: str = 'target',
        binary: bool = False,
        worst_every: str = 'step',
        beta: float = 1.0,
        name: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        self.beta = beta
        super().__init__(
            num_classes,
            level,
            q,
            ignore_class,
            from_logits,
            max_images,
            present_in,
            binary,
            worst_every,
            name=name,
            dtype=dtype,
        )
