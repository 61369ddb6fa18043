"""What the Keras tests ask of their worker processes; runs there, never in pytest's own process."""

import inspect
import math

import keras
import numpy as np
from keras import ops

import keras_plugin
from segparity.parity import cases
from segparity.parity.extras import channels_last, mapped
from segparity.parity.keras_side import Offset, build, ignored_by_constructor, to_keras_layout
from shared_spec import LOSSES

CONFIGURED = {
    'ActiveBoundaryLoss': dict(
        label_smoothing=0.0,
        max_clip_distance=1.5,
        max_boundary_ratio=0.5,
        detach=False,
        budget='batch',
        ignored='boundary',
    ),
    'BoundaryAwareLoss': dict(num_bins=3, max_distance=5, reduction='sum'),
    'TopologyAwareFocalLoss': dict(gamma=0.5, topology_weight=2.0, dimensions=[1, 0], classes=[0, 2]),
    'JaccardMetricLoss': dict(granularity={'I': 0.5, 'C': 0.5}, classes=[0, 2], from_logits=True, ignore_class=255),
    'CompatibleTverskyLoss': dict(alpha=0.9, beta=0.4, class_weight=[1.0, 2.0, 3.0], log_loss=True, gamma=2.0),
    'GeneralizedDiceLoss': dict(weighting='simple', absent='drop'),
    'SoftTverskyLoss': dict(
        granularity='I', class_weight=[1.0, 2.0, 3.0], normalize_class_weight=True, reduction='none'
    ),
    'WeightedCrossEntropyLoss': dict(class_weight='inverse_frequency', label_smoothing=0.1, reduction='sum'),
    'DistillationKLLoss': dict(temperature=3.0, reduction='sum'),
    'TopKCrossEntropyLoss': dict(k=100 / 3, class_weight=[0.5, 1.75, 0.0], reduction='none'),
    'OhemCrossEntropyLoss': dict(thresh=0.4, min_kept=3, class_weight=[0.5, 1.75, 0.0], reduction='sum'),
    'FocalCrossEntropyLoss': dict(gamma=0.5, alpha=[0.5, 1.75, 0.0], reduction='none'),
    'GeneralizedWassersteinDiceLoss': dict(distance_matrix=[[0, 1, 1], [1, 0, 0.5], [1, 0.5, 0]], weighting='gdl'),
    'LovaszSoftmaxLoss': dict(classes=[1, 2], per_image=True, class_weight=[1.0, 2.0, 3.0]),
    'LovaszHingeLoss': dict(per_image=False, ignore_class=255),
    'RegionMutualInformationLoss': dict(pool='avg', pool_size=2, radius=2, ce_weight=0.25),
    'UnifiedFocalLoss': dict(granularity={'D': 0.5, 'C': 0.5}),
    'ConditionalBoundaryLoss': dict(window=3, skip_class=0, ignored='differ', boundary_ratio=0.1),
    'PixelTripletLoss': dict(window=3, margin=0.5, samples=7),
    'PixelContrastLoss': dict(max_samples=12, max_views=2, order='first', sampling='hardest'),
    'RobustTLoss': dict(nu=3.0, learn_nu=True, log_precision=0.5),
}


def loss_class(name):
    return getattr(keras_plugin.losses, name)


def configured(name, **changes):
    """A loss with other parameters than its defaults, and the layer that it learns from, or None."""
    options = {**CONFIGURED.get(name, {}), **changes}
    layer = keras_plugin.layers.DegreesOfFreedom(options['nu'], name='nu') if options.get('learn_nu') else None
    if layer is not None:
        layer.build((None, 3))
        options['layer'] = layer
    return loss_class(name)(**options), layer


def from_logits(name):
    """A loss of logits with its defaults, but where these leave small pictures no boundary, and distances no weight."""
    if name == 'WeightedSumLoss':
        return loss_class(name)(losses=[from_logits(k) for k in ('WeightedCrossEntropyLoss', 'JaccardMetricLoss')])
    params = dict(max_boundary_ratio=0.3, max_clip_distance=1.0) if LOSSES[name].needs_areas else {}
    return loss_class(name)(from_logits=True, **params)


def data(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (2, 4, 5, 3)).astype('float32'), rng.integers(0, 3, (2, 4, 5))


def data_for(name):
    """What every definition takes: one channel for a binary loss, enough pixels for regions, areas."""
    rng = np.random.default_rng(0)
    classes = 1 if LOSSES[name].channels == ('one',) else 3
    z, y = rng.normal(0, 1, (2, 8, 9, classes)).astype('float32'), rng.integers(0, max(classes, 2), (2, 8, 9))
    return z, np.arange(9) // 3 + 0 * y if LOSSES[name].needs_areas else y


