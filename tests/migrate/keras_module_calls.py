"""What tests of written modules ask of Keras: the module run as a user would, and what ``compile`` and ``fit`` make of it."""

import keras
import numpy as np

import keras_plugin.layers
from keras_plugin import losses
from shared_spec import LOSSES


def executed(code):
    namespace = {}
    exec(compile(code, 'written.py', 'exec'), namespace)
    return namespace


def configurations(loss):
    """The parts of a loss as ``{'type': ..., Keras' own words}``, without what belongs to Keras."""
    config = loss.get_config()
    parts = config['losses'] if isinstance(loss, losses.WeightedSumLoss) else [{'type': type(loss).__name__, **config}]
    found = []
    for part in parts:
        known = LOSSES[part['type']].keras_names()
        found.append({'type': part['type'], **{name: part[name] for name in known if name in part}})
    return found


def run(arrays, code):
    """name of the output -> configurations of its losses; the results of metrics; whether ``compile`` and ``fit`` take them."""
    keras.utils.set_random_seed(0)
    module = executed(code)
    made = module['losses']()
    named = made if isinstance(made, dict) else {'': made}
    found = {name: configurations(loss) for name, loss in named.items()}
    metrics = module['metrics']() if 'metrics' in module else None
    return dict(losses=found, metrics=None if metrics is None else names_of(metrics)), {}


def names_of(metrics):
    if isinstance(metrics, dict):
        return {name: names_of(of_output) for name, of_output in metrics.items()}
    return [type(metric).__name__ for metric in metrics]


def fit(arrays, code, channels, outputs):
    """The losses of one epoch on random images, of a model with named outputs."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = inputs
    if "name='nu'" in code:
        x = keras_plugin.layers.DegreesOfFreedom(name='nu')(x)
    made = {name: keras.layers.Conv2D(channels, 3, padding='same', name=name)(x) for name in outputs}
    model = keras.Model(inputs, made if len(made) > 1 else next(iter(made.values())))
    module = executed(code)
    metrics = module['metrics']() if 'metrics' in module else None
    model.compile(optimizer='sgd', loss=module['losses'](), metrics=metrics)
    rng = np.random.default_rng(0)
    labels = rng.integers(channels, size=(4, 8, 8))
    labels[:, 0] = 255
    y = dict.fromkeys(outputs, labels) if len(made) > 1 else labels
    history = model.fit(rng.normal(size=(4, 8, 8, 3)).astype('float32'), y, batch_size=2, verbose=0).history
    if "name='nu'" in code:
        history['nu'] = np.exp(keras.ops.convert_to_numpy(model.get_layer('nu').log_nu))
    return {name: [float(v) for v in np.ravel(values)] for name, values in history.items()}, {}
