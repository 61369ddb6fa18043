"""Callbacks that read the metrics of a compiled model on the host: why one became NaN, and worst cases once an epoch."""

import itertools
import math
from collections.abc import Iterator
from typing import Any, NoReturn

import keras
import numpy as np

from keras_plugin.metrics.eager_look import complaint_about
from keras_plugin.metrics.host_data import check_kind, parts
from keras_plugin.metrics.wrong_pixels import NO_NUMBERS
from keras_plugin.typing import Logs
from shared_spec.checks import Integer
from shared_spec.parameters import check_parameter

NAN_LOSS = (
    'NaN in the pictures, labels that are no class, weights or probabilities outside their range, or a training that '
    'diverges; {more}compile(run_eagerly=True) under SEGPARITY_DEBUG=1 stops at the batch'
)


LOST_LOSSES = (
    'loss=[A, B] of a model with one output trains on A alone, Keras drops the rest; '
    'give loss=keras_plugin.losses.WeightedSumLoss([A, B])'
)


class CheckMetrics(keras.callbacks.Callback):
    """Stops a training or evaluation whose loss is NaN or whose metrics are, with the sentence that says why.

    After every epoch and evaluation ``check()`` is called on the model's metrics; a loss that became NaN stops the
    training at one of the next batches. A compiled step shows no values, so ``data`` says more: of what ``fit`` takes,
    arrays (x, y) or (x, y, sample_weight) read ``batch_size`` at a time, the first ``batches`` go through the model,
    its loss and its metrics eagerly before a training or evaluation starts, and again where a loss became NaN. That
    leaves no trace in the model; a data set that shuffles is read once more. Belongs before callbacks that save. A list
    of losses for a model of one output, of which Keras takes the first, is refused before a training.
    """

    _noted: str | None

    async_safe = True  # at the end of a batch it only takes a note, so that steps need not wait for it

    def __init__(self, data: Any = None, batches: int = 1, batch_size: int = 32) -> None:
        super().__init__()
        owner = type(self).__name__
        if data is not None:
            check_kind(owner, data)
        self.data = data
        self.batches = check_parameter(owner, 'batches', Integer(1), batches)
        self.batch_size = check_parameter(owner, 'batch_size', Integer(1), batch_size)
        self._in_fit, self._epoch, self._noted = False, 0, None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._noted = None
        if lost_losses(self.model):
            raise ValueError(f'{type(self).__name__}: {LOST_LOSSES}')
        self.look()
        self._in_fit = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._noted is None and nan_losses(logs):
            self._noted = f'{nan_losses(logs)} became NaN by batch {batch} of epoch {self._epoch}'

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        if self._noted is not None:
            self.explain(self._noted)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.check(logs, f' in epoch {epoch}')

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self.look()

    def on_test_end(self, logs: Logs | None = None) -> None:
        self.check(logs, ' in the evaluation')

    def check(self, logs: Logs | None = None, when: str = '') -> None:
        """Raises ValueError where a metric has met a wrong pixel, or a loss in ``logs`` is NaN."""
        if self._noted is not None or nan_losses(logs):
            self.explain(self._noted or f'{nan_losses(logs)} is NaN{when}')
        for complaint in complaints_of(self.model):
            raise ValueError(complaint)

    def look(self) -> None:
        """Raises ValueError with what is wrong in the first batches of ``data``."""
        complaint = self.find_wrong()
        if complaint:
            raise ValueError(f'{type(self).__name__}: {complaint}')

    def find_wrong(self) -> str | None:
        """What is wrong in the first batches of ``data``, or None."""
        if self.data is None:
            return None
        for i, batch in enumerate(itertools.islice(parts(self.data, self.batch_size), self.batches)):
            complaint = complaint_about(self.model, *keras.utils.unpack_x_y_sample_weight(batch))
            if complaint:
                return f'batch {i} of data: {complaint}'
        return None

    def explain(self, what: str) -> NoReturn:
        """Raises ValueError: what happened, and why as far as metrics and data tell."""
        self._in_fit, self._noted = False, None
        if hasattr(self.model, 'jax_state_sync'):  # JAX keeps the state of a training for itself
            self.model.jax_state_sync()
        why = next(iter(complaints_of(self.model)), None) or self.find_wrong()
        if why is None:
            more = 'CheckMetrics(data=...) looks at the data, ' if self.data is None else ''
            why = NAN_LOSS.format(more=more)
            if self.data is not None:
                why = f'the first {self.batches} batches of data are sound, CheckMetrics(batches=...) looks at more; {why}'
        raise ValueError(f'{type(self).__name__}: {what}: {why}')


def lost_losses(model: keras.Model) -> bool:
    """Whether a model was compiled with losses of which Keras drops all but the first."""
    loss, outputs = getattr(model, 'loss', None), getattr(model, 'outputs', None)
    return isinstance(loss, (list, tuple)) and len(loss) > 1 and outputs is not None and len(outputs) == 1


def complaints_of(model: keras.Model) -> list[str]:
    """What the metrics say; last those that only say that predictions are no numbers, which may follow from the rest."""
    complaints = filter(None, (metric.complaint() for metric in metrics_of(model, 'complaint')))
    return sorted(complaints, key=lambda sentence: f': {NO_NUMBERS}' in sentence)


def nan_losses(logs: Logs | None) -> str:
    """The names of the losses in the logs that are NaN, as one text."""
    logs = logs or {}
    names = [name for name, value in logs.items() if name.endswith('loss') and np.ndim(value) == 0]
    return ', '.join(name for name in names if math.isnan(logs[name]))


class WorstCaseResults(keras.callbacks.Callback):
    """Adds to the logs what metrics with ``worst_every='epoch'`` leave out: ``mIoUC5``, and ``val_mIoUC5``.

    Once for each epoch and evaluation, exactly, on the host, from the counts that the metrics keep. In ``fit`` the
    values of the training epoch are taken just before the validation starts afresh; callbacks that monitor them
    (ModelCheckpoint, EarlyStopping) belong after this one in the list, the progress bar does not show them. Keras
    copies the logs of ``evaluate`` before it returns them: there read ``results`` afterwards. Raises ValueError with
    the sentence of ``check()`` where a result cannot be had. In a model of several outputs name each metric.
    """

    results: dict[str, float]
    _of_training: dict[str, float] | None
    _of_validation: dict[str, float]

    def __init__(self) -> None:
        super().__init__()
        self.results = {}
        self._in_fit, self._of_training, self._of_validation = False, None, {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._in_fit = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._of_training, self._of_validation = None, {}

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if self._in_fit and self._of_training is None:  # Keras resets the metrics next
            self._of_training = self.computed()

    def on_test_end(self, logs: Logs | None = None) -> None:
        self.results = self.computed()
        if self._in_fit:
            self._of_validation = {f'val_{name}': value for name, value in self.results.items()}
        if logs is not None:
            logs.update(self.results)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        of_training = self.computed() if self._of_training is None else self._of_training
        self.results = {**of_training, **self._of_validation}
        if logs is not None:
            logs.update(self.results)

    def computed(self) -> dict[str, float]:
        """Name -> fraction, of what the model's metrics hold now."""
        found = {}
        for metric in metrics_of(self.model, 'worst_results'):
            if metric.worst_every == 'epoch':
                found.update(metric.worst_results())
        return found


def metrics_of(model: keras.Model, method: str) -> Iterator[Any]:
    """The metrics of a compiled model that have a method, those that ``compile`` wraps included."""
    for metric in model.metrics:
        for inner in [metric, *getattr(metric, 'metrics', [])]:
            if hasattr(inner, method):
                yield inner
