"""CheckMetrics: what makes a loss NaN or a metric wrong is named, before the training where it can be; see ``keras_worker.py``."""

import functools
import os
import tempfile

import keras
import numpy as np
from keras import ops

from keras_plugin import metrics as km
from keras_plugin.metrics.wrong_pixels import can_look
from tests.metrics.keras_host_cases import Sequence
from tests.metrics.keras_run import BACKEND, refuses

GIVEN = dict(ignore_class=255, from_logits=True)


class Strict(keras.losses.Loss):
    """Cross-entropy that refuses labels above 3 where it sees them and is NaN where it does not, as our losses are."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        y_true = ops.convert_to_tensor(y_true)
        wrong = ops.any(y_true > 3)
        if can_look(wrong) and bool(wrong):
            raise ValueError('Strict: labels must be below 4')
        picked = ops.cast(y_true[..., None] == ops.arange(4, dtype=y_true.dtype), 'float32')
        loss = -ops.mean(ops.sum(picked * ops.log_softmax(y_pred), axis=-1))
        return ops.where(wrong, float('nan'), loss)


def quiet(y_true, y_pred):
    """A loss that sees no labels."""
    return ops.mean(ops.square(y_pred), axis=-1)


def convolution(*names):
    inputs = keras.Input((6, 5, 3))
    return keras.Model(inputs, {name: keras.layers.Conv2D(4, 1, name=name)(inputs) for name in names})


@functools.cache
def model():
    """A compiled model whose metrics and loss see the labels, and whose weighted metric sees the weights."""
    inputs = keras.Input((6, 5, 3))
    made = keras.Model(inputs, keras.layers.Conv2D(4, 1)(inputs))
    made.compile(
        optimizer='sgd',
        loss=quiet,
        metrics=['accuracy', km.MeanIoU(4, from_logits=True)],
        weighted_metrics=[km.PixelAccuracy(4, **GIVEN)],
        jit_compile=BACKEND != 'torch',
    )
    made.start = made.get_weights()
    return made


def data():
    rng = np.random.default_rng(4)
    x, y = rng.random((8, 6, 5, 3)).astype('float32'), rng.integers(0, 4, (8, 6, 5))
    return x, y, np.ones(y.shape, 'float32')


def put(x, value):
    x = x.copy()
    x[0, 0, 0] = value
    return x


def fit(x, y, w, *callbacks):
    model().set_weights(model().start)
    model().fit(x, y, sample_weight=w, batch_size=4, shuffle=False, verbose=0, callbacks=list(callbacks))


def case_check_metrics_names_what_is_wrong():
    x, y, w = data()
    cases = [
        (
            (x, put(y, 255), w),
            'MeanIoU: labels must be class ids from 0 to 3, got others in 1 pixel (1 of 255: give ig',
        ),
        ((x, y + 1, w), ' of 4: labels start at 0, so subtract 1 from labels 1 to 4'),
        ((x, y, put(w, np.nan)), 'PixelAccuracy: weights must be finite and >= 0, got others in 1 pixel'),
        ((put(x, np.nan), y, w), None),
    ]
    fit(x, y, w, km.CheckMetrics(data=(x, y, w)), km.CheckMetrics())
    for batch, sentence in cases:
        refuses(
            ValueError,
            sentence or 'predictions must be numbers, got NaN or infinity in',
            fit,
            *batch,
            km.CheckMetrics(),
        )
        wanted = sentence or '4 predictions are NaN or infinite, for 3 numbers of the pictures are'
        refuses(ValueError, 'CheckMetrics: batch 0 of data: ', fit, *batch, km.CheckMetrics(data=batch))
        refuses(ValueError, wanted, fit, *batch, km.CheckMetrics(data=batch))
        model().set_weights(model().start)
        check = km.CheckMetrics(data=batch)
        evaluate = functools.partial(model().evaluate, verbose=0, batch_size=4)
        refuses(ValueError, wanted, evaluate, x, y, sample_weight=w, callbacks=[check])
    model().reset_metrics()
    refuses(
        ValueError,
        'MeanIoU: labels must be',
        fit,
        x,
        y,
        w,
        km.CheckMetrics(data=(x[::-1], put(y, 255)[::-1], w), batches=2, batch_size=4),
    )
    fit(x, y, w, km.CheckMetrics(data=(x[::-1], put(y, 255)[::-1], w), batches=1, batch_size=4))


def case_check_metrics_leaves_no_trace():
    x, y, w = data()
    model().set_weights(model().start)
    model().evaluate(x, y, sample_weight=w, batch_size=4, verbose=0)
    variables = [*model().variables, *model().metrics_variables, *model().optimizer.variables]
    before = [np.array(ops.convert_to_numpy(v)) for v in variables]
    check = km.CheckMetrics(data=(x, y, w))
    check.set_model(model())
    check.look()
    after = [np.array(ops.convert_to_numpy(v)) for v in variables]
    assert before and all(np.array_equal(a, b) for a, b in zip(before, after))


def case_check_metrics_takes_what_fit_takes():
    x, y, _ = data()
    wrong = put(y, 9)
    kinds = [Sequence(x, wrong), lambda: iter([(x, wrong)])]
    if BACKEND == 'tensorflow':
        import tensorflow as tf

        kinds.append(tf.data.Dataset.from_tensor_slices((x, wrong)).batch(4).repeat())
    if BACKEND == 'torch':
        from torch.utils.data import DataLoader

        kinds.append(DataLoader(list(zip(x, wrong)), batch_size=4))
    for kind in kinds:
        check = km.CheckMetrics(data=kind)
        check.set_model(model())
        refuses(ValueError, 'CheckMetrics: batch 0 of data: MeanIoU: labels must be class ids', check.look)
    refuses(TypeError, 'CheckMetrics: a generator ends after one epoch', km.CheckMetrics, iter([(x, y)]))
    refuses(TypeError, 'CheckMetrics: data must be arrays', km.CheckMetrics, 5)
    refuses(ValueError, 'CheckMetrics: batches must be an integer >= 1, got 0', km.CheckMetrics, (x, y), batches=0)


def case_check_metrics_of_losses_and_several_outputs():
    x, y, _ = data()
    two = convolution('a', 'b')
    two.compile(
        optimizer=keras.optimizers.SGD(1.0),
        loss={'a': Strict(), 'b': Strict()},
        metrics={'b': [km.CalibrationError(4), 'accuracy']},
        jit_compile=BACKEND != 'torch',
    )
    good, bad = dict(a=y, b=y), dict(a=put(y, 255), b=y)
    train = functools.partial(two.fit, x, batch_size=4, shuffle=False, verbose=0)
    sentence = 'CheckMetrics: batch 0 of data: CalibrationError: probabilities must be in [0, 1], got others in'
    refuses(ValueError, sentence, train, good, callbacks=[km.CheckMetrics(data=(x, good))])

    two.compile(optimizer='sgd', loss={'a': Strict(), 'b': Strict()}, metrics=[], jit_compile=BACKEND != 'torch')
    train(good, callbacks=[km.CheckMetrics(data=(x, good))])
    refuses(
        ValueError, 'batch 0 of data: Strict: labels must be below 4', train, bad, callbacks=[km.CheckMetrics((x, bad))]
    )
    if BACKEND == 'torch':  # whose steps are eager
        refuses(ValueError, 'Strict: labels must be below 4', train, bad, callbacks=[km.CheckMetrics()])
    else:
        refuses(ValueError, 'a_loss', train, bad, callbacks=[km.CheckMetrics()])
        weights = two.get_weights()
        two.set_weights([np.zeros_like(each) for each in weights])
        refuses(
            ValueError,
            'CheckMetrics(data=...) looks at the data, compile(run_eagerly=True)',
            train,
            bad,
            callbacks=[km.CheckMetrics()],
        )
        two.set_weights([np.zeros_like(each) for each in weights])
        refuses(
            ValueError,
            'CheckMetrics(batches=...) looks at more',
            two.evaluate,
            x,
            bad,
            verbose=0,
            callbacks=[km.CheckMetrics((x, good))],
        )
    two.set_weights([np.full_like(each, np.nan) for each in two.get_weights()])
    sentence = (
        '1920 predictions are NaN or infinite, from finite pictures: the weights of the model must have become so'
    )
    for callback in (km.CheckMetrics((x, good)), km.CheckMetrics()):
        wanted = sentence if callback.data else 'loss'
        refuses(ValueError, wanted, two.evaluate, x, good, verbose=0, callbacks=[callback])


def case_check_metrics_refuses_losses_that_keras_drops():
    lost = convolution('main')
    one = keras.Model(lost.inputs, lost.outputs[0])
    x, y, _ = data()
    before = one.get_weights()
    one.compile('sgd', loss=[Strict(), quiet], run_eagerly=True)
    sentence = 'CheckMetrics: loss=[A, B] of a model with one output trains on A alone'
    refuses(ValueError, sentence, one.fit, x, y, verbose=0, callbacks=[km.CheckMetrics()])
    assert all((a == b).all() for a, b in zip(before, one.get_weights()))
    for kept, target in ((Strict(), y), ([Strict()], y)):
        one.compile('sgd', loss=kept, run_eagerly=True)
        one.fit(x, target, epochs=1, verbose=0, callbacks=[km.CheckMetrics()])
    two = convolution('main', 'other')
    both = keras.Model(two.inputs, list(two.outputs))
    both.compile('sgd', loss=[Strict(), quiet], run_eagerly=True)
    both.fit(x, [y, y], verbose=0, callbacks=[km.CheckMetrics()])


def case_a_nan_metric_is_never_the_best():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'best.weights.h5')

        def saved(*values):
            """The epochs at whose end the checkpoint saved."""
            keep = keras.callbacks.ModelCheckpoint(
                path, 'val_mIoUD', save_best_only=True, save_weights_only=True, mode='max'
            )
            keep.set_model(model())
            found = []
            for epoch, value in enumerate(values):
                keep.on_epoch_begin(epoch)
                keep.on_epoch_end(epoch, {'val_mIoUD': value, 'loss': 1.0})
                if os.path.exists(path):
                    found.append(epoch)
                    os.remove(path)
            return found

        assert saved(0.3, float('nan'), 0.2, 0.4) == [0, 3]
        # Keras takes the first value whatever it is, and nothing is above NaN: CheckMetrics stops before that
        assert saved(float('nan'), 0.3) == [0]
        x, y, w = data()
        keep = keras.callbacks.ModelCheckpoint(path, 'mIoUD', save_best_only=True, save_weights_only=True, mode='max')
        refuses(ValueError, 'MeanIoU: labels must be', fit, x, put(y, 255), w, km.CheckMetrics(), keep)
        assert not os.path.exists(path)
        stop = keras.callbacks.TerminateOnNaN()  # looks at the loss alone
        stop.set_model(model())
        model().stop_training = False
        stop.on_batch_end(0, {'loss': 1.0, 'mIoUD': float('nan')})
        assert not model().stop_training
