"""What a parity check asks of Keras: a loss's value and gradient, called directly or through a compiled model."""

import functools
import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import backend, ops

import keras_plugin
from segparity.parity.extras import channels_last, joined_by_name, mapped, unpacked
from shared_spec import from_dict

# what is differentiated, by name, target, weight, other extras -> value, gradients by name
Step = Callable[[dict[str, Any], np.ndarray, np.ndarray | None, dict[str, Any]], tuple[Any, dict[str, Any]]]


def build(loss: dict[str, Any], dtype: str | None = None) -> keras.losses.Loss:
    """The Keras loss of a spec's ``to_dict``."""
    spec = from_dict(loss)
    return getattr(keras_plugin.losses, type(spec).__name__)(**with_layers(spec.to_keras(), dtype), dtype=dtype)


def with_layers(arguments: dict[str, Any], dtype: str | None = None) -> dict[str, Any]:
    """The constructor's arguments of a loss, with a layer of no model where the loss or a part of it learns nu."""
    if 'losses' in arguments:
        arguments = {**arguments, 'losses': [with_layers(part, dtype) for part in arguments['losses']]}
    if not arguments.get('learn_nu'):
        return arguments
    layer = keras_plugin.layers.DegreesOfFreedom(arguments.get('nu', 1.0), dtype=dtype)
    layer.build((None, 1))
    return {**arguments, 'layer': layer}


