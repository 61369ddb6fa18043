"""What the tests of tf.distribute ask of their worker, which has two virtual CPUs."""

import functools

import keras
import numpy as np
import tensorflow as tf

import keras_plugin
from tests.distributed.cases import IGNORED, cases, shares
from tests.distributed.keras_loss import Model, batch
from tests.distributed.tensorflow_ports import free_port


def split_cpu(arrays):
    """Two virtual CPUs; must come before TensorFlow starts its devices."""
    device = tf.config.list_physical_devices('CPU')[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
    return True, {}


@functools.cache
def mirrored():
    """One for the process: the collectives of a second one would meet those of the first."""
    return tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])


def step(model, arrays):
    with tf.GradientTape() as tape:
        value = model(*arrays)
    return value, tape.gradient(value, [v.value for v in model.variables])


def train(arrays, names):
    """Value and gradients of each case on one device and on two replicas, which share the batch unevenly."""
    found, strategy, every = {}, mirrored(), cases()
    for name in names:
        case = every[name]
        whole = batch(case, 2)
        value, gradients = step(Model(case), whole)
        found[f'{name}/one'] = np.concatenate([[value], *(g.numpy().ravel() for g in gradients)])
        with strategy.scope():
            model = Model(case)

        def of_replica(context, case=case, whole=whole):
            own = shares(case.batch, 2)[context.replica_id_in_sync_group]
            return tuple(tf.constant(a[own]) for a in whole if a is not None)

        values, gradients = strategy.run(
            lambda *a, model=model: step(model, a), strategy.experimental_distribute_values_from_function(of_replica)
        )
        total = [strategy.reduce('sum', a, axis=None).numpy().ravel() for a in (values, *gradients)]
        found[f'{name}/two'] = np.concatenate(total)
    return True, found


def reductions(arrays):
    """Sums and maps of cross-entropy on one device, and those of two replicas put together."""
    x, y, _ = batch(cases()['WeightedCrossEntropy-uneven'], 2)
    found, strategy = {}, mirrored()
    for reduction, sync in (('sum', True), ('sum', False), ('none', True), ('none', False)):
        loss = keras_plugin.losses.WeightedCrossEntropyLoss(
            from_logits=True, ignore_class=IGNORED, class_weight='inverse_frequency' if sync else None,
            reduction=reduction, sync=sync, dtype='float64',
        )  # fmt: skip

        def of_replica(context):
            own = shares('uneven', 2)[context.replica_id_in_sync_group]
            return tf.constant(x[own]), tf.constant(y[own])

        per_replica = strategy.run(
            lambda z, y, loss=loss: loss(y, z), strategy.experimental_distribute_values_from_function(of_replica)
        )
        values = [v.numpy() for v in strategy.experimental_local_results(per_replica)]
        key = f'{reduction} {sync}'
        found[f'{key}/one'] = loss(y, x).numpy()
        found[f'{key}/two'] = np.concatenate(values) if reduction == 'none' else np.sum(values)
    return True, found


def batch_norm(arrays, synchronized):
    """BatchNormalization of x (4, ...) in training, on one device and on two replicas with two images each."""
    x, strategy = arrays['x'], mirrored()
    arguments = dict(epsilon=1e-5, synchronized=synchronized)
    found = dict(one=keras.layers.BatchNormalization(epsilon=1e-5)(x, training=True).numpy())
    with strategy.scope():
        layer = keras.layers.BatchNormalization(**arguments)
        layer.build(x.shape)
    halves = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(np.split(x, 2)[context.replica_id_in_sync_group])
    )
    normalised = strategy.run(tf.function(lambda half: layer(half, training=True)), (halves,))
    found['two'] = np.concatenate([part.numpy() for part in strategy.experimental_local_results(normalised)])
    return True, found


def fit(arrays, replicas, jit_compile=False):
    """The logged loss and the weights after an epoch whose last batch is a single image; or the error, as text."""
    rng = np.random.default_rng(1)
    z, y = rng.normal(0, 1, (5, 4, 5, 3)).astype('float32'), rng.integers(0, 3, (5, 4, 5))
    y[0, :2], y[2:4] = IGNORED, IGNORED  # the second replica's share of the first batch has nothing valid
    both = dict(from_logits=True, ignore_class=IGNORED)
    losses = keras_plugin.losses
    parts = [
        losses.WeightedCrossEntropyLoss(class_weight=[1.0, 2.0, 3.0], **both),
        losses.JaccardMetricLoss(granularity={'D': 0.4, 'I': 0.3, 'C': 0.3}, **both),
        losses.LovaszSoftmaxLoss(**both),
    ]
    strategy = mirrored() if replicas == 2 else tf.distribute.get_strategy()
    with strategy.scope():
        keras.utils.set_random_seed(0)
        # no Conv2D: oneDNN's fails on the replica that gets no image, see docs/distributed.md
        model = keras.Sequential([keras.Input((4, 5, 3)), keras.layers.Dense(3)])
        model.compile(
            optimizer=keras.optimizers.SGD(1.0),
            loss=losses.WeightedSumLoss(losses=parts, weights=[1.0, 0.9, 0.8]),
            jit_compile=jit_compile,
        )
    try:
        history = model.fit(z, y, batch_size=4, shuffle=False, verbose=0).history
    except ValueError as error:
        return str(error), {}
    return history['loss'][0], dict(kernel=model.get_weights()[0])


