"""The topology-aware focal loss of Keras, asked of its workers."""

import functools

import keras

import keras_plugin
from tests.losses.keras_calls import data, messages


def fit(jit):
    """A step of training, compiled as asked."""
    z, y = data()
    model = keras.Sequential([keras.Input(z.shape[1:]), keras.layers.Conv2D(3, 1)])
    loss = keras_plugin.losses.TopologyAwareFocalLoss(from_logits=True, topology_weight=1.0)
    model.compile(optimizer='sgd', loss=loss, jit_compile=jit)
    model.fit(z, y, verbose=0)


def fits(arrays):
    """How jit_compile is given -> what a step says; PyTorch's compiler takes minutes, and is asked elsewhere."""
    asked = ['auto', False] if keras.backend.backend() == 'torch' else ['auto', False, True]
    return messages({str(jit): functools.partial(fit, jit) for jit in asked}), {}
