"""What boundary IoU in Keras must do on every backend; see ``keras_worker.py``."""

import json

import keras
import numpy as np
from keras import ops

from keras_plugin import metrics as km
from keras_plugin.metrics.boundary import boundary_maps
from keras_plugin.metrics.label_maps import label_maps
from shared_spec import SpecError
from shared_spec.metrics.boundary import BoundaryIoU
from tests.metrics.boundary_rules import RULES, Both, arrays, index, random_pairs
from tests.metrics.compare import FLOAT32, assert_agrees
from tests.metrics.keras_run import BACKEND, Run, classes_only, refuses


def results(params, preds, targets, weights=None, names=None, eager=True):
    """Name -> fraction of one metric for each level."""
    spec = BoundaryIoU(**{k: v for k, v in params.items() if k in BoundaryIoU.parameters()})
    arguments = {k: v for k, v in spec.to_keras().items() if k != 'levels'}
    found = {}
    for name in names or spec.names():
        metric = km.BoundaryIoU(level=name[-1], **arguments)
        assert metric.name == name
        found[name] = Run(metric, eager).run_on(preds, targets, weights, batch=4)
        for level, terms in metric.per_class().items():
            defined = terms[~np.isnan(terms)]
            assert_agrees({level: defined.mean() if len(defined) else np.nan}, {name: found[name]}, FLOAT32)
    return found


def case_boundary_by_hand():
    for rule in RULES:
        want = {name: value for name, value in rule.want.items() if name.startswith('BoundaryIoU')}
        if not classes_only(rule.targets, rule.params['num_classes'], rule.params.get('ignore_index', 255)):
            continue
        if not want or (BACKEND == 'jax' and rule.name not in ('two_voxels', 'levels_differ', 'binary_nothing_there')):
            continue
        weights = None if rule.weights is None else np.stack(rule.weights).astype('float32')
        got = results(rule.params, np.stack(rule.preds), np.stack(rule.targets), weights, list(want))
        assert_agrees(got, want, FLOAT32, rule.name)


def case_boundary_published():
    for case_id in (
        ['boundary_iou_r05'] if BACKEND == 'jax' else ['boundary_iou_r02', 'boundary_iou_r05', 'boundary_iou_r15']
    ):
        ratio, case = index('bi')[case_id]['params']['dilation_ratio'], arrays(case_id)
        spec = BoundaryIoU(num_classes=2, ignore_index=None, ratio=ratio, binary=True)
        preds, targets = case['pred'].astype('int32'), case['gt'].astype('int32')
        maps = label_maps(spec, 'BoundaryIoU', False, targets, preds)
        of_target, of_pred = (
            ops.convert_to_numpy(ids).reshape(targets.shape) for ids in boundary_maps(spec, 'BoundaryIoU', maps)
        )
        np.testing.assert_array_equal(of_pred == 1, case['expected_boundary_pred'] > 0)
        np.testing.assert_array_equal(of_target == 1, case['expected_boundary_gt'] > 0)
        run = Run(km.BoundaryIoU(2, 'D', ratio=ratio, binary=True), eager=True)
        for pred, target, want in zip(preds, targets, case['expected_boundary_iou']):
            got = run.run_on(pred[None], target[None])
            assert_agrees({'BoundaryIoUD': got}, {'BoundaryIoUD': want}, FLOAT32, case_id)


def case_boundary_published_means():
    entry, case = index('bimc')['boundary_iou_multiclass'], arrays('boundary_iou_multiclass')
    want = {f'BoundaryIoU{k}': entry['expected'][f'mBoundaryIoU{k}'] / 100 for k in 'DIC'}
    params = dict(num_classes=4, ignore_index=None, ratio=entry['params']['dilation_ratio'])
    assert_agrees(results(params, case['pred'], case['label']), want, FLOAT32)


