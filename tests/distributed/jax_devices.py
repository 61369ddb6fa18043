"""What the tests of keras.distribution ask of their worker, in which JAX has four host devices."""

import keras
import numpy as np
from keras import distribution

import keras_plugin
from tests.distributed.cases import IGNORED, cases
from tests.distributed.keras_loss import build


def layouts():
    """Name -> a distribution over four devices, or None for one."""
    mesh = distribution.DeviceMesh((2, 2), ('batch', 'model'))
    split = distribution.LayoutMap(mesh)
    split['.*kernel'] = (None, None, None, 'model')
    return dict(
        one=lambda: None,
        data=distribution.DataParallel,
        model=lambda: distribution.ModelParallel(layout_map=split, batch_dim_name='batch'),
    )


def watched(case, channels, sync):
    """The loss of a case or the sum, and metrics."""
    if case:
        return build(dict(case.config, learn_nu=False) if 'learn_nu' in case.config else case.config)[0], []
    both = dict(from_logits=True, ignore_class=IGNORED, sync=sync, dtype='float64')
    losses = keras_plugin.losses
    total = losses.WeightedSumLoss(
        losses=[
            losses.WeightedCrossEntropyLoss(class_weight='inverse_frequency', **both),
            losses.JaccardMetricLoss(granularity={'D': 0.4, 'I': 0.3, 'C': 0.3}, **both),
            losses.LovaszSoftmaxLoss(**both),
        ]
    )
    inputs = dict(num_classes=channels, ignore_class=IGNORED, from_logits=True)
    return total, [keras_plugin.metrics.MeanIoU(level='C', q=5, **inputs)]


def fit(arrays, layout, name='', sync=True, images=8):
    """Losses, metric and weights after an epoch of two steps in float64; or the error, as text.

    name: of the case whose loss is trained, else a sum of three. One device's share of the batch has nothing valid.
    """
    case = cases()[name] if name else None
    channels = case.channels if case else 4
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 1, (images, 12, 12, 3)), rng.integers(0, max(2, channels), (images, 12, 12))
    y[0, :4], y[2] = IGNORED, IGNORED
    distribution.set_distribution(layouts()[layout]())
    try:  # a metric has variables and is made under the distribution, too
        loss, metrics = watched(case, channels, sync)
        keras.utils.set_random_seed(0)
        layers = [keras.Input((12, 12, 3), dtype='float64'), keras.layers.Conv2D(channels, 1, dtype='float64')]
        model = keras.Sequential(layers)
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss, metrics=metrics)
        history = model.fit(x, y, batch_size=4, shuffle=False, verbose=0).history
        return {k: v[0] for k, v in history.items()}, dict(kernel=model.get_weights()[0])
    except ValueError as error:
        return dict(error=str(error)), {}
    finally:
        distribution.set_distribution(None)
