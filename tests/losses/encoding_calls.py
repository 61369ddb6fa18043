"""What tests/losses/test_semantic_encoding.py asks of its Keras workers."""

import keras
import numpy as np

import keras_plugin
from tests.losses.keras_calls import messages

Loss = keras_plugin.losses.SemanticEncodingLoss


def answers(arrays):
    """Values of all forms of labels, the losses of a branch that is trained, and what is said of wrong shapes."""
    z, y, there = arrays['z'].astype('float32'), arrays['y'], arrays['there']
    loss, w = Loss(from_logits=True, ignore_class=255), np.array([3.0, 0.5], 'float32')
    one_hot = (y[..., None] == np.arange(3)).astype('int32')
    values = dict(
        labels=loss(y, z[:, None, None]),
        flat=loss(y[..., None], z),
        told=loss(there, z),
        told_in_floats=loss(there.astype('float32'), z),
        one_hot=loss(one_hot, z),
        weighted=loss(y, z, w),
        told_weighted=loss(there, z, w),
        one=Loss(from_logits=True, ignore_class=1)(np.array([[0], [1]]), z[:, :1]),
    )
    calls = dict(two=lambda: loss(2 * there, z), first=lambda: loss(y, z[:, :, None, None]))
    return dict(values={k: float(v) for k, v in values.items()}, fitted=fitted(y), **messages(calls)), {}


def fitted(y):
    """The first and the last loss of a model whose one output is that of an image-level branch."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2, 2, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 1)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(pooled))
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss=Loss(from_logits=True, ignore_class=255))
    x = np.random.default_rng(0).normal(size=(2, 2, 2, 3)).astype('float32')
    history = model.fit(x, y, epochs=5, verbose=0).history['loss']
    return history[0], history[-1]
