"""The pixel losses of Keras, TensorFlow and PyTorch that hand-written losses call, in NumPy."""

from typing import Any

import numpy as np

from segparity.migrate.computing.arrays import (
    Array,
    array,
    axes,
    integer,
    log_sigmoid,
    log_softmax,
    one_hot,
    real,
    whole,
)
from segparity.migrate.computing.limits import NotUnderstood

EPSILON = 1e-7


def _clipped(p: np.ndarray) -> np.ndarray:
    return np.clip(p, EPSILON, 1 - EPSILON)


# Keras, TensorFlow


def binary_map(target: Array, output: Array, from_logits: Any = False) -> np.ndarray:
    """(labels, prediction) -> of each number; as in the backend and ops of Keras."""
    y, p = real(target), real(output)
    if from_logits:
        return -(y * log_sigmoid(p) + (1 - y) * log_sigmoid(-p))
    p = _clipped(p)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def binary(y_true: Array, y_pred: Array, from_logits: Any = False, label_smoothing: Any = 0.0, axis: Any = -1) -> Any:
    """Its mean over the last axis, as ``keras.losses.binary_crossentropy``."""
    y = real(y_true) * (1 - label_smoothing) + 0.5 * label_smoothing
    return binary_map(y, y_pred, from_logits).mean(axis=integer(axis))


def categorical(
    y_true: Array, y_pred: Array, from_logits: Any = False, label_smoothing: Any = 0.0, axis: Any = -1
) -> Any:
    y, axis = real(y_true), integer(axis)
    y = y * (1 - label_smoothing) + label_smoothing / y.shape[axis]
    return categorical_map(y, y_pred, from_logits, axis)


def categorical_map(target: Array, output: Array, from_logits: Any = False, axis: Any = -1) -> Any:
    y, p, axis = real(target), real(output), integer(axis)
    if from_logits:
        return -(y * log_softmax(p, axis)).sum(axis=axis)
    return -(y * np.log(_clipped(p / p.sum(axis=axis, keepdims=True)))).sum(axis=axis)


def sparse(
    y_true: Array, y_pred: Array, from_logits: Any = False, ignore_class: Any = None, axis: Any = -1
) -> np.ndarray:
    ids, p = whole(y_true), real(y_pred)
    if ignore_class is not None or integer(axis) not in (-1, p.ndim - 1):
        raise NotUnderstood('an ignored class or another axis than the last is asked for')
    ids = ids[..., 0] if ids.ndim == p.ndim and ids.shape[-1] == 1 else ids
    if not from_logits:
        p = np.log(_clipped(p))
    return -np.take_along_axis(log_softmax(p), ids[..., None], -1)[..., 0]


def squared(y_true: Array, y_pred: Array) -> Any:
    return ((real(y_true) - real(y_pred)) ** 2).mean(axis=-1)


def absolute(y_true: Array, y_pred: Array) -> Any:
    return np.abs(real(y_true) - real(y_pred)).mean(axis=-1)


def binary_focal(
    y_true: Array, y_pred: Array, apply_class_balancing: Any = False, alpha: Any = 0.25, gamma: Any = 2.0,
    from_logits: Any = False, label_smoothing: Any = 0.0, axis: Any = -1,
) -> Any:  # fmt: skip
    if label_smoothing:
        raise NotUnderstood('the focal loss smooths its labels')
    y = real(y_true)
    p = np.exp(log_sigmoid(y_pred)) if from_logits else real(y_pred)
    true = y * p + (1 - y) * (1 - p)
    found = (1 - true) ** gamma * binary_map(y, p)
    found = found * (y * alpha + (1 - y) * (1 - alpha)) if apply_class_balancing else found
    return found.mean(axis=integer(axis))


def dice(y_true: Array, y_pred: Array, axis: Any = None) -> Any:
    y, p, over = real(y_true), real(y_pred), axes(axis)
    return 1 - 2 * (y * p).sum(axis=over) / (y.sum(axis=over) + p.sum(axis=over) + EPSILON)


def sigmoid_with_logits(labels: Array = None, logits: Array = None) -> np.ndarray:
    return binary_map(labels, logits, True)


def softmax_with_logits(labels: Array = None, logits: Array = None, axis: Any = -1) -> Any:
    return categorical_map(labels, logits, True, axis)


def sparse_with_logits(labels: Array = None, logits: Array = None) -> np.ndarray:
    return sparse(labels, logits, True)