def to_keras_layout(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """pred and target (where it has channels) moved to channels last."""
    pred, target = arrays['pred'], arrays['target']
    return np.moveaxis(pred, 1, -1), np.moveaxis(target, 1, -1) if target.ndim == pred.ndim else target


def ignored_by_constructor(
    arrays: dict[str, np.ndarray], loss: dict[str, Any], ignore_index: int | None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Keras has one label to ignore and no call argument for it: labels ignored by the call become the constructor's."""
    if ignore_index is None:
        return arrays, loss
    if 'losses' in loss:
        parts = [ignored_by_constructor(arrays, part, ignore_index) for part in loss['losses']]
        return parts[0][0], {**loss, 'losses': [part for _, part in parts]}
    kept = loss['ignore_index'] if loss['ignore_index'] is not None else ignore_index
    target = np.where(arrays['target'] == ignore_index, kept, arrays['target'])
    return {**arrays, 'target': target}, {**loss, 'ignore_index': kept}


def ways(arrays: dict[str, np.ndarray]) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Way -> '', for every one runs wherever the backend does."""
    return dict.fromkeys(
        {'tensorflow': ('eager', 'graph', 'xla'), 'jax': ('jit', 'eager')}.get(backend.backend(), ('eager',)), ''
    ), {}


def is_compiled(spec: Any) -> bool:
    """Whether XLA takes a loss; that of TensorFlow does not where a part of it is computed in NumPy."""
    return backend.backend() != 'tensorflow' or not any(part.on_host for part in getattr(spec, 'parts', (spec,)))


def value_and_gradient(
    arrays: dict[str, np.ndarray],
    loss: dict[str, Any],
    dtype: str = 'float32',
    ignore_index: int | None = None,
    way: str | None = None,
) -> tuple[str | None, dict[str, np.ndarray]]:
    """Value and d value / d pred of the loss whose ``to_dict`` is ``loss``; way: see ``segparity.parity.ways``.

    Without a way the first of the backend: eagerly, and on JAX compiled, where operation by operation takes longer. The
    answer is None where the loss cannot run in a way.
    """
    if way == 'xla' and not is_compiled(from_dict(loss)):
        return None, {}
    arrays, loss = ignored_by_constructor(arrays, loss, ignore_index)
    step = _step(json.dumps(loss), 'float64' if dtype == 'float64' else None, way)
    pred, target = to_keras_layout(arrays)
    spec: Any = from_dict(loss)
    names = spec.gradient_of

    def in_dtype(name: str, x: np.ndarray) -> Any:
        if x.dtype.kind != 'f':
            return x
        return x.astype(dtype) if dtype != 'bfloat16' else ops.cast(x, dtype)

    extras = mapped(mapped(unpacked(arrays), channels_last), in_dtype)
    rest = {name: x for name, x in extras.items() if name not in names}
    moved = {'pred': in_dtype('pred', pred), **{name: x for name, x in extras.items() if name in names}}
    value, gradients = step(moved, target, arrays.get('weight'), rest)

    def in_numpy(name: str, x: Any) -> np.ndarray:
        found = ops.convert_to_numpy(ops.cast(x, 'float32') if dtype == 'bfloat16' else x)
        found = np.asarray(found, np.float64)
        return np.moveaxis(found, -1, 1) if name == 'pred' else channels_last(name, found, -1, 1)

    return backend.standardize_dtype(value.dtype), {
        'value': np.asarray(ops.convert_to_numpy(value)),
        'gradient': joined_by_name(names, mapped(gradients, in_numpy)),
    }


@functools.lru_cache(maxsize=4)
def _step(loss: str, dtype: str | None, way: str | None) -> Step:
    """The step of a spec in JSON; one for case after case, compiled once for a shape."""
    step = {'tensorflow': step_of_tensorflow, 'jax': step_of_jax, 'torch': step_of_torch}[backend.backend()]
    return step(build(json.loads(loss), dtype), way)


def called(function: Callable[..., Any], moved: dict[str, Any], target: Any, weight: Any, rest: dict[str, Any]) -> Any:
    """The loss of a call; moved: pred, and extras that have a gradient."""
    extras = {name: x for name, x in moved.items() if name != 'pred'}
    return function(target, moved['pred'], weight, **extras, **rest)


def step_of_tensorflow(function: Callable[..., Any], way: str | None) -> Step:
    import tensorflow as tf

    def step(moved: dict[str, Any], *others: Any) -> tuple[Any, dict[str, Any]]:
        with tf.GradientTape() as tape:
            tape.watch(moved)
            value = called(function, moved, *others)
        return value, tape.gradient(value, moved, unconnected_gradients='zero')

    if way in ('graph', 'xla'):
        step = tf.function(step, jit_compile=way == 'xla')
    return lambda moved, *others: step({name: tf.convert_to_tensor(x) for name, x in moved.items()}, *others)


def step_of_jax(function: Callable[..., Any], way: str | None) -> Step:
    import jax

    def scalar(moved: dict[str, Any], *others: Any) -> tuple[Any, Any]:
        value = called(function, moved, *others)
        return value.sum(), value

    step = jax.value_and_grad(scalar, has_aux=True)
    if way != 'eager':
        step = jax.jit(step)

    def value_first(moved: dict[str, Any], *others: Any) -> tuple[Any, dict[str, Any]]:
        (_, value), gradients = step({name: jax.numpy.asarray(x) for name, x in moved.items()}, *others)
        return value, gradients

    return value_first


def step_of_torch(function: Callable[..., Any], way: str | None) -> Step:
    import torch

    def step(moved: dict[str, Any], *others: Any) -> tuple[Any, dict[str, Any]]:
        moved = {name: ops.convert_to_tensor(x).detach().requires_grad_(True) for name, x in moved.items()}
        value = called(function, moved, *others)
        value.sum().backward()
        return value.detach(), {name: torch.zeros_like(x) if x.grad is None else x.grad for name, x in moved.items()}

    return step


class Offset(keras.layers.Layer):
    """Adds a trainable zero of the batch's own shape: after one SGD step at rate 1 it holds minus the gradient."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.offset = self.add_weight(shape=shape, initializer='zeros', name='offset')

    def call(self, x: Any) -> Any:
        return x + self.offset


def fit(
    arrays: dict[str, np.ndarray], loss: dict[str, Any], jit: bool = True, ignore_index: int | None = None
) -> tuple[float, dict[str, np.ndarray]]:
    """Value from ``evaluate`` and gradient from one ``fit`` step of a compiled model that outputs pred."""
    arrays, loss = ignored_by_constructor(arrays, loss, ignore_index)
    pred, target = to_keras_layout(arrays)
    weight = arrays.get('weight')
    inputs = keras.Input(batch_shape=pred.shape, dtype='float32')
    layer = Offset(dtype='float32')
    model = keras.Model(inputs, layer(inputs))
    jit = jit and is_compiled(from_dict(loss))
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=build(loss), jit_compile=jit)
    options = dict(batch_size=len(pred), sample_weight=weight, verbose=0)
    value = model.evaluate(pred, target, **options)
    history = model.fit(pred, target, shuffle=False, epochs=1, **options)
    gradient = -np.moveaxis(np.asarray(ops.convert_to_numpy(layer.offset.value), np.float64), -1, 1)
    return float(history.history['loss'][0]), {'value': np.asarray(value), 'gradient': gradient}


def metric_results(arrays: dict[str, np.ndarray], metric: dict[str, Any]) -> tuple[list[str], dict[str, np.ndarray]]:
    """Name -> value of Keras' metrics for the metric whose ``to_dict`` is ``metric``; pred: ids or logits (N, C, *space).

    Metrics are updated in two batches; surface distances, which are measured on the host, come from ``HostMetrics``.
    """
    spec: Any = from_dict(metric)
    pred, target = arrays['pred'], arrays['target']
    kind = type(spec).__name__
    if kind == 'SurfaceDistance':
        results = host_results(spec, pred, target)
    elif kind == 'FineGrained':
        results = updated(keras_plugin.metrics.SegmentationReport(**spec.to_keras()), pred, target)
    else:
        results = {}
        given = np.moveaxis(pred, 1, -1) if spec.takes == 'probabilities' else pred
        for name in spec.names():
            results[name] = updated(scalar(spec, name), given, target)
    return list(results), {'values': np.array([float(ops.convert_to_numpy(v)) for v in results.values()])}


def updated(metric: keras.metrics.Metric, pred: Any, target: np.ndarray) -> Any:
    """A metric's result after two batches."""
    for part in (slice(None, 3), slice(3, None)):
        metric.update_state(target[part], pred[part])
    return metric.result()


def scalar(spec: Any, name: str) -> keras.metrics.Metric:
    """The metric of one result of a ``Calibration``, or of a metric whose class of Keras has its name."""
    arguments = {k: v for k, v in spec.to_keras().items() if k not in ('levels', 'metrics')}
    if spec.takes == 'probabilities':
        return keras_plugin.metrics.CalibrationError(metric=name[:-1], level=name[-1], from_logits=True, **arguments)
    kind = getattr(keras_plugin.metrics, type(spec).__name__, None)
    if kind is None:
        raise LookupError(f'keras_plugin.metrics has no {type(spec).__name__}')
    return kind(level=name[-1], **arguments)


def host_results(spec: Any, pred: Any, target: np.ndarray) -> dict[str, float]:
    """Name -> distance of the callback, on a model that hands on one-hot predictions."""
    inputs = keras.Input((*pred.shape[1:], spec.num_classes))
    scores = (pred[..., None] == np.arange(spec.num_classes)).astype('float32')
    arguments = {k: v for k, v in spec.to_keras().items() if k != 'metrics'}
    callback = keras_plugin.metrics.HostMetrics(
        (scores, target), distances=list(spec.metrics), q=(), batch_size=3, **arguments
    )
    found = callback.evaluate(keras.Model(inputs, keras.layers.Identity()(inputs)))
    return {name: found[name] for name in spec.names()}
