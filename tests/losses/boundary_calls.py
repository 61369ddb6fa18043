"""Predicted boundaries of Keras, asked of its workers."""

import unittest.mock
from typing import Any

import numpy as np
from keras import ops

import keras_plugin
from keras_plugin import active_boundaries, boundaries, values
from shared_spec import LOSSES
from tests.losses.value_calls import value_and_gradient


def whole_products(arrays, pixels):
    """Ratio -> floor(ratio * n) for n up to ``pixels``, where there is float64 and where there is none."""
    numbers = ops.convert_to_tensor(np.arange(pixels + 1, dtype='int32'))
    found = {}
    for ratio in (0.01, 0.07, 0.29, 0.3, 1.0):
        for name, dtype in (('wide', 'float64'), ('narrow', 'float32')):
            with unittest.mock.patch.object(active_boundaries, 'widest_dtype', lambda x, dtype=dtype: dtype):
                if name == 'wide' and values.widest_integer_dtype() == 'int32':
                    continue  # JAX without x64
                got = active_boundaries.allowed_of(numbers, pixels, numbers, ratio)
            found[f'{ratio} {name}'] = np.asarray(ops.convert_to_numpy(got))
    return None, found


def exceeding(arrays, allowed):
    """Where divergences (G, P) exceed the least threshold that ``allowed`` exceed."""
    spec: Any = LOSSES['ActiveBoundaryLoss']()
    found = active_boundaries.exceeding(
        values.to_tensor(arrays['kl']), ops.convert_to_tensor(np.array(allowed, 'int32')), spec, None
    )
    return None, {'found': np.asarray(ops.convert_to_numpy(found))}


def given(arrays, loss, jit):
    """Value and gradient of a loss (N, H, W, C) by itself, eagerly and where nothing can be looked at."""
    found = {}
    call = keras_plugin.losses.ActiveBoundaryLoss(**LOSSES['ActiveBoundaryLoss'](**loss).to_keras())
    found['value'], found['gradient'] = value_and_gradient(call)(arrays['z'], arrays['y'], None)
    with unittest.mock.patch.object(values, 'can_look', lambda x: False):
        traced = value_and_gradient(call, jit)
        found['traced'], found['traced_gradient'] = traced(arrays['z'], arrays['y'], None)
    return None, found


def edges(arrays, reach):
    """The edges of maps of class ids."""
    label = ops.convert_to_tensor(arrays['label'].astype('int32'))
    return None, dict(edges=np.asarray(ops.convert_to_numpy(boundaries.class_edges(label, reach))))
