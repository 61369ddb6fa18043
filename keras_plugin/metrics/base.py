"""What every fine-grained metric shares: inputs to counts, counts to state, and the checks at the host."""

import warnings

import keras
import numpy as np
from keras import ops

from keras_plugin.metrics.counts import image_counts
from keras_plugin.metrics.scores import of_cells, of_images
from keras_plugin.metrics.state import ImageTable, RunningMean, Totals
from shared_spec.checks import Integer
from shared_spec.metrics.counts import FineGrainedState
from shared_spec.metrics.fine_grained import FineGrained
from shared_spec.spec import NamedParameters, SpecError


def checked(owner, **arguments):
    """The spec of the arguments, refused in the name of ``owner``."""
    try:
        return FineGrained.from_keras(arguments)
    except SpecError as error:
        raise SpecError(str(error).replace(FineGrained.__name__, owner, 1)) from None


class CountedMetric(keras.metrics.Metric, metaclass=NamedParameters):
    """A metric over tp, fp, fn of every class of every image; subclasses say which results they keep.

    ``result()`` is traced into every step and cannot raise: it is NaN where the worst-case table overflowed or an
    integer prediction was no class. ``check()`` raises the sentence, ``reset_state()`` warns with it, and the callback
    ``CheckMetrics`` raises it after every epoch and evaluation. Whatever ``dtype`` is, the state is int32 and float32
    (float64 for float64); only the result is cast to ``dtype``.
    """

    def __init__(self, spec, from_logits, max_images, name, dtype, *, totals, means, worst):
        super().__init__(name=name, dtype=dtype)
        owner = type(self).__name__
        if not isinstance(from_logits, (bool, np.bool_)):
            raise SpecError(f'{owner}: from_logits must be True or False, got {from_logits!r}')
        if 'float' not in self.dtype:
            raise SpecError(f'{owner}: dtype must be a floating point type, got {self.dtype!r}')
        try:
            max_images = Integer(1, 500_000).freeze(max_images)
        except (ValueError, TypeError):
            raise SpecError(f'{owner}: max_images must be an integer from 1 to 500000, got {max_images!r}') from None
        self.spec, self.from_logits, self.max_images = spec, bool(from_logits), max_images
        self.state_dtype = 'float64' if self.dtype == 'float64' else 'float32'
        c, m = spec.num_classes, len(spec.metrics)
        self._wrong = self.add_variable((), 'zeros', dtype='int32', name='predictions_that_are_no_class')
        self._totals = Totals(self, c) if totals else None
        self._image_means = RunningMean(self, 'image', (m,), self.state_dtype) if 'I' in means else None
        self._class_means = RunningMean(self, 'class', (m, c), self.state_dtype) if 'C' in means else None
        self._table = ImageTable(self, c, max_images) if worst else None

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Counts a batch; shapes and meanings as in ``keras_plugin.metrics.counts.image_counts``."""
        counts, wrong = image_counts(self.spec, type(self).__name__, self.from_logits, y_true, y_pred, sample_weight)
        self._wrong.assign(self._wrong + wrong)
        if self._totals is not None:
            self._totals.update(counts)
        if self._image_means is not None or self._class_means is not None:
            cells = of_cells(self.spec, counts, self.state_dtype)
            if self._image_means is not None:
                self._image_means.update(*of_images(*cells))
            if self._class_means is not None:
                self._class_means.update(*cells)
        if self._table is not None:
            self._table.update(counts)

    def finished(self, value):
        """A result in the metric's dtype; NaN once a prediction was no class."""
        return ops.cast(ops.where(self._wrong > 0, float('nan'), value), self.dtype)

    def complaint(self):
        """The sentence about what spoiled the results, or None. Reads the state: not inside a traced function."""
        owner = type(self).__name__
        if int(ops.convert_to_numpy(self._wrong)):
            return f'{owner}: integer predictions must be class ids below {self.spec.num_classes}, got others'
        if self._table is not None:
            seen = int(ops.convert_to_numpy(self._table.seen))
            if seen > self.max_images:
                return (
                    f'{owner}: max_images must be at least the number of images for worst-case results, '
                    f'got {self.max_images} for {seen}'
                )
            if not bool(ops.convert_to_numpy(self._table.whole())):
                return (
                    f'{owner}: worst-case results need all images in one table, which a strategy of several replicas '
                    f'does not keep; merge state() of one metric for each replica'
                )
        return None

    def check(self):
        """Raises ValueError with the sentence that explains a NaN: too many images, replicas, or ids that are none."""
        complaint = self.complaint()
        if complaint:
            raise ValueError(complaint)

    def reset_state(self):
        """Starts afresh; warns if what is thrown away was spoiled."""
        try:
            complaint = self.complaint()
        except Exception:  # traced, or the buffer was handed over: there is no host to tell
            complaint = None
        if complaint:
            warnings.warn(complaint, stacklevel=2)
        super().reset_state()

    def state(self, image_ids=None):
        """The table as a ``FineGrainedState``, to be merged with other shards or saved; needs ``q``.

        ``image_ids`` names the images in the order in which they came, so that repeated ones are dropped.
        """
        if self._table is None:
            raise ValueError(f'{type(self).__name__}: only a metric with worst-case results (q) keeps a table')
        self.check()
        seen = int(ops.convert_to_numpy(self._table.seen))
        if image_ids is not None and len(image_ids) != seen:
            raise ValueError(f'{type(self).__name__}: image_ids must name the {seen} images seen, got {len(image_ids)}')
        state = FineGrainedState(self.spec.num_classes, self.spec.ignore_index)
        for i, row in enumerate(np.array(ops.convert_to_numpy(self._table.rows))[:seen]):
            state.add(row, None if image_ids is None else image_ids[i])
        return state