def signatures(arrays):
    found = {}
    for name in LOSSES:
        parameters = inspect.signature(loss_class(name).__init__).parameters
        found[name] = {k: p.default for k, p in parameters.items() if k != 'self'}
    return found, {}


def round_trip(arrays, name):
    """Whether get_config lists the constructor's parameters and rebuilds an equal loss."""
    cls = loss_class(name)
    loss, layer = configured(name, dtype='float64')
    config = loss.get_config()
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    parameters = [k for k in inspect.signature(cls.__init__).parameters if k != 'self']
    same = again.get_config() == config and cls.from_config(config).get_config() == config
    same = same and getattr(again, 'layer', None) is layer
    return dict(complete=sorted(config) == sorted(parameters), same=same, dtype=again.dtype), {}


def save(arrays, folder):
    """Saves a model for every loss; returns the loss of each on the data."""
    values = {}
    for name in LOSSES:
        keras.utils.set_random_seed(0)
        z, _ = data_for(name)
        loss, layer = configured(name)
        last = [] if getattr(loss.spec, 'from_logits', False) else [keras.layers.Softmax()]
        layers = [keras.layers.Conv2D(z.shape[-1], 1), *last, *([] if layer is None else [layer])]
        model = keras.Sequential([keras.Input(z.shape[1:]), *layers])
        if layer is not None:
            layer.log_nu.assign(0.7)  # not where it started
        model.compile(optimizer='sgd', loss=loss, run_eagerly=True)
        model.save(f'{folder}/{name}.keras')
        values[name] = value_of(model, name)
    return values, {}


def value_of(model, name):
    """The loss of a model on the data; of a loss that takes more than a model hands over that of a case."""
    if LOSSES[name].is_plain():
        return float(model.evaluate(*data_for(name), verbose=0))
    spec = model.loss.spec
    case = cases.build(cases.simplest(spec, getattr(spec, 'from_logits', True))).adapted(spec)
    pred, target = to_keras_layout(case.arrays)
    return float(model.loss(target, pred.astype('float32'), **mapped(case.extras, channels_last)))


def load(arrays, folder):
    """The losses of the saved models, in whatever process this is."""
    values = {}
    for name in LOSSES:
        values[name] = value_of(keras.models.load_model(f'{folder}/{name}.keras'), name)
    return values, {}


def messages(calls):
    """Name -> error that a call raises, as text."""
    found = {}
    for key, call in calls.items():
        try:
            call()
            found[key] = 'nothing raised'
        except Exception as error:
            found[key] = f'{type(error).__name__}: {error}'
    return found


def errors(arrays):
    """The messages of wrong calls and wrong parameters."""
    z, y = data()
    cls = keras_plugin.losses.JaccardMetricLoss
    calls = {
        'typo': lambda: cls(smoth=1),
        'ignore': lambda: cls(ignore_class='x'),
        'mmseg_name': lambda: cls(ignore_index=255),
        'reduction': lambda: cls(reduction='sum'),
        'shape': lambda: cls()(y[:, :3], z),
        'dtype': lambda: cls()(y, z.astype('int32')),
        'weight': lambda: cls()(y, z, np.ones(3)),
        'sum': lambda: keras_plugin.losses.WeightedSumLoss(losses=['dice']),
        'sum_positions': lambda: keras_plugin.losses.WeightedSumLoss(cls(), cls()),
        'sum_name': lambda: keras_plugin.losses.WeightedSumLoss(losses=[{'type': 'SoftDise'}]),
    }
    return messages(calls), {}


def sample_weights(arrays):
    """Jaccard under I of the second image alone, and of both with the first one's weight 0, per image and per pixel."""
    z, y = data()
    loss = keras_plugin.losses.JaccardMetricLoss(from_logits=True, granularity='I')
    pixels = np.ones(y.shape, 'float32')
    pixels[0] = 0
    values = [loss(y[1:], z[1:]), loss(y, z, np.array([0.0, 1.0])), loss(y, z, pixels), loss(y, z, pixels[..., None])]
    return [float(v) for v in values], {}


def many_classes_in_half_precision(arrays):
    """300 classes under bfloat16: label 257 must not arrive as 256."""
    rng = np.random.default_rng(0)
    z, y = rng.normal(0, 3, (1, 4, 5, 300)).astype('float32'), np.full((1, 4, 5), 257)
    z[..., 257] += 20
    loss = keras_plugin.losses.SoftDiceLoss(from_logits=True)
    return [float(loss(y, z)), float(loss(y, ops.cast(z, 'bfloat16')))], {}


