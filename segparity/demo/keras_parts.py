"""The demo's additions to a Keras run: planned batches and learning rates, a progress record, checkpoints."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np
from keras import ops

from segparity.demo.child import Progress


def planned_batches(
    images: np.ndarray, labels: np.ndarray, batches: Iterable[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches of the plan in order, for ``fit(steps_per_epoch=...)``, which goes on where the last epoch ended."""
    for chosen in batches:
        yield images[chosen].astype(np.float32), labels[chosen]


class PlannedRates(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of every step, from a table."""

    def __init__(self, values: Iterable[float]) -> None:
        self.values = [float(value) for value in values]

    def __call__(self, step: Any) -> Any:
        step = ops.minimum(ops.cast(step, 'int32'), len(self.values) - 1)
        return ops.take(ops.convert_to_tensor(self.values, 'float32'), step)

    def get_config(self) -> dict[str, Any]:
        return {'values': self.values}


class Record(keras.callbacks.Callback):
    """Writes the loss of every step and the metrics of every validation.

    Keras reports the mean loss since the epoch began; a step's own loss is what the mean's change says.
    """

    def __init__(self, path: Path, done: int, rates: Sequence[float] | np.ndarray) -> None:
        super().__init__()
        self.progress, self.done, self.rates = Progress(path, done), done, rates

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.progress.restart_clock()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.total = 0.0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        total = float(cast(Mapping[str, Any], logs)['loss']) * (batch + 1)
        self.progress.step(self.done, loss=total - self.total, lr=float(self.rates[self.done]))
        self.total = total
        self.done += 1

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        found = cast(Mapping[str, Any], logs)
        values = {name.removeprefix('val_'): float(v) for name, v in found.items() if name.startswith('val_')}
        self.progress.validation(self.done, **values)


class Checkpoint(keras.callbacks.Callback):
    """Saves weights and optimiser after every epoch, so that a kill leaves the old file or the new one."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        part = self.path.with_name('part.weights.h5')
        self.model.save_weights(part, overwrite=True)
        os.replace(part, self.path)


def restore(model: keras.Model, path: Path) -> int | None:
    """Load a checkpoint into a compiled model; returns the steps it has behind it, None where it is unusable."""
    if not path.exists():
        return 0
    model.optimizer.build(model.trainable_variables)
    try:
        model.load_weights(path)
    except Exception as error:  # whatever a damaged file makes h5py and Keras raise
        print(f'{path} cannot be loaded ({type(error).__name__}), starting clean')
        path.unlink()
        return None
    return int(ops.convert_to_numpy(model.optimizer.iterations))