def weighted_with_logits(labels: Array, logits: Array, pos_weight: Array) -> np.ndarray:
    y, z = real(labels), real(logits)
    return -(y * pos_weight * log_sigmoid(z) + (1 - y) * log_sigmoid(-z))


# PyTorch


def _reduced(x: np.ndarray, reduction: Any, size: Any = None) -> Any:
    if reduction == 'none':
        return x
    if reduction not in ('mean', 'sum'):
        raise NotUnderstood(f'the reduction {str(reduction)[:40]} is not known')
    return x.sum() if reduction == 'sum' else x.sum() / (x.size if size is None else size)


def torch_binary(
    x: Array, target: Array, weight: Any = None, size_average: Any = None, reduce: Any = None, reduction: Any = 'mean'
) -> Any:
    p, y = real(x), real(target)
    if p.shape != y.shape or size_average is not None or reduce is not None:
        raise NotUnderstood('prediction and labels of one shape are taken')
    found = -(y * np.maximum(np.log(p), -100) + (1 - y) * np.maximum(np.log1p(-p), -100))
    return _reduced(found if weight is None else found * real(weight), reduction)


def torch_binary_with_logits(
    x: Array, target: Array, weight: Any = None, size_average: Any = None, reduce: Any = None,
    reduction: Any = 'mean', pos_weight: Any = None,
) -> Any:  # fmt: skip
    z, y = real(x), real(target)
    if z.shape != y.shape or size_average is not None or reduce is not None:
        raise NotUnderstood('prediction and labels of one shape are taken')
    positive = y if pos_weight is None else y * real(pos_weight)
    found = -(positive * log_sigmoid(z) + (1 - y) * log_sigmoid(-z))
    return _reduced(found if weight is None else found * real(weight), reduction)


def torch_cross_entropy(
    x: Array, target: Array, weight: Any = None, size_average: Any = None, ignore_index: Any = -100,
    reduce: Any = None, reduction: Any = 'mean', label_smoothing: Any = 0.0,
) -> Any:  # fmt: skip
    z, y = real(x), array(target)
    if size_average is not None or reduce is not None or z.ndim < 2:
        raise NotUnderstood('a reduction of old PyTorch is asked for')
    return _entropy(log_softmax(z, 1), y, weight, ignore_index, reduction, label_smoothing)


def torch_nll(
    x: Array, target: Array, weight: Any = None, size_average: Any = None, ignore_index: Any = -100,
    reduce: Any = None, reduction: Any = 'mean',
) -> Any:  # fmt: skip
    if size_average is not None or reduce is not None:
        raise NotUnderstood('a reduction of old PyTorch is asked for')
    return _entropy(real(x), array(target), weight, ignore_index, reduction, 0.0)


def _entropy(logs: np.ndarray, y: np.ndarray, weight: Any, ignore_index: Any, reduction: Any, smoothing: float) -> Any:
    classes = logs.shape[1]
    weights = np.ones(classes) if weight is None else real(weight)
    shape = (1, classes) + (1,) * (logs.ndim - 2)
    if y.shape == logs.shape:
        if y.dtype.kind != 'f':
            raise NotUnderstood('labels as maps are numbers of floating point')
        y = y * (1 - smoothing) + smoothing / classes
        return _reduced(-(y * logs * weights.reshape(shape)).sum(1), reduction)
    if y.dtype.kind not in 'iu' or y.shape != (*logs.shape[:1], *logs.shape[2:]):
        raise NotUnderstood('class ids are integers of one axis less than the prediction')
    here = y != ignore_index
    ids = np.where(here, y, 0)
    if ids.size and (ids.min() < 0 or ids.max() >= classes):
        raise NotUnderstood('a label is no class')
    maps = one_hot(ids, classes, axis=1) * here[:, None]
    of_pixel = (maps * weights.reshape(shape)).sum(1)
    found = -(maps * logs * weights.reshape(shape)).sum(1) * (1 - smoothing)
    found = found - smoothing / classes * (logs * weights.reshape(shape)).sum(1) * here
    return _reduced(found, reduction, of_pixel.sum())


def torch_squared(
    x: Array, target: Array, size_average: Any = None, reduce: Any = None, reduction: Any = 'mean'
) -> Any:
    return _reduced((real(x) - real(target)) ** 2, reduction)


def torch_absolute(
    x: Array, target: Array, size_average: Any = None, reduce: Any = None, reduction: Any = 'mean'
) -> Any:
    return _reduced(np.abs(real(x) - real(target)), reduction)