def learn_nu(arrays, path):
    """Training RobustTLoss in ``fit``: nu before, after, and in the model saved and loaded; then after more training."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (8, 6, 6, 3)).astype('float32')
    y = (x[..., 0] > 0).astype('int64')
    keras.utils.set_random_seed(0)
    layer = keras_plugin.layers.DegreesOfFreedom(2.0)
    inputs = keras.Input((6, 6, 3))
    model = keras.Model(inputs, layer(keras.layers.Conv2D(2, 1)(inputs)))
    loss = keras_plugin.losses.RobustTLoss(learn_nu=True, layer=layer, from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss=loss)
    nus = [float(ops.convert_to_numpy(ops.exp(layer.log_nu)))]
    history = model.fit(x, y, epochs=3, batch_size=4, verbose=0).history['loss']
    nus.append(float(ops.convert_to_numpy(ops.exp(layer.log_nu))))
    model.save(path)
    again = keras.models.load_model(path)
    own = again.get_layer('degrees_of_freedom')
    nus.append(float(ops.convert_to_numpy(ops.exp(own.log_nu))))
    values = [float(m.evaluate(x, y, verbose=0)) for m in (model, again)]
    again.fit(x, y, epochs=1, verbose=0)
    nus += [float(ops.convert_to_numpy(ops.exp(v.log_nu))) for v in (own, layer)]
    return dict(nus=nus, history=history, values=values, own=again.loss.layer is own), {}


def learnt_nu(arrays, path):
    """nu of a saved model, and whether its loss refers to the model's own layer."""
    model = keras.models.load_model(path)
    layer = model.get_layer('degrees_of_freedom')
    return dict(nu=float(ops.convert_to_numpy(ops.exp(layer.log_nu))), own=model.loss.layer is layer), {}


def wrong_layers(arrays):
    """The messages for a nu that could not be trained."""
    layer, robust = keras_plugin.layers.DegreesOfFreedom(name='alone'), keras_plugin.losses.RobustTLoss
    z, y = data()
    calls = {
        'none': lambda: robust(learn_nu=True),
        'kind': lambda: robust(learn_nu=True, layer=keras.layers.Dense(1)),
        'fixed': lambda: robust(layer=layer),
        'start': lambda: robust(learn_nu=True, nu=3.0, layer=layer),
        'unbuilt': lambda: robust(learn_nu=True, layer=layer, from_logits=True)(y, z),
        'unknown': lambda: robust(learn_nu=True, layer='nobody', from_logits=True)(y, z),
        'nu': lambda: keras_plugin.layers.DegreesOfFreedom(-1),
    }
    return messages(calls), {}


def mixed_precision(arrays, policy, names):
    """Name -> losses of training steps under a mixed policy, each loss with a layer of its own, and the weights.

    One loss is compiled as Keras chooses, several, which would take minutes, are not.
    """
    keras.utils.set_random_seed(0)
    z, y = data_for('JaccardMetricLoss')
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        inputs = keras.Input(z.shape[1:])
        outputs, losses, targets = {}, {}, {}
        for name in names:
            outputs[name] = keras.layers.Conv2D(data_for(name)[0].shape[-1], 1, name=name)(inputs)
            losses[name] = from_logits(name)
            targets[name] = data_for(name)[1] if outputs[name].shape[-1] > 1 else np.minimum(y, 1)
        model = keras.Model(inputs, outputs)
        model.compile(optimizer=keras.optimizers.SGD(0.05), loss=losses, run_eagerly=len(names) > 1)
        history = model.fit(z, targets, epochs=4, verbose=0).history
        scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        weights = {w.path.replace('/', '.'): ops.convert_to_numpy(w) for w in model.trainable_variables}
        return dict(
            losses={name: history.get(f'{name}_loss', history['loss']) for name in names}, scaled=scaled
        ), weights
    finally:
        keras.config.set_dtype_policy(previous)


def foreign_part(arrays):
    """A weighted sum with one of Keras' own losses: its value, the value by hand, and whether it survives a round trip."""
    z, y = data()
    one = np.eye(3, dtype='float32')[y]
    own, other = (
        keras_plugin.losses.SoftDiceLoss(from_logits=True),
        keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    total = keras_plugin.losses.WeightedSumLoss(losses=[own, other], weights=[2.0, 0.5], loss_weight=3.0)
    again = keras.losses.deserialize(keras.losses.serialize(total))
    by_hand = 3 * (2 * float(own(one, z)) + 0.5 * float(other(one, z)))
    return [float(total(one, z)), by_hand, float(again(one, z))], {}


def unnamed_losses(arrays):
    """A weighted sum whose losses come without their name, and the one whose come with it."""
    parts = [from_logits(name) for name in ('WeightedCrossEntropyLoss', 'JaccardMetricLoss')]
    cls, (z, y) = keras_plugin.losses.WeightedSumLoss, data()
    return [
        float(loss(y, z)) for loss in (cls(parts, weights=[0.25, 0.75]), cls(losses=parts, weights=[0.25, 0.75]))
    ], {}


def unknown_sizes(arrays):
    """The loss of a model whose height and width are not known before the call, on two sizes, against the direct call."""
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Activation('linear')(inputs))
    loss = keras_plugin.losses.JaccardMetricLoss(from_logits=True, granularity={'D': 1.0, 'I': 1.0}, ignore_class=0)
    model.compile(loss=loss)
    z, y = data()
    found = [float(model.evaluate(a, b, verbose=0)) for a, b in ((z, y), (z[:, :2], y[:, :2]))]
    return [found, [float(loss(y, z)), float(loss(y[:, :2], z[:, :2]))]], {}


