"""Callbacks that read the metrics of a compiled model on the host: why one became NaN, and worst cases once an epoch."""

import keras


class CheckMetrics(keras.callbacks.Callback):
    """Calls ``check()`` on the model's metrics after every epoch and evaluation: a spoiled one raises its sentence."""

    def on_epoch_end(self, epoch, logs=None):
        self.check()

    def on_test_end(self, logs=None):
        self.check()

    def check(self):
        for metric in metrics_of(self.model, 'check'):
            metric.check()


class WorstCaseResults(keras.callbacks.Callback):
    """Adds to the logs what metrics with ``worst_every='epoch'`` leave out: ``mIoUC5``, and ``val_mIoUC5``.

    Once for each epoch and evaluation, exactly, on the host, from the counts that the metrics keep. In ``fit`` the
    values of the training epoch are taken just before the validation starts afresh; callbacks that monitor them
    (ModelCheckpoint, EarlyStopping) belong after this one in the list, the progress bar does not show them. Keras
    copies the logs of ``evaluate`` before it returns them: there read ``results`` afterwards. Raises ValueError with
    the sentence of ``check()`` where a result cannot be had. In a model of several outputs name each metric.
    """

    def __init__(self):
        super().__init__()
        self.results = {}
        self._in_fit, self._of_training, self._of_validation = False, None, {}

    def on_train_begin(self, logs=None):
        self._in_fit = True

    def on_train_end(self, logs=None):
        self._in_fit = False

    def on_epoch_begin(self, epoch, logs=None):
        self._of_training, self._of_validation = None, {}

    def on_test_begin(self, logs=None):
        if self._in_fit and self._of_training is None:  # Keras resets the metrics next
            self._of_training = self.computed()

    def on_test_end(self, logs=None):
        self.results = self.computed()
        if self._in_fit:
            self._of_validation = {f'val_{name}': value for name, value in self.results.items()}
        if logs is not None:
            logs.update(self.results)

    def on_epoch_end(self, epoch, logs=None):
        of_training = self.computed() if self._of_training is None else self._of_training
        self.results = {**of_training, **self._of_validation}
        if logs is not None:
            logs.update(self.results)

    def computed(self):
        """Name -> fraction, of what the model's metrics hold now."""
        found = {}
        for metric in metrics_of(self.model, 'worst_results'):
            if metric.worst_every == 'epoch':
                found.update(metric.worst_results())
        return found


def metrics_of(model, method):
    """The metrics of a compiled model that have a method, those that ``compile`` wraps included."""
    for metric in model.metrics:
        for inner in [metric, *getattr(metric, 'metrics', [])]:
            if hasattr(inner, method):
                yield inner
