"""``Distiller`` in a worker of a backend."""

import logging
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_plugin import losses, soft_labels
from keras_plugin.models import BranchedModel
from shared_spec.recalibration import DirichletRecalibration
from tests.soft_labels.messages import message

SIZE, CLASSES = 12, 3


def data(seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=(4, SIZE, SIZE)).astype(np.int32)
    labels[0, :3] = 255
    weight = rng.uniform(0.2, 2, size=labels.shape).astype('float32')
    weight[1, 4:8] = 0
    return rng.normal(size=(4, SIZE, SIZE, 2)).astype('float32'), labels, weight


def network(seed, shrink=False, classes=CLASSES, several=False, random=False):
    """A student or a teacher; with ``shrink`` its outputs have half the sides."""
    keras.utils.set_random_seed(seed)
    x = keras.Input((SIZE, SIZE, 2))
    h = keras.layers.Conv2D(4, 3, padding='same', activation='relu')(x)
    if random:
        h = keras.layers.Dropout(0.3, seed=5)(keras.layers.BatchNormalization()(h))
    h = keras.layers.AveragePooling2D(2)(h) if shrink else h
    z = keras.layers.Conv2D(classes, 1, name='classify')(h)
    return keras.Model(x, {'main': z, 'aux': keras.layers.Conv2D(classes, 1)(h)} if several else z)


def loss_of(temperature=None):
    common = dict(from_logits=True, ignore_class=255)
    return losses.WeightedSumLoss(
        [losses.WeightedCrossEntropyLoss(**common), losses.JaccardMetricLoss(smooth=1.0, **common)],
        weights=[0.25, 0.75],
    )


def step(arrays, *, compiled=False, pixels=None):
    """One step of SGD with weights: what it logs, the logits before it, and what it added to the student's bias.

    pixels: those of the teacher that are recalibrated, with keys of ``arrays``.
    """
    made = pixels and DirichletRecalibration(arrays['prob'], arrays['labels'], bandwidth=0.2, pixels=pixels)
    x, y, weight = data()
    student, teacher = network(0), network(1, shrink=True)
    found = dict(logits=student.predict(x, verbose=0), teacher=teacher.predict(x, verbose=0), labels=y, weight=weight)
    shares = dict(label_weight=0.3, teacher_weight=0.7)
    model = soft_labels.Distiller(student, teacher, temperature=2.0, recalibration=made, **shares)
    model.compile(keras.optimizers.SGD(1.0), student_loss=loss_of(), jit_compile=compiled)
    bias = student.get_layer('classify').bias
    before = keras.ops.convert_to_numpy(bias)
    tested = model.evaluate(x, y, sample_weight=weight, batch_size=4, verbose=0, return_dict=True)
    logs = model.fit(x, y, sample_weight=weight, batch_size=4, verbose=0).history
    found['change'] = keras.ops.convert_to_numpy(bias) - before
    return [{k: float(np.ravel(v)[0]) for k, v in one.items()} for one in (logs, tested)], found


class Moved(keras.layers.Layer):
    """Adds a variable of the outputs' shape: its gradient is theirs."""

    def build(self, shape):
        self.by = self.add_weight(shape=(3, *shape[1:]), initializer='zeros')
        self.built = True

    def call(self, x):
        return x + self.by

    def compute_output_shape(self, shape):
        return shape


