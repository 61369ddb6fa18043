"""What every fine-grained metric shares: inputs to counts, counts to state, and the table for the worst cases."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_plugin.metrics.checked_metric import CheckedMetric, host_value
from keras_plugin.metrics.counts import pair_counts
from keras_plugin.metrics.label_maps import LabelMaps
from keras_plugin.metrics.scores import cell_scores, data_set_scores, defined_mean, image_means
from keras_plugin.metrics.state import ImageTable, RunningMean, Totals
from keras_plugin.typing import DType, Tensor
from shared_spec.checks import Choice, Integer
from shared_spec.metrics.fine_grained import FineGrained, FineGrainedState
from shared_spec.parameters import check_parameter

WORST_EVERY = Choice('step', 'epoch')


class CountedMetric(CheckedMetric):
    """A metric over tp, fp, fn of every class of every image; subclasses say which results they keep.

    Worst-case results are NaN once there were more than ``max_images`` images, all results once a pixel was wrong; see
    ``CheckedMetric``. ``worst_every='epoch'`` leaves the worst case out of ``result()``: then ``worst_results()``, or
    the callback ``WorstCaseResults``, computes it on the host.
    """

    spec: FineGrained
    # None where not kept
    _totals: Totals | Any
    _image_means: RunningMean | Any
    _class_means: RunningMean | Any
    _table: ImageTable | Any

    def __init__(
        self,
        spec: FineGrained,
        from_logits: bool,
        max_images: int,
        worst_every: str,
        name: str | None,
        dtype: DType | None,
        *,
        totals: bool,
        means: Sequence[str],
        worst: bool,
    ) -> None:
        super().__init__(spec, from_logits, name, dtype)
        owner = type(self).__name__
        self.max_images = check_parameter(owner, 'max_images', Integer(1, 500_000), max_images)
        self.worst_every = check_parameter(owner, 'worst_every', WORST_EVERY, worst_every)
        c, m = spec.num_classes, len(spec.metrics)
        self._totals = Totals(self, (c, 3)) if totals else None
        self._image_means = RunningMean(self, 'image', (m,), self.state_dtype) if 'I' in means else None
        self._class_means = RunningMean(self, 'class', (m, c), self.state_dtype) if 'C' in means else None
        self._table = ImageTable(self, c, self.max_images) if worst else None

    def add(self, maps: LabelMaps, y_pred: Tensor) -> None:
        self.add_counts(self.counts_of(maps))

    def counts_of(self, maps: LabelMaps) -> Tensor:
        """int32 (N, C, 3) tp, fp, fn of ``LabelMaps``."""
        return pair_counts(maps.target, maps.pred, self.spec.num_classes)

    def add_counts(self, counts: Tensor) -> None:
        """Adds the int32 (N, C, 3) counts of a batch."""
        if self._totals is not None:
            self._totals.update(counts)
        if self._image_means is not None or self._class_means is not None:
            cells = cell_scores(self.spec, counts, self.state_dtype)
            if self._image_means is not None:
                self._image_means.update(*image_means(*cells))
            if self._class_means is not None:
                self._class_means.update(*cells)
        if self._table is not None:
            self._table.update(counts)

    def level_means(self, level: str) -> Tensor:
        """(M,) means of the spec's metrics at a level."""
        return self._image_means.value() if level == 'I' else defined_mean(self.class_terms(level))

    def class_terms(self, level: str) -> Tensor:
        """(M, C) terms of the means at level D or C, NaN where a class does not count."""
        if level == 'D':
            return data_set_scores(self.spec, self._totals.value(self.state_dtype))
        return self._class_means.value()

    @property
    def worst_at_step(self) -> bool:
        """Whether ``result()`` has worst-case results."""
        return self._table is not None and self.worst_every == 'step'

    def complaint(self) -> str | None:
        owner, complaint = type(self).__name__, super().complaint()
        if complaint is None and self._table is not None:
            seen = host_value(self._table.seen)
            if seen > self.max_images:
                return (
                    f'{owner}: max_images must be at least the number of images for worst-case results, '
                    f'got {self.max_images} for {seen}'
                )
            if not bool(ops.convert_to_numpy(self._table.is_complete())):
                return (
                    f'{owner}: worst-case results need all images in one table, which a strategy of several replicas '
                    f'does not keep; merge state() of one metric for each replica'
                )
        return complaint

    def state(self, image_ids: Sequence[str | int] | None = None) -> FineGrainedState:
        """The table as a ``FineGrainedState``, to be merged with other shards or saved; needs ``q``.

        ``image_ids`` names the images in the order in which they came, so that repeated ones are dropped.
        """
        if self._table is None:
            raise ValueError(f'{type(self).__name__}: only a metric with worst-case results (q) keeps a table')
        self.check()
        seen = host_value(self._table.seen)
        if image_ids is not None and len(image_ids) != seen:
            raise ValueError(f'{type(self).__name__}: image_ids must name the {seen} images seen, got {len(image_ids)}')
        state = FineGrainedState(self.spec.num_classes, self.spec.ignore_index)
        for i, row in enumerate(np.array(ops.convert_to_numpy(self._table.rows))[:seen]):
            state.add(row, None if image_ids is None else image_ids[i])
        return state

    def per_class(self) -> dict[str, np.ndarray]:
        self.check()
        found: dict[str, np.ndarray] = {}
        for level, kept in (('D', self._totals), ('C', self._class_means)):
            if kept is not None and level in self.spec.levels:
                values = np.array(ops.convert_to_numpy(self.class_terms(level)))
                found.update((metric[1:] + level, row) for metric, row in zip(self.spec.metrics, values))
        if self._table is not None and 'C' in self.spec.levels:
            found = {**self.state().per_class(self.worst_spec), **found}
        return found

    @property
    def worst_spec(self) -> FineGrained:
        """The spec of the results that the table gives."""
        return self.spec

    def worst_results(self) -> dict[str, float]:
        """Name -> fraction: the worst-case results of what was seen, computed on the host in float64; {} without ``q``.

        Raises the sentence of ``check()`` where they cannot be had.
        """
        return {}