def fit_together(arrays, losses, ignore_index, jit):
    """Values and gradients from one ``fit`` step of one compiled model with an output for each loss.

    losses: name -> ``to_dict``. ``evaluate`` would compile all of them again; tests/parity has it.
    """
    functions = {}
    for name, loss in losses.items():
        given, loss = ignored_by_constructor(arrays, loss, ignore_index)
        functions[name] = build(loss)
    pred, target = to_keras_layout(given)
    inputs = keras.Input(batch_shape=pred.shape, dtype='float32')
    layers = {name: Offset(dtype='float32') for name in losses}
    model = keras.Model(inputs, {name: layer(inputs) for name, layer in layers.items()})
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=functions, jit_compile=jit)
    targets = dict.fromkeys(losses, target)
    history = model.fit(pred, targets, batch_size=len(pred), shuffle=False, epochs=1, verbose=0).history
    gradients = {name: -np.moveaxis(ops.convert_to_numpy(x.offset.value), -1, 1) for name, x in layers.items()}
    return {name: history.get(f'{name}_loss', history['loss'])[0] for name in losses}, gradients


def derivatives(arrays, name, dense, from_logits, second):
    """Gradients of a loss of all classes to prediction and weights, and of their sum of squares (or its refusal)."""
    loss = loss_class(name)(from_logits=from_logits, classes='all', dtype='float64')
    y = arrays['y']
    y = np.eye(arrays['z'].shape[-1])[y] if dense else y
    z, w = (ops.convert_to_tensor(arrays[k], dtype='float64') for k in 'zw')
    if keras.backend.backend() == 'jax':
        import jax

        slope = jax.jit(jax.grad(lambda z, w: loss(y, z, w), argnums=(0, 1)))
        found = [slope(z, w)]
        if second:
            squares = jax.grad(lambda z, w: sum((g**2).sum() for g in slope(z, w)), argnums=(0, 1))
            found.append(jax.jit(squares)(z, w))
    elif keras.backend.backend() == 'tensorflow':
        import tensorflow as tf

        with tf.GradientTape() as outer:
            outer.watch([z, w])
            with tf.GradientTape() as inner:
                inner.watch([z, w])
                value = loss(y, z, w)
            first = inner.gradient(value, [z, w])
            squares = sum(tf.reduce_sum(g**2) for g in first)
        found = [first] + ([outer.gradient(squares, [z, w])] if second else [])
    else:
        import torch

        z, w = (x.detach().requires_grad_(True) for x in (z, w))
        first = torch.autograd.grad(loss(y, z, w), [z, w], create_graph=second)
        found = [first] + ([torch.autograd.grad(sum((g**2).sum() for g in first), [z, w])] if second else [])
        refusal = messages(dict(refusal=lambda: torch.autograd.grad(loss(y, z, w), [z, w], create_graph=True)))
        return refusal, {f'{i}{k}': x.detach().numpy() for i, pair in enumerate(found) for k, x in zip('zw', pair)}
    return {}, {f'{i}{k}': ops.convert_to_numpy(x) for i, pair in enumerate(found) for k, x in zip('zw', pair)}


def temporary_memory(arrays, shape):
    """What XLA reserves on JAX for a step of ``JaccardMetricLoss`` beside its inputs and outputs, in logits."""
    import jax

    loss = keras_plugin.losses.JaccardMetricLoss(from_logits=True, ignore_class=255)
    step = jax.jit(jax.value_and_grad(lambda z, y: loss(y, z)))
    given = jax.ShapeDtypeStruct(shape, 'float32'), jax.ShapeDtypeStruct(shape[:-1], 'int32')
    return step.lower(*given).compile().memory_analysis().temp_size_in_bytes / (4 * math.prod(shape)), {}


def whole_graph(arrays, loss, ignore_index, compiler):
    """Value and gradient by torch.compile, which raises where the graph breaks."""
    import torch

    given, loss = ignored_by_constructor(arrays, loss, ignore_index)
    pred, target = to_keras_layout(given)
    z = ops.convert_to_tensor(pred.astype('float32')).requires_grad_(True)
    value = torch.compile(build(loss), fullgraph=True, backend=compiler)(ops.convert_to_tensor(target), z)
    value.backward()
    return float(value.detach()), {'gradient': np.moveaxis(z.grad.numpy(), -1, 1)}