def golden(arrays, *, weights, granularity, temperature):
    """The loss of a published case, and its gradients with respect to the logits of both heads."""
    last = {k: np.moveaxis(v, 1, -1) if v.ndim == 4 else v for k, v in arrays.items()}
    names = ('logits', 'aux_logits', 'teacher_logits', 'aux_teacher_logits')
    x = np.concatenate([last[name] for name in names], axis=-1)
    c = last['logits'].shape[-1]
    before = keras.config.floatx()
    keras.config.set_floatx('float64')
    keras.config.set_dtype_policy('float64')
    try:
        inputs = keras.Input(x.shape[1:])
        parts = [inputs[..., k * c : (k + 1) * c] for k in range(4)]
        moved = [Moved(), Moved()]
        student = keras.Model(inputs, dict(zip(('main', 'aux'), (layer(z) for layer, z in zip(moved, parts)))))
        teacher = keras.Model(inputs, dict(zip(('main', 'aux'), parts[2:])))
        common = dict(from_logits=True, ignore_class=255, dtype='float64')

        def cross_entropy(weight):
            return losses.WeightedCrossEntropyLoss(loss_weight=weight, **common)

        region = losses.JaccardMetricLoss(smooth=1.0, granularity=granularity, loss_weight=weights['regions'], **common)
        model = soft_labels.Distiller(student, teacher, temperature, weights['label'], weights['teacher'])
        model.compile(
            keras.optimizers.SGD(1.0),
            student_loss={
                'main': losses.WeightedSumLoss([cross_entropy(weights['main']), region], dtype='float64'),
                'aux': cross_entropy(weights['aux']),
            },
        )
        loss = float(model.compute_loss(x, last['label'], model(x)))  # logs are float32
        model.fit(x, last['label'], batch_size=3, shuffle=False, verbose=0)
        grads = {
            name: -np.moveaxis(keras.ops.convert_to_numpy(layer.by), -1, 1)
            for name, layer in zip(('grad_logits', 'grad_aux_logits'), moved)
        }
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(before)
    return loss, grads


def frozen(arrays):
    """What training does to a teacher with batch norm, and what of it is in files and lists of the distiller."""
    x, y, _ = data()
    student, teacher = network(0), network(1, random=True)
    before = teacher.get_weights()
    model = soft_labels.Distiller(student, teacher)
    model.compile('sgd', student_loss=loss_of())
    model.fit(x, y, epochs=2, verbose=0)
    known = {id(v) for v in teacher.variables}
    return dict(
        same=all(np.array_equal(a, b) for a, b in zip(before, teacher.get_weights())),
        trained=len(known & {id(v) for v in model.trainable_variables}),
        written=len(known & {id(v) for v in model.weights}),
        read=len(known & {id(v) for v in model.non_trainable_variables}) == len(known),
    ), {}


def ignored(arrays):
    """Losses where pixels that do not count are other ones: by labels, by weights, by soft labels of no class."""
    x, y, weight = data()
    soft = keras.ops.convert_to_numpy(soft_labels.label_smoothing(y, 0.1, num_classes=CLASSES, ignore_class=255))
    other = x.copy()
    other[0, :3] += 5
    blind = np.ones_like(weight)
    blind[0, :3] = 0
    found = {}
    inputs = keras.Input((SIZE, SIZE, 2))
    pixels = [keras.Model(inputs, keras.layers.Conv2D(CLASSES, 1)(inputs)) for _ in range(2)]
    hard, plain = loss_of(), losses.JaccardMetricLoss(from_logits=True)
    for name, labels, weights, loss in (
        ('labels', y, None, hard),
        ('weights', np.where(y == 255, 0, y), blind, plain),
        ('soft', soft, blind, plain),
        ('counted', np.where(y == 255, 0, y), None, plain),
    ):
        model = soft_labels.Distiller(*pixels)
        model.compile('sgd', student_loss=loss)
        found[name] = [
            model.evaluate(images, labels, sample_weight=weights, batch_size=4, verbose=0, return_dict=True)[
                'teacher_loss'
            ]
            for images in (x, other)
        ]
    return found, {}


def saved(arrays, *, path):
    """The predictions of a distiller, which it writes as a plain model."""
    x, y, _ = data()
    model = soft_labels.Distiller(network(0, several=True), network(1, several=True), temperature=2.0)
    model.compile('adam', student_loss={'main': loss_of(), 'aux': loss_of()})
    model.fit(x, y, verbose=0)
    model.save(path)
    return message(keras.saving.save_model, model, path + '.keras'), {'main': model.predict(x, verbose=0)['main']}


def resumed(arrays):
    """Losses and weights of three epochs at once, and of two, a stop and one."""
    x, y, _ = data()

    def made():
        model = soft_labels.Distiller(network(0, random=True), network(1), temperature=2.0)
        model.compile(keras.optimizers.Adam(0.01), student_loss=loss_of())
        return model

    def train(model, epochs, folder=None):
        backup = [keras.callbacks.BackupAndRestore(folder, delete_checkpoint=False)] if folder else None
        return model.fit(x, y, batch_size=2, epochs=epochs, shuffle=False, verbose=0, callbacks=backup).history['loss']

    whole, parts = made(), [made(), made()]
    with tempfile.TemporaryDirectory() as folder:
        found = [train(whole, 3), train(parts[0], 2, folder) + train(parts[1], 3, folder)]
    return found, {
        f'{name}{k}': np.asarray(v)
        for name, model in (('whole', whole), ('parts', parts[1]))
        for k, v in enumerate(model.get_weights())
    }


