"""The boundary-aware loss of Keras, asked of its workers."""

import unittest.mock
from typing import Any

import numpy as np
from keras import ops

import keras_plugin
from keras_plugin import distance_bins, values
from tests.losses.value_calls import value_and_gradient


def masks(arrays, size):
    """The masks of a prediction."""
    found = distance_bins.masks_of_bins(arrays['z'], *size)
    return None, {'masks': np.asarray(ops.convert_to_numpy(found))}


def refused(arrays, size):
    """The sentence on a prediction that has no masks."""
    try:
        return str(masks(arrays, size)), {}
    except ValueError as error:
        return str(error), {}


def loss_of(arrays, params) -> Any:
    """A loss (y_true, y_pred) of float64 logits, with the bins given where there are."""
    loss = keras_plugin.losses.BoundaryAwareLoss(from_logits=True, dtype='float64', **params)
    extras = {'distance_bins': arrays['bins']} if 'bins' in arrays else {}
    return lambda y, z, weight=None: loss(y, z, weight, **extras)


def value(arrays, params):
    """The loss, which may be refused."""
    return float(loss_of(arrays, params)(arrays['y'], arrays['z'])), {}


def unseen(arrays, params):
    """Value and gradient where nothing can be looked at."""
    with unittest.mock.patch.object(values, 'can_look', lambda x: False):
        found = value_and_gradient(loss_of(arrays, params))(arrays['z'], arrays['y'], None)
    return None, dict(zip(('value', 'gradient'), (np.asarray(x) for x in found)))
