"""``MeanTeacher`` and ``semi_supervised`` in a worker of a backend."""

import tempfile

import keras
import numpy as np

from keras_plugin import losses, metrics, soft_labels
from tests.soft_labels.messages import message

SIZE, CLASSES = 12, 3


class Batches(keras.utils.PyDataset):
    """The same ``number`` batches in every epoch; of images alone unless ``labelled``."""

    def __init__(self, number, labelled, size=SIZE):
        super().__init__()
        self.number, self.labelled, self.size = number, labelled, size

    def __len__(self):
        return self.number

    def __getitem__(self, index):
        rng = np.random.default_rng([index, self.labelled])
        images = rng.normal(size=(3 - self.labelled, self.size, self.size, 2)).astype('float32')
        labels = rng.integers(CLASSES, size=images.shape[:3])
        return (images, labels) if self.labelled else images


def pairs(labelled=1, unlabelled=1):
    return soft_labels.semi_supervised(Batches(labelled, True), Batches(unlabelled, False))


def network(random=True):
    keras.utils.set_random_seed(3)
    x = keras.Input((SIZE, SIZE, 2))
    h = keras.layers.Conv2D(4, 3, padding='same', activation='relu')(x)
    h = keras.layers.BatchNormalization()(h)
    h = keras.layers.Dropout(0.3, seed=5)(h) if random else h
    return keras.Model(x, keras.layers.Conv2D(CLASSES, 1)(h))


def jaccard():
    return losses.JaccardMetricLoss(from_logits=True, smooth=1.0)


def mirrored(images):
    return keras.ops.flip(images, axis=2)


def darker(images):
    return 0.5 * images


def consistency(arrays, *, compiled=False):
    """Logs of epochs of one batch in which nothing moves, and what the losses are of: labels, logits, the teacher's.

    The teacher is another network; without moving statistics all outputs can be asked for afterwards.
    """
    keras.utils.set_random_seed(0)
    x = keras.Input((SIZE, SIZE, 2))
    student = keras.Model(x, keras.layers.Conv2D(CLASSES, 3, padding='same')(x))
    model = soft_labels.MeanTeacher(
        student, weak=mirrored, strong=darker, temperature=0.5, consistency_weight=2.0, ramp_up_steps=4,
        confidence_threshold=0.6,
    )  # fmt: skip
    rng = np.random.default_rng(9)
    model.teacher.set_weights([rng.normal(size=w.shape) * 0.3 for w in model.teacher.get_weights()])
    frozen = soft_labels.MeanTeacher.follow
    data = pairs()
    both, y = data[0]
    images, others = both['labelled'], both['unlabelled']
    found = dict(
        y=y,
        logits=student.predict(images, verbose=0),
        other=student.predict(0.5 * others[:, :, ::-1], verbose=0),
        taught=model.teacher.predict(others[:, :, ::-1], verbose=0),
    )
    soft_labels.MeanTeacher.follow = lambda self: self.step.assign(self.step + 1)
    try:
        model.compile(keras.optimizers.SGD(0.0), student_loss=jaccard(), jit_compile=compiled)
        logs = model.fit(data, epochs=6, verbose=0).history
    finally:
        soft_labels.MeanTeacher.follow = frozen
    return logs, found


