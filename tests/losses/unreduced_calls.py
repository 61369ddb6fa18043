"""Losses of images and classes, asked of Keras' workers."""

import keras
import numpy as np
from keras import ops

import keras_plugin.losses


def unreduced(arrays, calls, names):
    """For each (name, arguments): the loss of the arrays eagerly, or compiled where ``names`` has the name."""
    y_true, y_pred, weight = (arrays[name] for name in ('y_true', 'y_pred', 'weight'))
    found = []
    for name, arguments in calls:
        loss = getattr(keras_plugin.losses, name)(**arguments)
        one = name == 'LovaszHingeLoss'
        given = (
            np.where(y_true == 255, 255, y_true == 1) if one else y_true,
            y_pred[..., :1] if one else y_pred,
            weight,
        )
        call = compiled(loss) if name in names else loss
        found.append(np.asarray(ops.convert_to_numpy(call(*given))).tolist())
    return found, {}


def compiled(loss):
    if keras.backend.backend() == 'jax':
        import jax

        return jax.jit(loss)
    if keras.backend.backend() == 'tensorflow':
        import tensorflow as tf

        return tf.function(loss, jit_compile=True, autograph=False)
    return loss


def refusals(arrays, calls):
    """The sentences of losses that are refused where they are made, or at a call."""
    y_true, y_pred = arrays['y_true'], arrays['y_pred']
    said = []
    for name, arguments in calls:
        try:
            said.append(str(getattr(keras_plugin.losses, name)(**arguments)(y_true, y_pred)))
        except ValueError as error:
            said.append(str(error))
    return said, {}
