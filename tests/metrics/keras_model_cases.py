"""The Keras metrics inside compiled models, and what only TensorFlow does; see ``keras_worker.py``."""

import os
import tempfile

import keras
import numpy as np
from keras import ops

from keras_plugin import metrics as km
from shared_spec.metrics.boundary import BoundaryIoU
from shared_spec.metrics.calibration import Calibration
from shared_spec.metrics.fine_grained import FineGrained
from tests.metrics.compare import FLOAT32, assert_agrees, assert_results
from tests.metrics.keras_run import BACKEND, refuses
from tests.metrics.rules import random_images


def tiny_model(weighted=False):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 1)(inputs))
    metrics = [
        km.MeanIoU(4, level='C', q=5, ignore_class=255, from_logits=True, max_images=30),
        km.PixelAccuracy(4, ignore_class=255, from_logits=True),
        km.SegmentationReport(4, ignore_class=255, from_logits=True, levels=('D', 'I'), q=(), metrics=('mDice',)),
    ]
    model.compile(
        optimizer='sgd',
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255),
        jit_compile=BACKEND != 'torch',
        **{'weighted_metrics' if weighted else 'metrics': metrics},
    )
    return model


def model_wants(model, x, y, weights=None):
    """What evaluate must give, from the predictions."""
    preds = ops.convert_to_numpy(model.predict(x, batch_size=4, verbose=0)).argmax(-1)
    want = FineGrained(num_classes=4, q=(5,), metrics=('mIoU', 'mDice')).reference(preds, y, weights)
    return {name: want[name] for name in ('mIoUC5', 'aAcc', 'FWIoU', 'mDiceD', 'mDiceI')}


def case_model_fit_evaluate_save():
    rng = np.random.default_rng(7)
    x = rng.random((10, 6, 5, 3)).astype('float32')
    _, y = random_images(46, 10, 4, (6, 5))
    model = tiny_model()
    history = model.fit(x, y, batch_size=5, epochs=2, verbose=0, callbacks=[km.CheckMetrics()]).history
    want = model_wants(model, x, y)
    assert set(want) | {'loss'} == set(history) and np.isfinite(list(history.values())).all()
    got = model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)  # the last batch has 2 images
    assert_agrees(got, want, FLOAT32, 'evaluate')
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'model.keras')
        model.save(path)
        again = keras.saving.load_model(path)
    assert_agrees(again.evaluate(x, y, batch_size=10, verbose=0, return_dict=True), want, FLOAT32, 'reloaded')
    configs = [[m.get_config() for m in one._compile_metrics.metrics] for one in (model, again)]
    assert configs[0] == configs[1]


def case_model_sample_weight():
    rng = np.random.default_rng(8)
    x = rng.random((6, 6, 5, 3)).astype('float32')
    _, y = random_images(47, 6, 4, (6, 5))
    model = tiny_model(weighted=True)
    weights = (rng.random(y.shape) < 0.5).astype('float32') * 2
    want = model_wants(model, x, y, weights)
    got = model.evaluate(x, y, sample_weight=weights, batch_size=3, verbose=0, return_dict=True)
    assert_agrees(got, want, FLOAT32, 'sample_weight')


def case_model_of_every_metric_and_level():
    rng = np.random.default_rng(11)
    _, y = random_images(50, 4, 4, (12, 10))
    scores = rng.normal(size=(*y.shape, 4)).astype('float32') + 2 * np.eye(4, dtype='float32')[y % 4]
    means = km.MeanIoU, km.MeanDice, km.MeanAccuracy, km.MeanPrecision, km.MeanFscore
    given = dict(ignore_class=255, from_logits=True)
    inputs = keras.Input(scores.shape[1:])
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255),
        metrics=[
            *(kind(4, level=level, **given) for kind in means for level in 'DIC'),
            *(km.CalibrationError(4, kind, level, **given) for kind in ('ECE', 'SCE') for level in 'DI'),
            *(km.BoundaryIoU(4, level, **given) for level in 'DIC'),
            km.PixelAccuracy(4, **given),
        ],
        jit_compile=BACKEND != 'torch',
    )
    names = 'mIoU', 'mDice', 'mAcc', 'mPrecision', 'mFscore'
    preds, probs = scores.argmax(-1), np.moveaxis(ops.convert_to_numpy(ops.softmax(scores)), -1, 1)
    want = FineGrained(num_classes=4, q=(), metrics=names).reference(preds, y)
    want.update(Calibration(num_classes=4).reference(probs, y), **BoundaryIoU(num_classes=4).reference(preds, y))
    got = model.evaluate(scores, y, batch_size=4, verbose=0, return_dict=True)
    assert set(got) - {'loss'} <= set(want) and len(got) == 1 + 15 + 4 + 3 + 1
    assert_agrees(got, {name: want[name] for name in got if name != 'loss'}, FLOAT32, 'every metric')


