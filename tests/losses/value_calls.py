"""Values that are none, asked of Keras' workers: what every loss makes of one wrong pixel, eager and compiled."""

import unittest.mock

import numpy as np
from keras import backend, ops

import keras_plugin
from keras_plugin import values
from shared_spec import LOSSES

PIXEL = (0, 1, 2)
IGNORE = 255
# form -> (activation of the loss or None, from_logits, channels, kind of labels)
FORMS = {
    'ids': (None, True, 'many', 'ids'),
    'probabilities': (None, False, 'many', 'ids'),
    'sigmoid': ('sigmoid', True, 'many', 'ids'),
    'soft': (None, True, 'many', 'soft'),
    'one': (None, True, 'one', 'soft'),
    'one_hard': (None, True, 'one', 'ids'),
}


def loss_of(name, form, **changes):
    """The loss on a form of input, or None where it does not take that."""
    cls = LOSSES[name]
    activation, from_logits, channels, labels = FORMS[form]
    parameters = cls.parameters()
    if channels not in cls.channels or (labels == 'soft' and 'soft' not in cls.labels):
        return None
    if name == 'WeightedSumLoss':
        parts = [loss_of(k, form, **changes) for k in ('WeightedCrossEntropyLoss', 'JaccardMetricLoss')]
        return keras_plugin.losses.WeightedSumLoss(losses=parts)
    if activation and 'activation' not in parameters:
        return None
    if name == 'LovaszHingeLoss' and not from_logits:
        return None
    options = dict(activation=activation) if activation else {}
    options.update({k: v for k, v in changes.items() if k in parameters})
    return getattr(keras_plugin.losses, name)(from_logits=from_logits, ignore_class=IGNORE, **options)


def sound(form):
    """(pred, labels, weights) in which everything counts; the second image's first pixels are ignored, one by each way."""
    _, from_logits, channels, labels = FORMS[form]
    c = 1 if channels == 'one' else 3
    rng = np.random.default_rng(3)
    z = rng.normal(0, 1, (2, 8, 9, c)).astype('float32')
    if not from_logits:
        z = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    w = rng.uniform(0.5, 2, (2, 8, 9)).astype('float32')
    w[1, 0, 0] = 0
    if labels == 'ids':
        y = rng.integers(0, max(c, 2), (2, 8, 9)).astype('int32')
        y[1, 0, 1] = IGNORE
    else:
        y = rng.uniform(0.1, 0.9, z.shape).astype('float32')
        y = y / y.sum(-1, keepdims=True) if c > 1 else y
    return z, y, w


def faults(form):
    """Name of a fault -> (which of pred, labels, weights has it, the value that the pixel gets)."""
    _, from_logits, channels, labels = FORMS[form]
    found = {'nan': (0, np.nan), 'inf': (0, np.inf), 'nan_everywhere': (0, [np.nan])}
    found['one_nan'] = (0, 'last nan')
    if not from_logits:
        found |= {'above': (0, 'last 1.5'), 'below': (0, 'last -0.5')}
    elif channels == 'many' and FORMS[form][0] is None:
        found['nothing'] = (0, -np.inf)
    if labels == 'ids':
        found |= {'label': (1, 3 if channels == 'many' else 2), 'negative': (1, -1), 'far': (1, 2**31 - 1)}
    else:
        found |= {'label': (1, 'last 1.5'), 'negative': (1, 'last -0.4'), 'nan_label': (1, np.nan)}
    found |= {'weight': (2, -1.0), 'nan_weight': (2, np.nan), 'inf_weight': (2, np.inf)}
    return found


def spoil(arrays, fault, pixel):
    """The arrays with a fault at a pixel."""
    arrays = [x.copy() for x in arrays]
    which, value = fault
    if isinstance(value, str):
        arrays[which][(*pixel, -1)] = float(value.removeprefix('last '))
    else:
        arrays[which][pixel] = value if np.ndim(value) == 0 else value[0]
    return arrays


def value_and_gradient(loss, jit=False):
    """A function of (pred, labels, weights) to value and gradient as NumPy arrays."""
    if backend.backend() == 'jax':
        import jax

        both = jax.value_and_grad(lambda z, y, w: loss(y, z, w))
        both = jax.jit(both) if jit else both
    elif backend.backend() == 'tensorflow':
        import tensorflow as tf

        def both(z, y, w):
            with tf.GradientTape() as tape:
                tape.watch(z)
                value = loss(y, z, w)
            return value, tape.gradient(value, z)

        both = tf.function(both, jit_compile=True, autograph=False) if jit else both
    else:

        def both(z, y, w):
            z = z.detach().requires_grad_(True)
            value = loss(y, z, w)
            value.backward()
            return value.detach(), z.grad

    def call(z, y, w):
        found = both(*(None if x is None else values.to_tensor(x) for x in (z, y, w)))
        return [np.asarray(ops.convert_to_numpy(x)) for x in found]

    return call


def outcome(call, arrays, slope):
    """['NaN' or the value, 'NaN', 'finite' or 'mixed'] for the gradient where ``slope`` (N, *space, C) is, or the sentence.

    A clipped probability or a channel that a loss does not look at has no slope.
    """
    try:
        value, gradient = call(*arrays)
    except Exception as error:
        return f'{type(error).__name__}: {error}'
    steep = slope != 0
    steep[PIXEL] = False
    missing = np.isnan(gradient[steep])
    kind = 'NaN' if missing.all() else 'mixed' if missing.any() else 'finite'
    return ['NaN' if np.isnan(value) else float(value), kind]


def one_wrong_pixel(arrays, names, form, jit, granularity=None, absent=True):
    """Loss -> fault -> outcome, and for the same fault at a pixel that does not count whether anything changed."""
    found = {}
    for name in names:
        loss = loss_of(name, form, **(dict(granularity=granularity, smooth=0.0) if granularity else {}))
        if loss is None or (granularity and 'granularity' not in LOSSES[name].parameters()):
            continue
        call, base, found[name] = value_and_gradient(loss, jit), sound(form), {}
        hidden = unittest.mock.patch.object(values, 'visible', lambda x: False)
        if not jit:
            hidden = unittest.mock.patch.object(values, 'DEBUG', False)  # nothing
        with hidden:
            before = call(*base)
            assert all(np.isfinite(x).all() for x in before), (name, form)
            for fault, what in faults(form).items():
                found[name][fault] = outcome(call, spoil(base, what, PIXEL), before[1])
                places = [(1, 0, 0)] if what[0] != 1 else [(1, 0, 0)]
                if FORMS[form][3] == 'ids' and what[0] != 1:
                    places.append((1, 0, 1))
                for place in places:
                    if what[0] == 2 and place == (1, 0, 0):
                        continue
                    after = call(*spoil(base, what, place))
                    same = all(np.array_equal(a, b) for a, b in zip(before, after))
                    if not same:
                        found[name][f'{fault} at {place}'] = [float(after[0]), float(np.abs(after[1] - before[1]).max())]
    return found, {}