class Kept(keras.callbacks.Callback):
    """The weights at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.student.get_weights())


def followed(arrays):
    """The student's weights before and after each of some steps, and the teacher's in the end."""
    model, kept = soft_labels.MeanTeacher(network(random=False), momentum=0.6, ramp_up_steps=0), Kept()
    model.compile(keras.optimizers.SGD(0.5), student_loss=jaccard())
    first = model.student.get_weights()
    model.fit(pairs(), epochs=4, verbose=0, callbacks=[kept])
    found = {f'{step}/{k}': w for step, all_ in enumerate([first, *kept.weights]) for k, w in enumerate(all_)}
    found |= {f'teacher/{k}': w for k, w in enumerate(model.teacher.get_weights())}
    trained = {id(v) for v in model.trainable_variables} == {id(v) for v in model.student.trainable_variables}
    return [len(first), trained, int(model.step)], found


def made(**given):
    model = soft_labels.MeanTeacher(
        network(), 0.9, weak=keras.layers.RandomFlip(seed=1), strong=keras.layers.GaussianNoise(0.1, seed=2),
        ramp_up_steps=4, **given,
    )  # fmt: skip
    measured = [metrics.MeanIoU(CLASSES, from_logits=True)]
    model.compile(keras.optimizers.Adam(0.01), student_loss=jaccard(), metrics=measured)
    return model


def resumed(arrays):
    """Losses and weights of three epochs at once, and of two, a stop and one."""

    def train(model, epochs, folder=None):
        backup = [keras.callbacks.BackupAndRestore(folder, delete_checkpoint=False)] if folder else None
        return model.fit(pairs(1, 2), epochs=epochs, shuffle=False, verbose=0, callbacks=backup).history['loss']

    whole, parts = made(), [made(), made()]
    with tempfile.TemporaryDirectory() as folder:
        found = [train(whole, 3), train(parts[0], 2, folder) + train(parts[1], 3, folder)]
    return found, {
        f'{name}{k}': np.asarray(v)
        for name, model in (('whole', whole), ('parts', parts[1]))
        for k, v in enumerate(model.get_weights())
    }


def answers(arrays, *, path=None):
    """Who answers: predictions of a model, of its student and teacher, and of the file that it writes; names of logs."""
    images, labels = Batches(1, True)[0]
    found, names = {}, {}
    for who in ('teacher', 'student'):
        model = made(answers=who)
        logs = model.fit(pairs(2, 1), epochs=2, verbose=0).history
        tested = model.evaluate(images, labels, verbose=0, return_dict=True)
        names[who] = [sorted(logs), sorted(tested)]
        with tempfile.TemporaryDirectory() as folder:
            file = path if path and who == 'teacher' else f'{folder}/m.keras'
            model.save(file)
            plain = keras.saving.load_model(file)
        assert type(plain) is type(model.student)
        assert len(plain.trainable_variables) == len(model.student.trainable_variables)
        for name, one in (('model', model), ('student', model.student), ('teacher', model.teacher), ('file', plain)):
            found[f'{who}/{name}'] = one.predict(images, verbose=0)
        found[f'{who}/loss'] = np.array([tested['loss'], float(jaccard()(labels, found[f'{who}/model']))])
    return names, found


def together(arrays):
    """Indices of the batches of an epoch, and how long epochs of tf.data are."""

    class Numbers(keras.utils.PyDataset):
        def __init__(self, number, weights=None):
            super().__init__()
            self.number, self.weights = number, weights

        def __len__(self):
            return self.number

        def __getitem__(self, index):
            return (index, -index, self.weights) if self.weights else (index, -index)

    found = {}
    for name, (a, b) in dict(more=(2, 3), fewer=(3, 2)).items():
        data = soft_labels.semi_supervised(Numbers(a), Numbers(b))
        found[name] = [[x['labelled'], x['unlabelled'], y] for x, y in (data[k] for k in range(len(data)))]
    (_, _, weight) = soft_labels.semi_supervised(Numbers(2, weights=5), Numbers(2))[0]
    found['weight'] = weight
    return found, {}


def pipelines(arrays):
    """Epochs of two tf.data pipelines, and the sentence for one of which nobody knows the length."""
    import tensorflow as tf

    def numbers(n):
        return tf.data.Dataset.range(n)

    def labelled(n):
        return numbers(n).map(lambda k: (k, -k))

    def taken(a, b, n=None):
        data = soft_labels.semi_supervised(a, b)
        return [[int(x['labelled']), int(x['unlabelled']), int(y)] for x, y in (data.take(n) if n else data)]

    return dict(
        more=taken(labelled(2), numbers(3)),
        fewer=taken(labelled(3), numbers(2)),
        endless=taken(labelled(2), numbers(2).repeat(), 3),
        unknown=message(soft_labels.semi_supervised, labelled(4).filter(lambda k, y: k > 1), numbers(3)),
    ), {}


def refused(arrays):
    """The sentences of what a mean teacher and its data refuse."""
    MeanTeacher, student = soft_labels.MeanTeacher, network()
    images, labels = Batches(1, True)[0]

    def fit(*data, **given):
        model = MeanTeacher(network(), **given)  # JAX leaves no weights where fit fails
        model.compile('sgd', student_loss=jaccard(), run_eagerly=keras.backend.backend() != 'jax')
        model.fit(*data, verbose=0)

    def to_file(model):
        with tempfile.TemporaryDirectory() as folder:  # Keras opens the file before it asks the model
            keras.saving.save_model(model, f'{folder}/m.keras')

    kl = losses.DistillationKLLoss(from_logits=True, temperature=3.0)
    other = soft_labels.semi_supervised(Batches(1, True), Batches(1, False, 10))
    return {
        'momentum': message(MeanTeacher, student, 1.0),
        'threshold': message(MeanTeacher, student, confidence_threshold=2),
        'steps': message(MeanTeacher, student, ramp_up_steps=0.5),
        'answers': message(MeanTeacher, student, answers='both'),
        'view': message(MeanTeacher, student, weak='flip'),
        'plain': message(fit, images, labels),
        'sizes': message(fit, other),
        'temperature': message(MeanTeacher(student).compile, student_loss=jaccard(), consistency_loss=kl),
        'loss': message(MeanTeacher(student).compile, student_loss=jaccard(), loss_weights=[1]),
        'data': message(soft_labels.semi_supervised, images, images),
        'batch': message(soft_labels.semi_supervised(Batches(1, False), Batches(1, False)).__getitem__, 0),
        'empty': message(soft_labels.semi_supervised, Batches(0, True), Batches(1, False)),
        'file': message(to_file, MeanTeacher(student)),
    }, {}


def one_channel(arrays):
    """The consistency of a network of one channel, whose teacher is sure of some pixels, and the same by hand."""
    keras.utils.set_random_seed(0)
    x = keras.Input((SIZE, SIZE, 2))
    student = keras.Model(x, keras.layers.Conv2D(1, 3, padding='same')(x))
    model = soft_labels.MeanTeacher(student, strong=darker, ramp_up_steps=0, confidence_threshold=0.6)
    region = losses.JaccardMetricLoss(from_logits=True)
    model.compile(keras.optimizers.SGD(0.0), student_loss=region, consistency_loss=region)
    both, y = pairs()[0]
    logs = model.train_on_batch(both, (y > 0) * 1, return_dict=True)
    taught, z = (student.predict(share * both['unlabelled'], verbose=0) for share in (1, 0.5))
    p = 1 / (1 + np.exp(-taught))
    sure = np.maximum(p, 1 - p)[..., 0] >= 0.6
    assert 0 < sure.mean() < 1
    return [float(logs['consistency_loss']), float(region(p, z, sure))], {}