def case_model_says_why_it_is_nan():
    inputs = keras.Input((6, 3))
    model = keras.Model(inputs, keras.layers.Conv1D(4, 1)(inputs))
    model.compile(loss='mse', metrics=[km.MeanDice(4, 'I', 10, max_images=3)], jit_compile=BACKEND != 'torch')
    x, y = np.ones((5, 6, 3), 'float32'), np.zeros((5, 6, 4), 'float32')
    assert np.isnan(model.evaluate(x, y, verbose=0, return_dict=True)['mDiceI10'])
    refuses(ValueError, 'got 3 for 5', model.evaluate, x, y, verbose=0, callbacks=[km.CheckMetrics()])


def case_mixed_precision_counts_exactly():
    keras.config.set_dtype_policy('mixed_bfloat16')
    try:
        inputs = keras.Input((20, 20, 3))
        model = keras.Model(inputs, keras.layers.Conv2D(4, 1)(inputs))
        model.compile(loss='mse', metrics=[km.PixelAccuracy(4, from_logits=True)], jit_compile=BACKEND != 'torch')
        x, y = np.ones((3, 20, 20, 3), 'float32'), np.zeros((3, 20, 20, 4), 'float32')
        y[..., 1] = 1
        y[0, 0, 0] = [1, 0, 0, 0]
        model.layers[-1].set_weights([np.zeros((1, 1, 3, 4)), np.array([0, 1, 0, 0])])
        assert abs(model.evaluate(x, y, verbose=0, return_dict=True)['aAcc'] - 1199 / 1200) < FLOAT32
    finally:
        keras.config.set_dtype_policy('float32')


def case_tensorflow_traces_unknown_sizes():
    import tensorflow as tf

    preds, targets = random_images(48, 5, 4, (6, 8))
    spec = FineGrained(num_classes=4, metrics=('mIoU',))
    metric = km.SegmentationReport(**spec.keras_arguments(), max_images=10)
    maps = tf.TensorSpec((None, None, None, 4), 'float32'), tf.TensorSpec((None, None, None), 'int64')
    update = tf.function(lambda p, t: metric.update_state(t, p), input_signature=maps)
    logits = np.eye(4, dtype='float32')[preds]
    update(logits[:3], targets[:3])
    update(logits[3:].reshape(2, 12, 4, 4), targets[3:].reshape(2, 12, 4))
    assert update.experimental_get_tracing_count() == 1
    update(logits[:0], targets[:0])  # a replica's empty share
    assert_results({k: float(v) for k, v in metric.result().items()}, spec.reference(preds, targets), FLOAT32)


def case_tensorflow_replicas():
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy(['/cpu:0', '/cpu:1'])
    preds, targets = random_images(49, 4, 4)
    spec = FineGrained(num_classes=4, metrics=('mIoU',), q=(50,))
    with strategy.scope():
        metric = km.SegmentationReport(**spec.keras_arguments(), max_images=10, calibration=True)
        boundary = km.BoundaryIoU(4, 'C', ignore_class=255)
    scores = (
        np.random.default_rng(1).random((*preds.shape, 4)).astype('float32') + 2 * np.eye(4, dtype='float32')[preds]
    )
    scores /= scores.sum(-1, keepdims=True)
    shares = strategy.experimental_distribute_values_from_function(
        lambda context: tuple(tf.constant(x[context.replica_id_in_sync_group :: 2]) for x in (targets, scores))
    )

    def update(share):
        metric.update_state(*share)
        boundary.update_state(*share)

    strategy.run(update, args=(shares,))
    got = {k: float(v) for k, v in metric.result().items()}
    want = spec.reference(preds, targets)
    want.update(Calibration(num_classes=4).reference(np.moveaxis(scores, -1, 1), targets))
    of_boundary = BoundaryIoU(num_classes=4, levels=['C']).reference(preds, targets)
    assert_results({'BoundaryIoUC': float(boundary.result())}, of_boundary, FLOAT32)
    # the replicas' tables lie on top of each other: no worst case, rather than a wrong one
    assert_results(got, {k: float('nan') if k[-1] in '0Q' else v for k, v in want.items()}, FLOAT32)
    refuses(ValueError, 'which a strategy of several replicas does not keep', metric.check)
