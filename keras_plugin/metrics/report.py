"""SegmentationReport: every fine-grained result at once."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_plugin.metrics.base import CountedMetric
from keras_plugin.metrics.calibration import CalibrationTotals
from keras_plugin.metrics.calibration_gaps import probabilities
from keras_plugin.metrics.checked_metric import names_of_classes, spec_of
from keras_plugin.metrics.label_maps import LabelMaps
from keras_plugin.metrics.scores import frequency_weighted_iou, pixel_accuracy
from keras_plugin.metrics.state import DECILES
from keras_plugin.typing import DType, Tensor
from shared_spec.checks import Boolean
from shared_spec.metrics.calibration import Calibration
from shared_spec.metrics.fine_grained import FineGrained
from shared_spec.parameters import SpecError, check_parameter


@keras.saving.register_keras_serializable(package='segparity')
class SegmentationReport(CountedMetric):
    """Results of ``FineGrained`` as one dictionary of fractions: ``aAcc``, ``FWIoU``, ``mIoUD``, ``mIoUI``, ``mIoUC``.

    Parameters as there; ``metrics=['mAcc', 'mIoU', 'mDice'], q=[1, 5]`` gives all 29. Where ``q`` is not empty and ``levels`` has I or C, the counts of every image are kept; beyond
    ``max_images`` the worst-case results are NaN, the others go on. In ``fit`` every result is sorted out in every
    step; ``worst_every='epoch'`` leaves the worst-case names out, and the callback ``WorstCaseResults`` adds them once
    an epoch. ``calibration`` adds ECED, ECEI, SCED, SCEI as far as ``levels`` has D and I, and refuses class ids.
    ``class_names`` adds the terms of D and C of every class, ``IoUD_road``; ``per_class()`` has them without that.
    """

    class_names: list[str] | Any  # or None

    def __init__(
        self,
        num_classes: int,
        ignore_class: int | None = None,
        levels: Sequence[str] = ('D', 'I', 'C'),
        q: Sequence[int] = (),
        metrics: Sequence[str] = ('mIoU',),
        beta: float = 1.0,
        present_in: str = 'target',
        binary: bool = False,
        from_logits: bool = False,
        calibration: bool = False,
        max_images: int = 1000,
        worst_every: str = 'step',
        class_names: Sequence[str] | None = None,
        name: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        owner = type(self).__name__
        spec = spec_of(
            FineGrained,
            owner,
            num_classes=num_classes,
            ignore_class=ignore_class,
            levels=levels,
            q=q,
            metrics=metrics,
            beta=beta,
            present_in=present_in,
            binary=binary,
        )
        means = tuple(level for level in spec.levels if level != 'D')
        worst = bool(spec.q and means)
        super().__init__(spec, from_logits, max_images, worst_every, name, dtype, totals=True, means=means, worst=worst)
        self._calibration = None
        if check_parameter(owner, 'calibration', Boolean(), calibration):
            levels = [level for level in spec.levels if level != 'C']
            if not levels:
                raise SpecError(f"calibration needs level 'D' or 'I', got levels {list(spec.levels)}", owner=owner)
            self._calibration = CalibrationTotals(
                self,
                spec_of(
                    Calibration,
                    owner,
                    num_classes=num_classes,
                    ignore_class=ignore_class,
                    levels=levels,
                    binary=binary,
                ),
            )

        self.class_names = None if class_names is None else names_of_classes(owner, spec, class_names)

    def names(self) -> list[str]:
        """The names of ``result()``, in order."""
        spec = self.spec if self.worst_at_step or self._table is None else dataclasses.replace(self.spec, q=())
        of_classes = [
            f'{metric[1:]}{level}_{name}'
            for level in self.levels_of_classes
            for metric in spec.metrics
            for name in self.class_names
        ]
        return [*spec.names(), *(self._calibration.spec.names() if self._calibration else []), *of_classes]

    @property
    def levels_of_classes(self) -> list[str]:
        """The levels of which ``result()`` has every class."""
        return [level for level in self.spec.levels if level != 'I'] if self.class_names else []

    def add(self, maps: LabelMaps, y_pred: Tensor) -> None:
        counts = self.counts_of(maps)
        if self._calibration is not None:  # first, for it may refuse the batch
            prob = probabilities(type(self).__name__, self.from_logits, maps.scores, y_pred)
            self._calibration.update(maps, prob, counts)
        self.add_counts(counts)

    def result(self) -> dict[str, Tensor]:
        spec, totals = self.spec, self._totals.value(self.state_dtype)
        worst: dict[str, Tensor] = {}
        if self.worst_at_step:
            levels = [level for level in spec.levels if level != 'D']
            worst = self._table.worst_cases(spec, levels, spec.q + DECILES, self.state_dtype)
        blocks = []  # for each level (M, results), in the order of the names
        for level in spec.levels:
            blocks.append(ops.expand_dims(self.level_means(level), 1))
            if level in worst:
                blocks.append(worst[level][:, : len(spec.q)])
                blocks.append(ops.mean(worst[level][:, len(spec.q) :], axis=1, keepdims=True))
        values = [
            ops.stack([pixel_accuracy(totals), frequency_weighted_iou(totals)]),
            ops.reshape(ops.concatenate(blocks, axis=1), (-1,)),
        ]
        if self._calibration is not None:
            values.append(ops.stack(self._calibration.value()))
        values.extend(ops.reshape(self.class_terms(level), (-1,)) for level in self.levels_of_classes)
        return dict(zip(self.names(), ops.unstack(self.finish_result(ops.concatenate(values)))))

    def complaint(self) -> str | None:
        complaint = super().complaint()
        if complaint is None and self._calibration is not None:
            complaint = self._calibration.complaint()
        return complaint

    def per_class(self) -> dict[str, np.ndarray]:
        return {**super().per_class(), **(self._calibration.per_class() if self._calibration else {})}

    def worst_results(self) -> dict[str, float]:
        if self._table is None:
            return {}
        means = dataclasses.replace(self.spec, q=()).names()
        return {name: v for name, v in self.state().results(self.spec).items() if name not in means}

    def own_config(self) -> dict[str, Any]:
        return {
            'calibration': self._calibration is not None,
            'max_images': self.max_images,
            'worst_every': self.worst_every,
            'class_names': self.class_names,
        }
