"""One batch through a compiled model, its loss and its metrics, eagerly on a CPU, where wrong values can be seen."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import backend, ops, tree

from keras_plugin.metrics.checked_metric import CheckedMetric
from keras_plugin.metrics.host_data import as_input, to_numpy
from keras_plugin.typing import Tensor


def complaint_about(model: keras.Model, x: Any, y: Any, sample_weight: Any) -> str | None:
    """The sentence about what is wrong with a batch, or None. The model's metrics and state stay as they are."""
    x = tree.map_structure(as_input, x)
    y, sample_weight = (None if part is None else tree.map_structure(to_numpy, part) for part in (y, sample_weight))
    pred = tree.map_structure(to_numpy, model(x, training=False))
    with keras.device('cpu'):
        given = [None if part is None else tree.map_structure(as_tensor, part) for part in (y, pred, sample_weight)]
        metrics, loss = fresh_metrics(model), fresh_loss(model)
        try:
            if metrics is not None:
                metrics.update_state(*given)
            value = 0.0 if loss is None else ops.convert_to_numpy(loss(*given))
            unsound = how_many(pred, lambda leaf: ~(leaf < np.inf))
            if unsound:
                return f'{unsound} predictions are NaN or infinite, {source(x)}'
            for metric in [] if metrics is None else metrics.metrics:
                if isinstance(metric, CheckedMetric):
                    metric.check()
        except ValueError as error:
            return str(error)
    if not np.isnan(value).any():
        return None
    unsound = 0 if sample_weight is None else how_many(sample_weight, lambda leaf: ~np.isfinite(leaf))
    return f'the loss is NaN{f", for {unsound} of sample_weight are NaN or infinite" if unsound else ""}'


def source(x: Any) -> str:
    """Where predictions that are no numbers come from."""
    unsound = how_many(x, lambda leaf: ~np.isfinite(leaf))
    if unsound:
        return f'for {unsound} numbers of the pictures are'
    return (
        'from finite pictures: the weights of the model must have become so, a lower learning rate or clipnorm may help'
    )


class Skipped(keras.metrics.Metric):
    """Stands for a metric that says nothing about what it gets."""

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        pass

    def result(self) -> float:
        return 0.0


def fresh_metrics(model: keras.Model) -> Any:
    """What ``compile`` made of the metrics, made again with copies of ours in their first state; None without any."""
    compiled = model._compile_metrics
    if compiled is None:
        return None

    def copy(metric: Any) -> Any:
        if metric is None:
            return None
        return type(metric).from_config(metric.get_config()) if isinstance(metric, CheckedMetric) else Skipped()

    given = (compiled._user_metrics, compiled._user_weighted_metrics)
    copies = (None if part is None else tree.map_structure(copy, part) for part in given)
    return type(compiled)(*copies, output_names=compiled.output_names)


def fresh_loss(model: keras.Model) -> Any:
    """What ``compile`` made of the losses, made again: it keeps the mean of each; None without any."""
    compiled = model._compile_loss
    if compiled is None:
        return None
    return type(compiled)(compiled._user_loss, compiled._user_loss_weights, output_names=compiled.output_names)


def as_tensor(leaf: np.ndarray) -> Tensor:
    return ops.convert_to_tensor(leaf, dtype=backend.standardize_dtype(leaf.dtype))


def how_many(part: Any, fault: Callable[[np.ndarray], np.ndarray]) -> int:
    """In how many floats a structure of arrays has a fault."""
    leaves = [leaf for leaf in tree.flatten(part) if leaf is not None and backend.is_float_dtype(leaf.dtype.name)]
    return sum(int(fault(leaf.astype('float64')).sum()) for leaf in leaves)
