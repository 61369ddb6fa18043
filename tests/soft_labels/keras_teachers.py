"""What Distiller and MeanTeacher do alike, in a worker of a backend."""

import keras
import numpy as np

from keras_plugin import losses, metrics, soft_labels
from tests.soft_labels.keras_distiller import CLASSES, SIZE, data, loss_of, network
from tests.soft_labels.keras_mean_teacher import Batches, darker, pairs
from tests.soft_labels.messages import message

Distiller, MeanTeacher = soft_labels.Distiller, soft_labels.MeanTeacher
EAGER = dict(run_eagerly=keras.backend.backend() != 'jax')


def with_softmax(model):
    return keras.Model(model.inputs, keras.layers.Activation('softmax')(model.outputs[0]))


def taught(student, teacher, loss, y=None, compiled=False, temperature=2.0, **given):
    """The loss on the teacher that ``evaluate`` reports."""
    x, labels, _ = data()
    model = Distiller(student, teacher, temperature, **given.pop('options', {}))
    model.compile('sgd', student_loss=loss, **given, **({} if compiled else EAGER))
    tested = model.evaluate(x, labels if y is None else y, batch_size=4, verbose=0, return_dict=True)
    return float(tested['teacher_loss'])


def consistent(student, loss, unlabelled=None, **given):
    """Both losses of a step of a mean teacher that learns nothing, and the loss on the labels that its student has."""
    options = dict(strong=darker, ramp_up_steps=0, answers='student') | given.pop('options', {})
    model = MeanTeacher(student, **options)
    model.compile(keras.optimizers.SGD(0.0), student_loss=loss, **given, **EAGER)
    both, y = pairs()[0]
    both = both if unlabelled is None else dict(both, unlabelled=unlabelled)
    logs = model.train_on_batch(both, y, return_dict=True)
    tested = model.test_on_batch(both['labelled'], y, return_dict=True)
    return [float(logs['consistency_loss']), float(logs['label_loss']), float(tested['label_loss'])]


def jaccard(**given):
    return losses.JaccardMetricLoss(**{'from_logits': True, **given})


def plain():
    """A network of one layer."""
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((SIZE, SIZE, 2)), keras.layers.Conv2D(CLASSES, 3, padding='same')])


def probabilities(arrays):
    """A mean teacher of logits and of the probabilities of the same network, by the losses of its own choice."""
    both = network(0, several=True)
    main = keras.Model(both.inputs, both.outputs[0])
    given = {name: losses.WeightedSumLoss([losses.WeightedCrossEntropyLoss(from_logits=True), jaccard(smooth=1.0)], weights=[0.25, 0.75]) for name in ('main', 'aux')}  # fmt: skip
    by_name = {name: jaccard() for name in given}
    sigmoid = losses.WeightedCrossEntropyLoss(from_logits=True, activation='sigmoid')
    own = dict(from_logits=True, activation='sigmoid')
    of_sigmoid = losses.WeightedSumLoss(
        [losses.WeightedCrossEntropyLoss(**own), jaccard(smooth=1.0, **own)], weights=[0.25, 0.75]
    )
    return dict(
        probabilities=[
            consistent(main, jaccard()),
            consistent(with_softmax(main), jaccard(from_logits=False), options=dict(teacher_from_logits=False)),
        ],
        outputs=[consistent(both, by_name), consistent(both, by_name, consistency_loss=given)],
        sigmoid=[consistent(main, sigmoid), consistent(main, sigmoid, consistency_loss=of_sigmoid)],
    ), {}


def of_keras_losses(arrays):
    """Terms of Keras' own losses on a teacher: binary cross-entropy with what it is by hand; a mean, and a sum."""
    student, teacher = network(0), network(1)
    x, y, _ = data()
    y = np.where(y == 255, 0, y)
    binary = keras.losses.BinaryCrossentropy(from_logits=True)
    several = (np.arange(CLASSES) <= y[..., None]).astype('float32')
    found = taught(student, teacher, binary, several, temperature=1.0, distillation_loss=binary)
    sparse = [
        taught(student, teacher, keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction), y)
        for reduction in ('sum_over_batch_size', 'sum')
    ]
    logits = {name: model.predict(x, verbose=0) for name, model in (('student', student), ('teacher', teacher))}
    return dict(binary=found, sparse=sparse), logits


def no_numbers(arrays):
    """Losses where a teacher says NaN: of a pixel that counts, and of one that does not; then of a step, and its weights."""
    x, y, _ = data()
    y = np.where(y == 255, 0, y)
    inputs = keras.Input((SIZE, SIZE, 2))
    student, teacher = (keras.Model(inputs, keras.layers.Conv2D(CLASSES, 1)(inputs[..., k:][..., :1])) for k in (0, 1))
    x[0, 5, 5, 1] = np.nan  # seen by the teacher alone
    ignored = y.copy()
    ignored[0, 5, 5] = 255
    model = Distiller(student, teacher)
    model.compile('sgd', student_loss=loss_of())
    found = [
        float(model.evaluate(x, labels, batch_size=4, verbose=0, return_dict=True)['teacher_loss'])
        for labels in (y, ignored)
    ]
    logs = model.train_on_batch(x, y, return_dict=True)
    steps = [float(logs['teacher_loss']), bool(np.isnan(student.get_weights()[0]).all())]
    images = np.full((2, SIZE, SIZE, 2), np.nan, 'float32')
    return dict(found=found, step=steps, mean_teacher=consistent(plain(), jaccard(), images)[0]), {}