def terms(arrays):
    """What losses become on the teacher's probabilities, and what is said of those that have no such term."""
    common = dict(from_logits=True, ignore_class=7)
    sum_loss = losses.WeightedSumLoss(
        [losses.WeightedCrossEntropyLoss(loss_weight=0.5, **common), losses.LovaszSoftmaxLoss(**common)], weights=[3, 1]
    )
    given = {
        'sum': sum_loss,
        'region': losses.SoftDiceLoss(**common),
        'keras': keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        'lovasz': losses.LovaszSoftmaxLoss(**common),
    }
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger('keras_plugin.soft_labels.teacher_terms')
    logger.addHandler(handler)
    try:
        found = soft_labels.teacher_terms.teacher_terms('Distiller', given, 4.0)
    finally:
        logger.removeHandler(handler)
    (kl,) = found['sum'].parts
    return dict(
        names=sorted(found), same=found['region'] is given['region'], said=said, weights=list(found['sum'].shares),
        kl=[[type(x).__name__, x.spec.temperature, x.spec.loss_weight, x.spec.from_logits] for x in (kl, found['keras'])],
    ), {}  # fmt: skip


def branched(arrays):
    """The losses of a branched student, which learns of its embedding from the labels alone."""
    x, y, _ = data()
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 2))
    h = keras.layers.Conv2D(4, 3, padding='same')(inputs)
    student = BranchedModel(inputs, dict(logits=keras.layers.Conv2D(CLASSES, 1)(h), embedding=h))
    contrast = losses.PixelContrastLoss(from_logits=True, ignore_class=255, max_views=5, max_samples=40, order='first')
    outputs = student(x)
    want = float(loss_of()(y, outputs['logits'])) + float(
        contrast(y, outputs['logits'], embedding=outputs['embedding'])
    )
    model = soft_labels.Distiller(student, network(1))
    model.compile(keras.optimizers.SGD(0.0), student_loss=losses.WeightedSumLoss([loss_of(), contrast]))
    found = model.fit(x, y, batch_size=4, verbose=0).history
    return dict(want=want, found=float(found['label_loss'][0])), {}


def without_labels(arrays):
    """The teacher's term of an output that has no labels, whose pixels all count, and the same by hand."""
    x, y, _ = data()
    student, teacher = network(0, several=True), network(1, several=True)
    region = losses.JaccardMetricLoss(from_logits=True)
    model = soft_labels.Distiller(student, teacher)
    model.compile('sgd', student_loss={'main': loss_of()}, distillation_loss={'aux': region})
    found = model.evaluate(x, {'main': y}, batch_size=4, verbose=0, return_dict=True)['teacher_loss']
    taught = keras.ops.softmax(teacher.predict(x, verbose=0)['aux'], axis=-1)
    return [float(found), float(region(taught, student.predict(x, verbose=0)['aux']))], {}


