"""Worst cases once an epoch, in compiled models on every backend; see ``keras_worker.py``."""

import functools
import json
import os
import tempfile

import keras
import numpy as np
from keras import ops

from keras_plugin import metrics as km
from keras_plugin.metrics.direction import mode_of
from shared_spec import METRICS, SpecError
from shared_spec.metrics.boundary import BoundaryIoU, SurfaceDistance
from shared_spec.metrics.calibration import Calibration
from shared_spec.metrics.fine_grained import FineGrained
from tests.metrics.compare import FLOAT32, assert_agrees
from tests.metrics.keras_run import BACKEND, Run, refuses, report
from tests.metrics.rules import random_images


@functools.cache
def model_and_data():
    """A compiled model whose worst cases are measured at every step and once an epoch; x, y. Compiled only once."""
    common = dict(ignore_class=255, from_logits=True, max_images=30)
    inputs = keras.Input((6, 5, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 1)(inputs))
    model.compile(
        optimizer='sgd',
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255),
        metrics=[
            km.MeanIoU(4, 'C', 50, name='at_step', **common),
            km.MeanIoU(4, 'C', 50, worst_every='epoch', **common),
            km.SegmentationReport(4, q=(20,), levels=('I',), metrics=('mAcc',), worst_every='epoch', **common),
            km.CalibrationError(4, 'SCE', 'I', ignore_class=255, from_logits=True),
            km.BoundaryIoU(4, 'C', ignore_class=255, from_logits=True),
        ],
        jit_compile=BACKEND != 'torch',
        steps_per_execution=1 if BACKEND == 'torch' else 2,
    )
    _, y = random_images(71, 12, 4, (6, 5))
    return model, np.random.default_rng(9).random((12, 6, 5, 3)).astype('float32'), y


class Seen(keras.callbacks.Callback):
    """What a callback that is listed later finds in the logs."""

    def on_epoch_end(self, epoch, logs=None):
        self.epoch = dict(logs)

    def on_test_end(self, logs=None):
        self.test = dict(logs)


def case_worst_cases_once_an_epoch():
    model, x, y = model_and_data()
    worst, seen = km.WorstCaseResults(), Seen()
    best = keras.callbacks.EarlyStopping('val_mIoUC50', mode='max', patience=9)
    names = ['mIoUC50', 'mAccI20', 'mAccIQ']
    fit = dict(batch_size=4, verbose=0, callbacks=[worst, best, seen, km.CheckMetrics()])
    history = model.fit(x[:8], y[:8], validation_data=(x[8:], y[8:]), epochs=2, **fit).history
    assert {*names, *(f'val_{name}' for name in names)} <= set(history)
    for prefix in ('', 'val_'):  # the last one saw the same batches in every step
        np.testing.assert_allclose(history[f'{prefix}mIoUC50'], history[f'{prefix}at_step'], rtol=0, atol=FLOAT32)
    assert best.best == max(history['val_mIoUC50']) and seen.epoch['mAccI20'] == history['mAccI20'][-1]
    assert history['mIoUC50'] != history['val_mIoUC50'][-1:]

    history = model.fit(x[:8], y[:8], epochs=1, **fit).history
    assert set(names) <= set(history) and 'val_mIoUC50' not in history
    assert abs(history['mIoUC50'][0] - history['at_step'][0]) < FLOAT32

    got = model.evaluate(x, y, batch_size=4, verbose=0, callbacks=[worst, seen], return_dict=True)
    logits = np.asarray(model.predict_on_batch(x))
    preds, probs = logits.argmax(-1), np.moveaxis(np.array(ops.convert_to_numpy(ops.softmax(logits))), -1, 1)
    spec = FineGrained(num_classes=4, q=(20, 50), metrics=('mAcc', 'mIoU'))
    want = {name: spec.reference(preds, y)[name] for name in names}
    assert_agrees(worst.results, want, 1e-12, 'evaluate')
    assert_agrees(seen.test, want, 1e-12, 'logs of evaluate')
    assert np.isnan(got['mIoUC50']) and 'mAccI20' not in got and abs(got['at_step'] - want['mIoUC50']) < FLOAT32
    want = Calibration(num_classes=4, metrics=['SCE'], levels=['I']).reference(probs, y)
    want.update(BoundaryIoU(num_classes=4, levels=['C']).reference(preds, y))
    assert_agrees(got, want, FLOAT32, 'calibration and boundaries')

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'model.keras')
        model.save(path)
        again = keras.saving.load_model(path)
    metrics = [one._compile_metrics._user_metrics for one in (model, again)]
    assert [[type(m) for m in of_one] for of_one in metrics] == [[type(m) for m in metrics[0]]] * 2
    assert [m.get_config() for m in metrics[0]] == [m.get_config() for m in metrics[1]]


