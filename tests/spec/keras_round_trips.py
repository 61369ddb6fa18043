"""What the tests of random parameters ask of Keras' workers: specs through constructors, configurations and saved models."""

import json

import keras

import keras_plugin
from segparity.parity.keras_side import scalar
from shared_spec import LOSSES, from_dict

HOST = ('name', 'reduction', 'dtype', 'layer')


def loss_of(spec, name):
    """(the loss of a spec, the layers that it or its parts learn from, which are called after it)."""
    layers = []
    arguments = with_layers(spec.to_keras(), name, layers)
    return getattr(keras_plugin.losses, type(spec).__name__)(**arguments), layers


def with_layers(arguments, name, layers):
    if 'losses' in arguments:
        arguments = {**arguments, 'losses': [with_layers(part, name, layers) for part in arguments['losses']]}
    if not arguments.get('learn_nu'):
        return arguments
    layers.append(keras_plugin.layers.DegreesOfFreedom(arguments.get('nu', 1.0), name=f'{name}_nu_{len(layers)}'))
    layers[-1].build((None, 1))
    return {**arguments, 'layer': layers[-1]}


def of_config(config):
    """The ``to_dict`` of the spec that a loss's ``get_config`` has, its class as 'type'."""
    config = {k: v for k, v in config.items() if k not in HOST}
    if config.get('losses'):
        config['losses'] = [from_dict(of_config(part)) for part in config['losses']]
    return LOSSES[config.pop('type')].from_keras(config).to_dict()


def told(loss):
    """The spec that a loss says it has, by its configuration as JSON."""
    return of_config({'type': type(loss).__name__, **json.loads(json.dumps(loss.get_config()))})


def metrics_of(spec):
    if type(spec).__name__ == 'FineGrained':
        return [keras_plugin.metrics.SegmentationReport(**spec.to_keras())]
    return [scalar(spec, name) for name in spec.names()]


def spec_of(metric):
    return getattr(metric, 'boundary', metric.spec).to_dict()


def configured(arrays, specs):
    """spec -> constructor -> get_config -> spec, and once more through Keras' own serialisation."""
    found = []
    for k, config in enumerate(specs):
        loss, layers = loss_of(from_dict(config), f'configured_{k}')  # the layers live as long as the loss is looked at
        again = keras.losses.deserialize(keras.losses.serialize(loss))
        found.append([told(loss), told(again)])
        del layers
    return found, {}


def metrics_configured(arrays, specs):
    """For each spec the specs of its metrics before and after Keras' own serialisation."""
    found = []
    for config in specs:
        metrics = metrics_of(from_dict(config))
        again = [keras.metrics.deserialize(keras.metrics.serialize(metric)) for metric in metrics]
        found.append([[spec_of(m) for m in metrics], [spec_of(m) for m in again]])
    return found, {}


def save(arrays, specs, path):
    """One model with an output for each loss."""
    inputs = keras.Input((4, 4, 2))
    outputs, losses = {}, {}
    for k, config in enumerate(specs):
        losses[f'out_{k}'], layers = loss_of(from_dict(config), f'saved_{k}')
        value = inputs
        for layer in layers:
            value = layer(value)
        outputs[f'out_{k}'] = keras.layers.Activation('linear', name=f'out_{k}')(value)
    model = keras.Model(inputs, outputs)
    model.compile('sgd', loss=losses, jit_compile=False)
    model.save(path)
    return None, {}


def load(arrays, path):
    """The specs of the losses of a saved model, in order."""
    model = keras.saving.load_model(path)
    return [told(model.loss[f'out_{k}']) for k in range(len(model.loss))], {}