def refused(arrays):
    """The sentences of what a distiller refuses."""
    x, y, _ = data()
    Distiller, student, jaccard = soft_labels.Distiller, network(0), loss_of()
    kl = losses.DistillationKLLoss

    def compiled(teacher, loss=jaccard, student=student, **given):
        model = Distiller(student, teacher, 2.0)
        model.compile('sgd', student_loss=loss, run_eagerly=keras.backend.backend() != 'jax', **given)
        model.fit(x, y, verbose=0)

    other = losses.SoftDiceLoss(from_logits=True, ignore_class=7)
    both = losses.WeightedSumLoss([jaccard, other])
    inputs = keras.Input((SIZE, SIZE, 2))
    flat = keras.Model(inputs, keras.layers.Flatten()(inputs))
    several = network(0, several=True)
    unlabelled = Distiller(network(0), network(1))  # JAX leaves no weights where fit fails
    unlabelled.compile('sgd', student_loss=jaccard, run_eagerly=keras.backend.backend() != 'jax')
    return {
        'no_labels': message(unlabelled.fit, x, verbose=0),
        'no_model': message(Distiller, student, 'teacher'),
        'no_weights': message(Distiller, keras.Sequential([keras.layers.Dense(2)]), network(1)),
        'same': message(Distiller, student, student),
        'temperature': message(Distiller, student, network(1), 0),
        'weight': message(Distiller, student, network(1), teacher_weight=-1),
        'loss': message(Distiller(student, network(1)).compile, 'sgd', student_loss=jaccard, loss='mse'),
        'no_loss': message(Distiller(student, network(1)).compile, 'sgd', student_loss='mse'),
        'classes': message(compiled, network(1, classes=5)),
        'axes': message(compiled, flat),
        'outputs': message(compiled, network(1), {'main': jaccard, 'aux': jaccard}, several),
        'by_name': message(compiled, network(1, several=True), jaccard, several),
        'no_names': message(compiled, network(1), {'main': jaccard}),
        'unknown': message(compiled, network(1, several=True), {'edge': jaccard}, several),
        'two_ignored': message(compiled, network(1), both),
        'hard': message(compiled, network(1), losses.LovaszSoftmaxLoss(from_logits=True)),
        'hard_given': message(compiled, network(1), distillation_loss=losses.LovaszSoftmaxLoss(from_logits=True)),
        'temperatures': message(compiled, network(1), distillation_loss=kl(from_logits=True)),
        'twice': message(compiled, network(1), distillation_loss=kl(temperature=2.0, teacher_from_logits=True)),
    }, {}


def half(arrays):
    """The losses of a step in float32 and in mixed precision."""
    found = []
    for policy in ('float32', 'mixed_bfloat16', 'mixed_float16'):
        keras.mixed_precision.set_global_policy(policy)
        try:
            found.append(step(arrays)[0][0]['loss'])
        finally:
            keras.mixed_precision.set_global_policy('float32')
    return found, {}


def weights_file(arrays):
    """Names in the file of weights, without the numbers of Keras."""
    import h5py

    model, names = soft_labels.Distiller(network(0, random=True), network(1, random=True)), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'm.weights.h5'
        model.save_weights(path)
        with h5py.File(path) as file:
            file.visititems(lambda name, x: names.append(name) if isinstance(x, h5py.Dataset) else None)
    return dict(
        number=len(names), of_student=len(model.student.weights), seeds=sum('seed_' in name for name in names)
    ), {}


def recalibrations(arrays):
    """What is said of recalibrations that do not fit."""
    keys, (x, y, _) = DirichletRecalibration(np.eye(3), [0, 1, 2]), data()
    two, doubtful = (
        DirichletRecalibration(np.eye(2), [0, 1]),
        DirichletRecalibration(np.eye(3), [0, 1, 2], pixels='doubtful'),
    )

    def distiller(given, loss=None, **options):
        model = soft_labels.Distiller(network(0), network(1), recalibration=given)
        model.compile('sgd', student_loss=loss or loss_of(), run_eagerly=True)
        return model.evaluate(x, y, verbose=0)

    def no_probabilities():
        model = soft_labels.Distiller(network(0), network(1), teacher_from_logits=False, recalibration=keys)
        model.compile('sgd', student_loss=loss_of(), run_eagerly=True)
        return model.evaluate(x, y, verbose=0)

    sigmoid = losses.WeightedCrossEntropyLoss(activation='sigmoid', from_logits=True, ignore_class=255)
    several = soft_labels.Distiller(
        network(0, several=True), network(1, several=True), recalibration={'main': doubtful}
    )
    both = losses.WeightedCrossEntropyLoss(from_logits=True, ignore_class=255)
    several.compile('sgd', student_loss={'main': both, 'aux': both})
    return {
        'kind': message(distiller, 3),
        'classes': message(distiller, two),
        'output': message(distiller, {'mian': keys}),
        'sigmoid': message(distiller, keys, sigmoid),
        'logits': message(no_probabilities),
        'several': message(
            soft_labels.Distiller, network(0, several=True), network(1, several=True), recalibration=keys
        ),
        'trains': float(several.fit(x, y, verbose=0).history['loss'][0]),
    }, {}
