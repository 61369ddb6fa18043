"""The callback that says why a metric became NaN."""

import keras


class CheckMetrics(keras.callbacks.Callback):
    """Calls ``check()`` on the model's metrics after every epoch and evaluation: a spoiled one raises its sentence."""

    def on_epoch_end(self, epoch, logs=None):
        self.check()

    def on_test_end(self, logs=None):
        self.check()

    def check(self):
        for metric in self.model.metrics:
            for inner in [metric, *getattr(metric, 'metrics', [])]:
                if hasattr(inner, 'check'):
                    inner.check()
