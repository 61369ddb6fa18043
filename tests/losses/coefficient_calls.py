"""Parts of losses whose factor is 0, asked of Keras' workers."""

import unittest.mock

import numpy as np

from keras_plugin import values
from segparity.parity.keras_side import build, to_keras_layout
from shared_spec import LOSSES
from tests.losses.coefficients import CASES, LOW, inputs
from tests.losses.value_calls import value_and_gradient


def outcomes(arrays, jit, cases):
    """Case -> [value, value with finite logits, largest difference of the gradients], and the outcome of a NaN unseen."""
    found = []
    for k in cases:
        name, params, channels = CASES[k]
        call = value_and_gradient(build(LOSSES[name](**params).to_dict()), jit)
        (value, slope), (low, low_slope) = (call(*laid_out(*inputs(channels, x))) for x in (-np.inf, LOW))
        wrong = inputs(channels, -np.inf)
        wrong[0][0, 0, 3, 3] = np.nan
        with unittest.mock.patch.object(values, 'can_look', lambda x: False):
            nan, nan_slope = call(*laid_out(*wrong))
        seen = [bool(np.isnan(nan)), bool(np.isnan(nan_slope).any())]
        found.append([k, float(value), float(low), float(np.abs(slope - low_slope).max()), seen])
    return found, {}


def laid_out(pred, target):
    return *to_keras_layout(dict(pred=pred.astype('float32'), target=target.astype('int32'))), None
