"""What the soft-label tests ask of Keras' workers; the results are moved to channels first, as in the spec."""

import functools
import unittest.mock

import numpy as np
from keras import backend, ops

import keras_plugin
from keras_plugin import values
from tests.soft_labels.messages import message


def soft(arrays, name, class_axis=False, as_list=False, traced=False, **params):
    """``[dtype of the result, True]`` and the soft labels (N, C, *space) of ``arrays['target']``."""
    target = arrays['target'][..., None] if class_axis else arrays['target']
    call = functools.partial(getattr(keras_plugin.soft_labels, name), **in_keras(params))
    if traced:
        call = compiled(call)
    found = call(list(target) if as_list else target)
    dtype = backend.standardize_dtype(found.dtype)
    values = ops.convert_to_numpy(ops.cast(found, 'float32') if 'float16' in dtype else found)
    return [dtype, True], {'soft': np.moveaxis(np.asarray(values, np.float64), -1, 1)}


def unchecked(arrays, name, **params):
    """``soft`` where values cannot be seen."""
    with unittest.mock.patch.object(values, 'can_look', lambda x: False):
        return soft(arrays, name, **params)


def in_keras(params):
    return {'ignore_class' if k == 'ignore_index' else k: v for k, v in params.items()}


def compiled(call):
    if backend.backend() == 'tensorflow':
        import tensorflow as tf

        return tf.function(call, jit_compile=True)
    if backend.backend() == 'jax':
        import jax

        return jax.jit(call)
    return call


def refusal(arrays, name, **params):
    """The error that a call raises, as text."""
    return message(getattr(keras_plugin.soft_labels, name), arrays['target'], **in_keras(params)), {}


def own_refusals(arrays):
    """The errors of calls that only Keras' functions can get."""
    y = np.zeros((1, 3), int)
    labels, average = keras_plugin.soft_labels.label_smoothing, keras_plugin.soft_labels.average_annotators
    return {
        'dtype': message(labels, y, 0.1, num_classes=2, dtype='int32'),
        'dtype_name': message(labels, y, 0.1, num_classes=2, dtype='float33'),
        'shapes': message(average, [y, y[:, :2]]),
        'none': message(average, []),
        'nothing': message(average, None),
        'one_is_none': message(average, [y, None]),
    }, {}


def in_a_pipeline(arrays, name, known, **params):
    """The labels of a tf.data pipeline in batches of 2, mapped to soft ones; sizes beside the classes known or not."""
    import tensorflow as tf

    shape = [None if size is None else int(size) for size in known]
    data = tf.data.Dataset.from_generator(
        lambda: iter(arrays['target']), output_signature=tf.TensorSpec(shape, tf.int64)
    )
    data = data.batch(2).map(lambda y: getattr(keras_plugin.soft_labels, name)(y, **in_keras(params)))
    parts = [np.moveaxis(part, -1, 1) for part in data.as_numpy_iterator()]
    return [list(data.element_spec.shape)], {'soft': np.concatenate(parts).astype(np.float64)}


def ragged_pipeline(arrays, annotators, **params):
    """Lists of maps of different lengths, as many as ``annotators`` at most, in batches of 2 that are padded and averaged."""
    import tensorflow as tf

    average = functools.partial(keras_plugin.soft_labels.average_annotators, missing=-1, **in_keras(params))
    lists = [arrays[name] for name in sorted(arrays)]
    data = tf.data.Dataset.from_generator(lambda: iter(lists), output_signature=tf.TensorSpec([None, 7, 6], tf.int64))
    data = data.padded_batch(2, [annotators, 7, 6], padding_values=tf.constant(-1, tf.int64))
    data = data.map(lambda maps: average(ops.swapaxes(maps, 0, 1)))
    parts = [np.moveaxis(part, -1, 1) for part in data.as_numpy_iterator()]
    return [list(data.element_spec.shape)], {'soft': np.concatenate(parts).astype(np.float64)}


def unknown_axes(arrays):
    """The errors for tensors of which TensorFlow does not know the shape."""
    import tensorflow as tf

    def rank(y):
        return keras_plugin.soft_labels.label_smoothing(y, 0.1, num_classes=2)

    def annotators(y):
        return keras_plugin.soft_labels.average_annotators(y)

    return {
        'rank': message(tf.function(rank).get_concrete_function, tf.TensorSpec(None, tf.int64)),
        'annotators': message(tf.function(annotators).get_concrete_function, tf.TensorSpec((None, 2, 4), tf.int64)),
    }, {}


def recalibrated(arrays, parts=False, wild=False):
    """The dtype and values of recalibrated logits (N, C, *space); wild: one pixel is sure, one NaN, one infinite."""
    from keras_plugin.soft_labels import recalibrated as module
    from shared_spec.recalibration import DirichletRecalibration

    made = DirichletRecalibration(arrays['prob'], arrays['labels'], arrays['weights'])
    logits = np.moveaxis(arrays['logits'], 1, -1).copy()
    if wild:
        logits[0, 0, 0, 0], logits[0, 0, 1, 1], logits[0, 0, 2, 2] = 1e4, np.nan, -np.inf
    with unittest.mock.patch.object(module, 'rows_at_once', lambda keys: 7 if parts else 10**6):
        found = compiled(functools.partial(module.recalibrate_logits, made))(ops.convert_to_tensor(logits))
    values = np.asarray(ops.convert_to_numpy(found), np.float64)
    return backend.standardize_dtype(found.dtype), {'log': np.moveaxis(values, -1, 1)}
