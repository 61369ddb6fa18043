"""The slope of RobustTLoss along log nu, asked of Keras' workers."""

import numpy as np
from keras import ops

import keras_plugin
from tests.losses.value_calls import value_and_gradient


def slopes(arrays, jit, dtype):
    """Of one map of ``count`` pixels and the squared residual ``square``, at each of ``log_nu``; and the values."""
    loss = keras_plugin.losses.RobustTLoss(epsilon=0)
    count, square, log_nu = (np.asarray(arrays[k], dtype) for k in ('count', 'square', 'log_nu'))

    def of_nu(y, z, w):
        return ops.sum(loss.negative_log_likelihood(ops.convert_to_tensor(y), ops.convert_to_tensor(w), z))

    value, slope = value_and_gradient(of_nu, jit)(log_nu, np.full_like(log_nu, count), np.full_like(log_nu, square))
    return str(slope.dtype), dict(value=value, slope=slope)