def case_boundary_random():
    some = [(dict(num_classes=4, ratio=0.1), (9, 11)), (dict(num_classes=3, ratio=0.2, present_in='either'), (5, 6, 7))]
    for params, shape in some:
        preds, targets = random_pairs(61, 8, params['num_classes'], shape)
        spec = Both(metrics=['BoundaryIoU'], **params)
        want = spec.reference(preds, targets)
        names = ['BoundaryIoUC'] if BACKEND == 'jax' else spec.names()
        got = results(params, preds, targets, names=names)
        assert_agrees(got, {name: want[name] for name in names}, FLOAT32, str(shape))
    preds, targets = random_pairs(62, 8, 4)
    weights = (np.random.default_rng(1).random(targets.shape) < 0.8).astype('float32')
    spec = Both(metrics=['BoundaryIoU'], num_classes=4, ratio=0.1, levels=['C'])
    scores = (preds[..., None] == np.arange(4)).astype('float32')
    labels = targets[..., None].astype('float32')
    got = results(dict(num_classes=4, ratio=0.1), scores, labels, weights, ['BoundaryIoUC'], eager=False)
    assert_agrees(got, spec.reference(preds, targets, weights), FLOAT32, 'scores and weights')


def case_boundary_of_ids_with_a_last_axis():
    preds, targets = random_pairs(63, 4, 3)
    want = results(dict(num_classes=3), preds, targets, names=['BoundaryIoUI'])
    assert want == results(dict(num_classes=3), preds[..., None], targets[..., None], names=['BoundaryIoUI'])


def case_boundary_refuses_what_has_no_meaning():
    row = np.zeros((2, 5), int)
    refuses(ValueError, 'BoundaryIoU: boundaries need 2 or 3 spatial axes', km.BoundaryIoU(3).update_state, row, row)
    refuses(SpecError, 'BoundaryIoU: ratio must be a number > 0 and <= 1, got 0', km.BoundaryIoU, 3, ratio=0)
    refuses(SpecError, "BoundaryIoU: level must be one of 'D', 'I', 'C', got 'B'", km.BoundaryIoU, 3, 'B')
    refuses(SpecError, "BoundaryIoU: unknown parameter 'q'", km.BoundaryIoU, 3, q=5)
    refuses(SpecError, 'BoundaryIoU: binary=True needs num_classes=2', km.BoundaryIoU, 3, binary=True)
    run = Run(km.BoundaryIoU(3), eager=True)
    run.update(np.zeros((1, 3, 4), int), np.full((1, 3, 4), 3))
    assert np.isnan(run.result())
    refuses(ValueError, 'BoundaryIoU: integer predictions must be class ids below 3', run.metric.check)


def case_tensorflow_boundary_needs_known_sizes():
    import tensorflow as tf

    metric = km.BoundaryIoU(4)
    maps = tf.TensorSpec((None, None, None, 4), 'float32'), tf.TensorSpec((None, None, None), 'int64')
    update = tf.function(lambda p, t: metric.update_state(t, p), input_signature=maps, autograph=False)
    refuses(ValueError, 'the size of the images must be known', update.get_concrete_function)
    known = tf.TensorSpec((None, 6, 5, 4), 'float32'), tf.TensorSpec((None, 6, 5), 'int64')
    tf.function(lambda p, t: metric.update_state(t, p), input_signature=known).get_concrete_function()


def case_boundary_config_round_trip():
    full = dict(
        level='C',
        ignore_class=7,
        from_logits=True,
        ratio=0.05,
        present_in='either',
        binary=True,
        name='n',
        dtype='float64',
    )
    for arguments in (dict(num_classes=2), dict(num_classes=2, **full)):
        metric = km.BoundaryIoU(**arguments)
        config = metric.get_config()
        assert arguments.items() <= config.items() and json.loads(json.dumps(config)) == config
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
        assert type(again) is km.BoundaryIoU and again.get_config() == config and again.boundary == metric.boundary
