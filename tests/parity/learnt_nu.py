"""Derivatives by the variable that a loss learns, asked of a worker's framework; runs in the worker."""

import os

import numpy as np

from shared_spec import from_dict


def log_nu(arrays, loss):
    """d value / d log nu of RobustTLoss, float64."""
    return (_keras if 'KERAS_BACKEND' in os.environ else _mmseg)(arrays, loss)


def _mmseg(arrays, loss):
    import torch
    from mmseg.registry import MODELS

    import mmseg_plugin  # noqa: F401

    module = MODELS.build(from_dict(loss).to_mmseg()).double()
    module(torch.tensor(arrays['pred']), torch.tensor(arrays['target'])).backward()
    return module.log_nu.grad.item(), {}


def _keras(arrays, loss):
    from keras import backend, ops

    from segparity.parity.keras_side import build, to_keras_layout

    pred, target = to_keras_layout(arrays)
    built = build(loss, 'float64')
    variable = built.layer.log_nu
    if backend.backend() == 'tensorflow':
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = built(target, pred)
        gradient = tape.gradient(value, variable.value)
    elif backend.backend() == 'jax':
        import jax
        import keras

        def value(x):
            with keras.StatelessScope(state_mapping=[(variable, x)]):
                return built(target, pred)

        gradient = jax.grad(value)(variable.value)
    else:
        built(target, pred).backward()
        gradient = variable.value.grad
    return float(np.asarray(ops.convert_to_numpy(gradient))), {}