def other_kinds_of_images(arrays):
    """Losses of a mean teacher whose unlabelled images are integers: of a step, and on the labels by themselves."""
    images = np.random.default_rng(0).integers(3, size=(2, SIZE, SIZE, 2)).astype('uint8')
    return consistent(plain(), jaccard(), images, options=dict(strong=None)), {}


def with_a_function(arrays):
    """The predictions of a mean teacher and its student, which have a layer of a function that refers to a name."""
    inputs, inner = keras.Input((SIZE, SIZE, 2)), keras.Input((SIZE, SIZE, 2))
    factor = np.float32(2)
    doubled = keras.Model(inner, keras.layers.Lambda(lambda x: factor * keras.ops.abs(x))(inner))
    h = keras.layers.Lambda(lambda x: factor * keras.ops.abs(x))(doubled(inputs))
    model = MeanTeacher(keras.Model(inputs, keras.layers.Conv2D(CLASSES, 1)(h)))
    x, _, _ = data()
    return True, {name: getattr(model, name).predict(x, verbose=0) for name in ('student', 'teacher')}


def without_a_compiler(arrays):
    """Whether Keras would compile, by itself, a step whose teacher has a layer that no compiler takes, or has none."""

    class Uncompiled(keras.layers.Layer):
        def __init__(self, **given):
            super().__init__(**given)
            self.supports_jit = False

        def call(self, x):
            return x

    inputs = keras.Input((SIZE, SIZE, 2))
    teacher = keras.Model(inputs, keras.layers.Conv2D(CLASSES, 1)(Uncompiled()(inputs)))
    return [Distiller(network(0), one).supports_jit for one in (teacher, network(1))], {}


def after_a_failure(arrays):
    """What a fit says that fails, and whether student and teacher are as before, and can be trained."""
    x, y, _ = data()
    student, teacher = network(0), network(1)
    before = [*student.get_weights(), *teacher.get_weights()]

    def fit(labels):
        model = Distiller(student, teacher)
        model.compile('sgd', student_loss=loss_of())
        model.fit(x, labels, verbose=0)

    said = message(fit, y[:, :5])
    same = all(np.array_equal(a, b) for a, b in zip(before, [*student.get_weights(), *teacher.get_weights()]))
    return [said, same, message(fit, y)], {}


def unseen(arrays):
    """The loss on a teacher whose logits are taken for probabilities, and whose values a compiled step does not see."""
    positive = network(1)
    positive = keras.Model(positive.inputs, 1.5 + keras.ops.abs(positive.outputs[0]))
    return taught(network(0), positive, loss_of(), compiled=True, options=dict(teacher_from_logits=False)), {}


def refused(arrays):
    """The sentences of what both refuse."""
    both = losses.WeightedSumLoss([jaccard(ignore_class=255), jaccard(activation='sigmoid', ignore_class=255)])
    last = keras.Sequential([keras.Input((SIZE, SIZE, 2)), keras.layers.Conv2D(CLASSES, 1, activation='softmax')])
    a, b = keras.Input((SIZE, SIZE, 2)), keras.Input((SIZE, SIZE, 2))
    of_two = keras.Model([a, b], keras.layers.Conv2D(CLASSES, 1)(a + b))
    several = network(0, several=True)
    by_name = {'main': jaccard(), 'aux': jaccard()}
    maps = jaccard(reduction='none', granularity='I')

    class Two(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            images, labels = Batches(1, True)[0]
            return (images, images), labels

    def learn(student, batches, **options):
        model = MeanTeacher(student, **options)
        model.compile('sgd', student_loss=jaccard(), **EAGER)
        model.fit(batches, verbose=0)

    crop = keras.layers.CenterCrop(4, 4)
    return {
        'logits': message(taught, network(0), with_softmax(network(1)), loss_of()),
        'logits_of_sequential': message(taught, network(0), last, loss_of()),
        'logits_of_student': message(consistent, with_softmax(network(0)), jaccard(from_logits=False)),
        'activation': message(taught, network(0), network(1), both),
        'maps': message(taught, network(0), network(1), maps),
        'maps_of_keras': message(
            taught, network(0), network(1), keras.losses.SparseCategoricalCrossentropy(reduction=None)
        ),
        'consistency': message(consistent, network(0), jaccard(), consistency_loss=maps),
        'metrics': message(
            taught, several, network(1, several=True), by_name, metrics=[metrics.MeanIoU(CLASSES, from_logits=True)]
        ),
        'two_inputs': message(learn, of_two, soft_labels.semi_supervised(Two(), Two())),
        'weak': message(learn, plain(), pairs(), weak=crop),
        'strong': message(learn, plain(), pairs(), strong=crop),
    } | (
        {}
        if keras.backend.backend() == 'jax'
        else {
            'probabilities': message(taught, network(0), network(1), loss_of(), options=dict(teacher_from_logits=False))
        }
    ), {}
