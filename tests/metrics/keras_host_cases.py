"""What HostMetrics must do on every backend; see ``keras_worker.py``."""

import os
import tempfile

import keras
import numpy as np
from keras import ops

from keras_plugin import metrics as km
from segparity.audit.table_reading import read_table
from shared_spec import METRICS, SpecError
from tests.metrics.boundary_rules import random_pairs
from tests.metrics.compare import FLOAT32, assert_agrees, assert_results
from tests.metrics.keras_callback_cases import model_and_data
from tests.metrics.keras_run import BACKEND, refuses

EVERYTHING = dict(distances=('HD', 'HD95', 'ASSD'), boundary_iou=True, calibration=True)


def identity(*shape):
    """A model that hands on what it gets."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def scores_and_labels(seed=81, n=7, c=3):
    """float32 logits (n, 9, 11, c), labels, the predicted ids and the probabilities (n, c, 9, 11)."""
    preds, targets = random_pairs(seed, n, c)
    logits = np.random.default_rng(seed).normal(size=(*preds.shape, c)) + 4 * (preds[..., None] == np.arange(c))
    logits = logits.astype('float32')
    prob = np.exp(logits.astype('float64'))
    return logits, targets, logits.argmax(-1), np.moveaxis(prob / prob.sum(-1, keepdims=True), -1, 1)


def references(c, preds, probs, targets, weights=None, **params):
    found = {}
    for name in ('FineGrained', 'BoundaryIoU', 'SurfaceDistance', 'Calibration'):
        kind = METRICS[name]
        spec = kind(num_classes=c, **{k: v for k, v in params.items() if k in kind.parameters()})
        found.update(spec.reference(probs if spec.takes == 'probabilities' else preds, targets, weights))
    return found


def case_host_metrics_agree_with_the_references():
    logits, targets, preds, probs = scores_and_labels()
    want = references(3, preds, probs, targets, empty='diagonal', ratio=0.1, spacing=[2, 0.5])
    options = dict(ignore_class=255, from_logits=True, empty='diagonal', ratio=0.1, spacing=[2, 0.5], batch_size=3)
    got = km.HostMetrics((logits, targets), 3, **EVERYTHING, **options).evaluate(identity(9, 11, 3))
    assert_results(got, want, FLOAT32)
    assert all(isinstance(value, float) for value in got.values())

    host = km.HostMetrics((logits, targets), 3, **EVERYTHING, **options)
    assert host.per_class() == {}
    got, found = host.evaluate(identity(9, 11, 3)), host.per_class()
    assert {*found} >= {'IoUD', 'IoUC5', 'HD95C', 'BoundaryIoUD', 'SCED'}
    for name, values in found.items():
        assert_agrees({name: np.nanmean(values)}, {name: got.get(f'm{name}', got.get(name))}, FLOAT32)

    weights = (np.random.default_rng(3).random(targets.shape) < 0.7).astype('float32')
    want = references(3, preds, probs, targets, weights, empty='diagonal', ratio=0.1, spacing=[2, 0.5])
    data = (logits, targets[..., None].astype('float32'), weights)
    got = km.HostMetrics(data, 3, **EVERYTHING, **options).evaluate(identity(9, 11, 3))
    assert_results(got, want, FLOAT32, 'weights')

    preds[0][preds[0] == 2] = 1  # an object that is missed
    targets[0][-1, -1] = 2
    data = np.eye(3, dtype='float32')[preds], targets
    got = km.HostMetrics(data, 3, ignore_class=255, distances=('HD',)).evaluate(identity(9, 11, 3))
    want = METRICS['SurfaceDistance'](num_classes=3, metrics=['HD']).reference(preds, targets)
    assert_results({name: got[name] for name in want}, want, FLOAT32, 'missed')
    assert got['HDI'] == float('inf') and got['missed'] > 0 and got['HDI_rest'] < float('inf')


def case_host_metrics_of_one_channel_and_of_ids():
    logits, targets, _, _ = scores_and_labels(82, 4, 2)
    prob = 1 / (1 + np.exp(-np.float64(logits[..., 1:])))
    preds = (logits[..., 1] > 0).astype(int)
    want = references(2, preds, np.moveaxis(prob, -1, 1), targets, binary=True)
    for given, from_logits in ((logits[..., 1:], True), (prob.astype('float32'), False)):
        callback = km.HostMetrics(
            (given, targets), 2, ignore_class=255, from_logits=from_logits, binary=True, **EVERYTHING
        )
        assert_results(callback.evaluate(identity(9, 11, 1)), want, FLOAT32, str(from_logits))

    inputs = keras.Input((9, 11), dtype='int32')
    ids = keras.Model(inputs, keras.layers.Identity(dtype='int32')(inputs))
    one_hot = (targets.clip(0, 1)[..., None] == np.arange(2)).astype('int32')
    keep = (targets != 255).astype('float32')
    callback = km.HostMetrics((preds.astype('int32'), one_hot, keep), 2, binary=True, distances=())
    names = ['aAcc', 'mIoUD', 'mIoUC5']
    assert_agrees(callback.evaluate(ids), {name: want[name] for name in names}, 1e-12)
    callback = km.HostMetrics((preds.astype('int32'), targets), 2, ignore_class=255, calibration=True)
    refuses(ValueError, 'HostMetrics: calibration needs scores, the model predicts class ids', callback.evaluate, ids)


class Sequence(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 2

    def __getitem__(self, i):
        part = slice(4 * i, 4 * i + 4)
        return self.x[part], self.y[part]


def case_host_metrics_take_what_fit_takes():
    logits, targets, preds, probs = scores_and_labels()
    want = references(3, preds, probs, targets)
    names = ['aAcc', 'mIoUI', 'mDiceC5']
    kinds = [Sequence(logits, targets), lambda: iter([(logits[:4], targets[:4]), (logits[4:], targets[4:])])]
    if BACKEND == 'tensorflow':
        import tensorflow as tf

        kinds.append(tf.data.Dataset.from_tensor_slices((logits, targets)).batch(4))
        endless = kinds[-1].repeat()
        refuses(ValueError, 'HostMetrics: data must be finite', km.HostMetrics, endless, 3)
    if BACKEND == 'torch':
        from torch.utils.data import DataLoader

        kinds.append(DataLoader(list(zip(logits, targets)), batch_size=4))
    model = identity(9, 11, 3)
    for data in kinds:
        callback = km.HostMetrics(data, 3, ignore_class=255, from_logits=True, distances=())
        for _ in range(2):  # it can be read again
            assert_agrees(callback.evaluate(model), {name: want[name] for name in names}, 1e-12, type(data).__name__)


def case_host_metrics_write_the_table():
    logits, targets, preds, probs = scores_and_labels()
    ids = ['a', 'b', 'c', 'a', 'e', 'f', 'g']
    logits[3], targets[3] = logits[0], targets[0]  # the same image again: dropped
    new = [0, 1, 2, 4, 5, 6]
    model = identity(9, 11, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'images.csv')
        options = dict(ignore_class=255, from_logits=True, image_ids=ids, class_names='xyz', per_image_file=path)
        callback = km.HostMetrics((logits, targets), 3, **EVERYTHING, **options)
        assert_results(callback.evaluate(model), references(3, preds[new], probs[new], targets[new]), FLOAT32)
        table = read_table(path)
    columns = 'image class_id class_name present tp fp fn Acc IoU Dice BoundaryIoU HD HD95 ASSD SCE ECE'
    assert list(table) == columns.split()
    assert table.image.tolist() == [name for name in 'abcefg' for _ in range(3)]
    assert table.class_name.tolist() == ['x', 'y', 'z'] * 6
    valid = [(targets[i] != 255).sum() for i in new]
    assert (table.tp + table.fp).to_numpy().reshape(6, 3).sum(1).tolist() == valid
    short = km.HostMetrics((logits, targets), 3, ignore_class=255, from_logits=True, image_ids=ids[:5], distances=())
    refuses(ValueError, 'HostMetrics: image_ids must name', short.evaluate, model)


def case_host_metrics_leave_the_training_alone():
    model, x, y = model_and_data()
    everything = [*model.variables, *model.optimizer.variables]
    before = [np.array(ops.convert_to_numpy(v)) for v in everything]
    options = dict(ignore_class=255, from_logits=True, batch_size=5, every=2)
    callback, found = km.HostMetrics((x[8:], y[8:]), 4, prefix='host_', **options), []
    for callbacks in ([], [callback]):
        for variable, value in zip(everything, before):
            variable.assign(value)
        fit = dict(batch_size=4, epochs=3, shuffle=False, verbose=0, callbacks=callbacks)
        history = model.fit(x[:8], y[:8], validation_data=(x[8:], y[8:]), **fit).history
        found.append((history, [np.array(ops.convert_to_numpy(v)) for v in everything]))
    (plain, left), (logged, right) = found
    assert all(np.array_equal(a, b) for a, b in zip(left, right))
    for name, values in plain.items():
        np.testing.assert_array_equal(logged[name], values, name)
    assert len(logged['host_mIoUD']) == 1 and {'host_HD95I', 'host_mIoUC5'} <= set(logged)  # after epoch 2 of 3
    got = callback.evaluate(model)
    preds = np.asarray(model.predict_on_batch(x[8:])).argmax(-1)
    want = METRICS['FineGrained'](num_classes=4).reference(preds, y[8:])
    assert_agrees(got, want, 1e-12)


def case_host_metrics_refuse_what_has_no_meaning():
    data = np.zeros((2, 4, 4, 3), 'float32'), np.zeros((2, 4, 4), int)
    build = km.HostMetrics
    refuses(
        SpecError,
        "HostMetrics: unknown parameter 'ignore_index', did you mean 'ignore_class'",
        build,
        data,
        3,
        ignore_index=0,
    )
    refuses(SpecError, 'HostMetrics: distances must be a list', build, data, 3, distances=('HD99',))
    refuses(SpecError, "HostMetrics: distances need level 'I' or 'C', got levels ['D']", build, data, 3, levels=['D'])
    refuses(SpecError, 'HostMetrics: calibration need', build, data, 3, distances=(), calibration=True, levels=['C'])
    refuses(SpecError, 'HostMetrics: every must be an integer >= 1, got 0', build, data, 3, every=0)
    refuses(
        SpecError, 'HostMetrics: class_names must name the 3 classes, got 2', build, data, 3, class_names=['a', 'b']
    )
    refuses(SpecError, 'HostMetrics: empty must be one of', build, data, 3, empty='nan')
    refuses(
        ValueError,
        'HostMetrics: the per-image table is a .csv or .parquet file',
        build,
        data,
        3,
        per_image_file='a.txt',
    )
    refuses(ValueError, 'HostMetrics: arrays must be (x, y) or (x, y, sample_weight)', build, (data[0], data[1][:1]), 3)
    refuses(TypeError, 'HostMetrics: a generator ends after one epoch', build, iter([data]), 3)
    refuses(TypeError, 'HostMetrics: data must be arrays', build, 5, 3)
    refuses(ValueError, 'data must have labels', build(lambda: iter([data[0]]), 3).evaluate, identity(4, 4, 3))
    refuses(ValueError, 'the model must predict 5 channels or integer', build(data, 5).evaluate, identity(4, 4, 3))
    inputs = keras.Input((4, 4, 3))
    refuses(ValueError, 'must have one output, got 2', build(data, 3).evaluate, keras.Model(inputs, [inputs, inputs]))
