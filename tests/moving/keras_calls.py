"""What the tests of moving ask of Keras: layers, losses, optimizers and schedules by name; runs in its worker."""

import keras
import numpy as np
from keras import ops

import keras_plugin
from tests.moving.page import code_with


def numbers(x):
    return np.asarray(ops.convert_to_numpy(ops.cast(x, 'float32')))


def apply(arrays, layers, training=None):
    """x through layers [name, arguments], whose weights are the arrays '0_0', '0_1', ... of layer 0 and so on.

    The result has the layers' output and their weights after the call. training: None leaves the argument out.
    """
    x = arrays['x']
    called = {} if training is None else dict(training=training)
    found = {}
    for k, (name, arguments) in enumerate(layers):
        layer = getattr(keras.layers, name)(**arguments)
        layer.build(x.shape)
        given = [arrays[f'{k}_{i}'] for i in range(len(layer.weights)) if f'{k}_{i}' in arrays]
        if given:
            layer.set_weights(given)
        x = layer(ops.convert_to_tensor(x), **called)
        found |= {f'{k}_{i}': numbers(weight) for i, weight in enumerate(layer.weights)}
    return None, dict(found, out=numbers(x))


def function(arrays, name, of='keras.ops', arguments=None):
    """A function of Keras' operations on x."""
    owner = {'keras.ops': ops, 'keras.ops.image': ops.image, 'page': None}[of]
    called = code_with(f'def {name}')[name] if owner is None else getattr(owner, name)
    return None, dict(out=numbers(called(ops.convert_to_tensor(arrays['x']), **(arguments or {}))))


def loss(arrays, name, arguments, of='keras'):
    """A loss of Keras or of ours on labels and pred, with sample weights where arrays has weight."""
    owner = keras.losses if of == 'keras' else keras_plugin.losses
    value = getattr(owner, name)(**arguments)(arrays['labels'], arrays['pred'], arrays.get('weight'))
    return None, dict(out=numbers(value))


def optimise(arrays, name, arguments, schedule=None):
    """The variables 'start_0', ... after each of the steps along the gradients 'gradients_0' (T, ...), ..."""
    if schedule:
        arguments = dict(arguments, learning_rate=schedule_of(*schedule))
    owner = keras.optimizers if hasattr(keras.optimizers, name) else None
    cls = getattr(owner, name) if owner else code_with(f'class {name}')[name]
    optimizer = cls(**arguments)
    count = sum(key.startswith('start_') for key in arrays)
    variables = [keras.Variable(arrays[f'start_{k}']) for k in range(count)]
    optimizer.build(variables)
    path = []
    for t in range(len(arrays['gradients_0'])):
        optimizer.apply([ops.convert_to_tensor(arrays[f'gradients_{k}'][t]) for k in range(count)], variables)
        path.append(np.concatenate([numbers(variable).ravel() for variable in variables]))
    return None, dict(out=np.stack(path))


def optimizer_config(arrays, name, arguments=None):
    """What an optimizer of Keras has by default."""
    config = getattr(keras.optimizers, name)(**(arguments or {})).get_config()
    return {k: v for k, v in config.items() if isinstance(v, int | float | str | None)}, {}


def loss_scale(arrays, arguments):
    """The first scale of Keras' LossScaleOptimizer."""
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), **arguments)
    optimizer.build([keras.Variable(np.zeros(1, 'float32'))])
    return float(ops.convert_to_numpy(optimizer.dynamic_scale)), {}


def train_dense(arrays, arguments, l2=None):
    """Kernel of one linear unit after four steps of SGD on the squared error of x and y."""
    regularizer = keras.regularizers.L2(l2) if l2 else None
    layer = keras.layers.Dense(1, use_bias=False, kernel_regularizer=regularizer)
    model = keras.Sequential([keras.Input(arrays['x'].shape[1:]), layer])
    layer.set_weights([arrays['kernel']])
    model.compile(keras.optimizers.SGD(**arguments), loss='mse', run_eagerly=True)
    for _ in range(4):
        model.train_on_batch(arrays['x'], arrays['y'])
    return None, dict(out=numbers(layer.kernel))


def schedule_of(name, arguments):
    return getattr(keras.optimizers.schedules, name)(**arguments)


def rates(arrays, name, arguments, steps):
    """The learning rate of each step."""
    schedule = schedule_of(name, arguments)
    return None, dict(out=numbers(schedule(np.arange(steps))))


def mean_iou(arrays, arguments, of='keras', batch_size=None):
    """MeanIoU of Keras or of ours on labels and pred."""
    owner = keras.metrics if of == 'keras' else keras_plugin.metrics
    metric = owner.MeanIoU(**arguments)
    size = batch_size or len(arrays['labels'])
    for start in range(0, len(arrays['labels']), size):
        part = slice(start, start + size)
        metric.update_state(arrays['labels'][part], arrays['pred'][part])
    return float(ops.convert_to_numpy(metric.result())), {}


def evaluate_function(arrays, batch_size):
    """What evaluate reports of a hand-written IoU of the foreground, given to compile as a function."""

    def iou(y_true, y_pred):
        y_true, y_pred = ops.cast(y_true, 'float32'), ops.cast(y_pred > 0.5, 'float32')
        both = ops.sum(y_true * y_pred)
        return both / (ops.sum(y_true) + ops.sum(y_pred) - both)

    inputs = keras.Input(arrays['pred'].shape[1:])
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    model.compile(loss='mse', metrics=[iou], run_eagerly=True)
    found = model.evaluate(arrays['pred'], arrays['labels'], batch_size=batch_size, verbose=0, return_dict=True)
    return found['iou'], {}
