"""What tests/losses/test_extras.py asks of its Keras workers."""

import math

import numpy as np

import keras_plugin
from segparity.parity.extras import channels_last, mapped, unpacked
from segparity.parity.keras_side import build, to_keras_layout
from shared_spec import from_dict
from tests.losses.keras_calls import messages


def answers(arrays, loss):
    """Values of a loss that takes more than logits and labels, and what it says of wrong calls."""
    spec, module = from_dict(loss), build(loss)
    pred, target = to_keras_layout(arrays)
    pred = pred.astype('float32')
    extras = mapped(mapped(unpacked(arrays), channels_last), as_floats)
    found = dict(value=float(module(target, pred, **extras)))

    def without(name):
        return {k: x for k, x in extras.items() if k != name}

    found['missing'] = messages({k: lambda k=k: module(target, pred, **without(k)) for k in spec.needs})
    found |= messages(dict(unknown=lambda: module(target, pred, embeding=1, **extras)))
    total = keras_plugin.losses.WeightedSumLoss([module, build(loss)], weights=[2.0, 0.0], loss_weight=0.5)
    found['sum'] = float(total(target, pred, **extras))
    plain = keras_plugin.losses.WeightedSumLoss()
    found['untaken'] = messages({k: lambda k=k, x=x: plain(target, pred, **{k: x}) for k, x in extras.items()})
    wrong = pred.copy()
    wrong[0, ..., 0] = np.nan
    values = {'pred': module(target, wrong, **extras)}
    for name, x in extras.items():
        if not isinstance(x, tuple) and x.dtype.kind == 'f':
            bad = x.copy()
            bad[0, ..., -1] = np.nan
            values[name] = module(target, pred, **{**extras, name: bad})
    found['no_number'] = {name: 'NaN' if math.isnan(float(value)) else 'a number' for name, value in values.items()}
    return found, {}


def as_floats(name, x):
    return x.astype('float32') if x.dtype.kind == 'f' else x