def parameter_server(arrays, sync):
    """The loss that a worker of a ParameterServerStrategy returns, or the error, as text."""
    cluster = tf.train.ClusterSpec({job: [f'localhost:{free_port()}'] for job in ('worker', 'ps')})
    servers = [tf.distribute.Server(cluster, job_name=job, task_index=0) for job in ('worker', 'ps')]
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(cluster, rpc_layer='grpc')
    strategy = tf.distribute.ParameterServerStrategy(resolver)
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    loss = keras_plugin.losses.SoftDiceLoss(from_logits=True, sync=sync)
    z, y = tf.zeros((1, 2, 2, 3)), tf.zeros((1, 2, 2), 'int32')
    step_of_worker = tf.function(lambda: strategy.run(lambda: loss(y, z)))
    try:
        return float(coordinator.schedule(step_of_worker).fetch()), {'servers': np.array(len(servers))}
    except ValueError as error:
        return str(error), {}


def fit_with_bank(arrays, replicas):
    """The losses of three epochs of a branched model whose bank fills, and its weights, with what the bank holds."""
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (4, 6, 6, 3)).astype('float32')
    y = np.repeat(np.repeat(rng.integers(0, 3, (4, 2, 2)), 3, 1), 3, 2)
    strategy = mirrored() if replicas == 2 else tf.distribute.get_strategy()
    with strategy.scope():
        keras.utils.set_random_seed(0)
        images = keras.Input((6, 6, 3))
        features = keras.layers.Dense(4)(images)
        unit = keras.layers.UnitNormalization()(features)
        outputs = dict(
            logits=keras.layers.Dense(3)(features), embedding=keras_plugin.layers.EmbeddingBank(3, 4, 3)(unit)
        )
        model = keras_plugin.models.BranchedModel(images, outputs)
        both = dict(from_logits=True, ignore_class=IGNORED)
        contrast = keras_plugin.losses.PixelContrastLoss(
            max_views=4, max_samples=40, order='first', memory_size=3, temperature=1.0, **both
        )
        cross_entropy = keras_plugin.losses.WeightedCrossEntropyLoss(**both)
        model.compile(
            optimizer=keras.optimizers.SGD(0.1),
            loss=keras_plugin.losses.WeightedSumLoss(losses=[cross_entropy, contrast], weights=[1.0, 0.5]),
            jit_compile=False,
        )
    history = model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0).history
    found = {weight.path.split('/')[-1] + str(k): weight.numpy() for k, weight in enumerate(model.weights)}
    return history['loss'], found


def from_teachers(arrays):
    """Weights that a Distiller and a MeanTeacher have after two epochs, on one device and on two replicas."""
    rng = np.random.default_rng(0)
    x, others = (rng.normal(size=(8, 6, 6, 2)).astype('float32') for _ in range(2))
    y = rng.integers(3, size=(8, 6, 6))
    y[:3, :4] = IGNORED
    loss = keras_plugin.losses.JaccardMetricLoss(from_logits=True, ignore_class=IGNORED)
    labelled, unlabelled = (tf.data.Dataset.from_tensor_slices(part).batch(4) for part in ((x, y), others))

    def network(seed):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((6, 6, 2))
        return keras.Model(inputs, keras.layers.Conv2D(3, 3, padding='same')(inputs))

    def distiller():
        return keras_plugin.soft_labels.Distiller(network(0), network(1), temperature=2.0), labelled

    def mean_teacher():
        model = keras_plugin.soft_labels.MeanTeacher(network(0), momentum=0.9, ramp_up_steps=2)
        return model, keras_plugin.soft_labels.semi_supervised(labelled, unlabelled)

    def trained(make):
        model, data = make()
        model.compile(keras.optimizers.SGD(0.5), student_loss=loss)
        logs = model.fit(data, epochs=2, shuffle=False, verbose=0).history
        return np.concatenate([*(np.ravel(w) for w in model.get_weights()), *logs.values()])

    found = {}
    for make in (distiller, mean_teacher):
        found[f'{make.__name__}/one'] = trained(make)
        with mirrored().scope():
            found[f'{make.__name__}/two'] = trained(make)
    return True, found
