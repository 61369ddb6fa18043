"""The cases of the distributed tests in Keras: a linear model, its loss, its gradients. Runs in a worker or a rank."""

import keras
import numpy as np

import keras_plugin
from shared_spec import LOSSES
from tests.distributed.cases import IGNORED, SIZE, data, handed_over


def build(config):
    """(loss, variables that it learns)."""
    config = dict(config)
    name = config.pop('type')
    if 'losses' in LOSSES[name].parameters():  # of which none is the recipe
        spec = LOSSES[name](**config)
        config['losses'] = [dict(part.to_dict(), ignore_index=IGNORED) for part in spec.parts]
        config['weights'] = list(spec.shares)
    elif 'ignore_index' in LOSSES[name].parameters():
        config['ignore_index'] = IGNORED
    options = LOSSES[name](**config).to_keras()
    if options.get('learn_nu'):
        options['layer'] = keras_plugin.layers.DegreesOfFreedom(options.pop('nu', 1.0), dtype='float64')
        options['layer'].build((None, 3))
    loss = getattr(keras_plugin.losses, name)(**options, dtype='float64')
    return loss, [options['layer'].log_nu] if 'layer' in options else []


class Model:
    """A linear map of each pixel's three numbers to its logits, in float64."""

    def __init__(self, case):
        rng = np.random.default_rng(1)
        start = rng.normal(0, 1, (3, case.channels)), rng.normal(0, 1, case.channels)
        self.loss, learnt = build(case.config)
        self.config = case.config
        self.variables = [*(keras.Variable(a, dtype='float64') for a in start), *learnt]

    def __call__(self, x, y, weight=None):
        kernel, bias = self.variables[:2]
        pred, extras = handed_over(self.config, keras.ops.matmul(x, kernel) + bias, mean_over_pixels)
        return self.loss(y, pred, weight, **extras)


def mean_over_pixels(z):
    """(N, C) of (N, H, W, C); by sums, for Keras on PyTorch has means in float32."""
    return keras.ops.sum(z, axis=(1, 2)) / SIZE**2


def batch(case, world):
    """The joined batch, channels last."""
    x, y, weight = data(case, world)
    return np.moveaxis(x, 1, -1), np.moveaxis(y, 1, -1) if case.labels == 'soft' else y, weight