def case_worst_cases_past_max_images_raise():
    _, y = random_images(72, 6, 4)
    run = Run(km.MeanIoU(4, 'I', 50, ignore_class=255, max_images=4, worst_every='epoch'), eager=True)
    run.update(y.clip(0, 3), y.clip(0, 3))
    assert np.isnan(run.result())
    refuses(ValueError, 'MeanIoU: max_images must be at least the number of images', run.metric.worst_results)


def case_worst_every():
    preds, targets = random_images(73, 9, 4)
    spec = FineGrained(num_classes=4, metrics=('mIoU',))
    run = report(spec, eager=True, max_images=20, worst_every='epoch')
    want = spec.reference(preds, targets)
    got = run.run_on(preds, targets)
    assert list(got) == ['aAcc', 'FWIoU', 'mIoUD', 'mIoUI', 'mIoUC']
    assert_agrees({**got, **run.metric.worst_results()}, want, FLOAT32)
    assert report(FineGrained(num_classes=4, q=()), eager=True).metric.worst_results() == {}
    assert km.MeanIoU(4, 'C').worst_results() == {} == km.PixelAccuracy(4).worst_results()
    refuses(
        SpecError, "MeanIoU: worst_every must be one of 'step', 'epoch'", km.MeanIoU, 3, 'I', 5, worst_every='batch'
    )
    for metric in (
        km.MeanFscore(3, 'I', 5, worst_every='epoch', beta=2.0),
        km.SegmentationReport(3, worst_every='epoch'),
    ):
        again = keras.saving.deserialize_keras_object(
            json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
        )
        assert again.get_config() == metric.get_config() and again.worst_every == 'epoch'


class Checkpoint(keras.callbacks.ModelCheckpoint):
    """Decides which model is the best, and saves none."""

    def __init__(self, name):
        super().__init__('a.keras', name, save_best_only=True)

    def _save_model(self, epoch, batch, logs):
        self._should_save_model(epoch, batch, logs, self.filepath)


def case_auto_knows_for_every_result_whether_more_is_better():
    logits, labels = np.zeros((2, 4, 4, 3), 'float32'), np.zeros((2, 4, 4), int)
    names = dict(class_names=['road', 'car', 'sky'], calibration=True, q=(5,), metrics=('mIoU', 'mAcc', 'mFscore'))
    report = km.SegmentationReport(3, from_logits=True, **names)
    single = [km.MeanIoU(3, 'C', 5, name='mine'), km.PixelAccuracy(3), km.BoundaryIoU(3, 'I')]
    single += [km.CalibrationError(3, 'ECE', 'I', from_logits=True), km.CalibrationError(3, 'SCE', name='theirs')]
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Activation('linear')])
    model.compile(loss='mse', metrics=[report, *single])
    model._compile_metrics.build(labels, logits)
    of_host = [*BoundaryIoU(num_classes=3).names(), *SurfaceDistance(num_classes=3).names()]
    better_small = {'ECED', 'ECEI', 'SCED', 'SCEI', 'theirs', *SurfaceDistance(num_classes=3).names()}
    for name in (
        *report.names(),
        *report.worst_results(),
        *(m.name for m in single),
        *of_host,
        'mDiceIQ',
        'IoUC_road_2',
    ):
        for prefix in ('val_', '') if name in ('mine', 'theirs') else ('val_', '', 'val_out_', 'host/'):
            better, worse = (0.25, 0.75) if name in better_small else (0.75, 0.25)
            for make in (keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau, Checkpoint):
                callback = make(prefix + name)
                callback.set_model(model)
                callback.on_train_begin()
                for epoch, value in enumerate((0.5, worse, better, 0.5)):
                    callback.on_epoch_end(epoch, {prefix + name: value})
                assert callback.best == better, (prefix + name, callback)
    for name in ('mine_too', 'Gloss', 'mIoUX', 'ASSD'):  # not ours: Keras' own sentence
        stop = keras.callbacks.EarlyStopping(f'val_{name}')
        stop.set_model(model)
        stop.on_train_begin()
        refuses(ValueError, "Pass `mode='max'`", stop.on_epoch_end, 0, {f'val_{name}': 0.5})


def case_every_result_has_a_direction():
    for spec in METRICS.values():
        for example in spec.examples.values():
            for name in spec(**example.params).names():
                assert mode_of(f'val_{name}') in ('max', 'min'), name
