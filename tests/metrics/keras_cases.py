"""What the Keras metrics must do on every backend, one function ``case_*`` for each fact; see ``keras_worker.py``."""

import inspect
import json
import os
import warnings

import keras
import numpy as np
from keras import ops

from keras_plugin import metrics as km
from keras_plugin.metrics.counts import pair_counts
from keras_plugin.metrics.label_maps import label_maps
from keras_plugin.metrics.scores import mean_of_lowest
from shared_spec import SpecError
from shared_spec.metrics.fine_grained import FineGrained, FineGrainedState
from shared_spec.metrics.fine_grained.state import image_counts as numpy_counts
from tests.metrics.compare import FLOAT32, assert_agrees, assert_results
from tests.metrics.golden import EVERY_METRIC, golden, ids
from tests.metrics.keras_run import BACKEND, Run, classes_only, jit, refuses, report
from tests.metrics.rules import ALL, BINARY, EITHER, RULES, random_images, staircase

CLASSES = (km.MeanIoU, km.MeanDice, km.MeanAccuracy, km.MeanPrecision, km.MeanFscore)


def case_published():
    some = ['jdt_c6_absent_ignore']  # on JAX each would be compiled
    for case_id in some if BACKEND == 'jax' else ids('jdt', 'mmseg', 'city'):
        case = golden(case_id)
        if not classes_only(case.targets, case.spec.num_classes, case.spec.ignore_index):
            continue
        run = report(case.spec, eager=True, max_images=64)
        if len({t.shape for t in case.targets}) == 1:
            got = run.run_on(np.stack(case.preds), np.stack(case.targets), batch=20)
        else:
            for pred, target in zip(case.preds, case.targets):
                run.update(target[None], pred[None])
            got = run.result()
        assert_agrees(got, case.published(), FLOAT32, case_id)
        assert_results(got, case.spec.reference(case.preds, case.targets), FLOAT32, case_id)


def case_by_hand():
    for params in (ALL, EITHER, BINARY):
        run = report(FineGrained(**params), eager=params is not ALL, max_images=8)
        for rule in (r for r in RULES if r.params is params):
            preds, targets, weights = rule.arrays()
            if not classes_only(targets, params['num_classes']):
                continue
            # wholly ignored images count nowhere, and make one shape of all cases
            preds, targets = (np.concatenate([x, np.full((3 - len(x), 6), f)]) for x, f in ((preds, 0), (targets, 255)))
            weights = np.ones((3, 6)) if weights is None else np.concatenate([weights, np.ones((2, 6))])
            assert_agrees(run.run_on(preds, targets, weights.astype('float32')), rule.want, FLOAT32, rule.name)


def case_every_class_of_metric():
    preds, targets = random_images(41, 9, 4)
    spec = FineGrained(num_classes=4, metrics=EVERY_METRIC, q=(5, 40), beta=2.0)
    want = spec.reference(preds, targets)
    some = [dict(level='D'), dict(level='I'), dict(level='C'), dict(level='I', q=40), dict(level='C', q='Q')]
    for cls in CLASSES[: 1 if BACKEND == 'jax' else None]:
        beta = dict(beta=2.0) if cls is km.MeanFscore else {}
        for arguments in some:
            metric = cls(4, ignore_class=255, max_images=20, **arguments, **beta)
            assert metric.name == f'{cls.metric}{arguments["level"]}{arguments.get("q") or ""}'
            got = {metric.name: Run(metric, eager=True).run_on(preds, targets, batch=9)}
            assert_agrees(got, {metric.name: want[metric.name]}, FLOAT32)
    metric = km.PixelAccuracy(4, ignore_class=255)
    assert_agrees({metric.name: Run(metric, eager=True).run_on(preds, targets)}, {'aAcc': want['aAcc']}, FLOAT32)


def case_bools_are_0_and_1_whatever_their_bytes():
    preds, targets = (np.random.default_rng(seed).random((3, 8, 9)) < 0.5 for seed in (1, 2))
    spec = FineGrained(num_classes=2, q=(), metrics=('mIoU',))
    want = spec.reference(preds.astype(int), targets.astype(int))
    stored = [(mask * np.uint8(255)).view(bool) for mask in (preds, targets)]  # as Pillow's 1-bit images are
    for eager in (True, False):
        assert_results(report(spec, eager).run_on(*stored), want, FLOAT32, f'eager {eager}')


def case_float64_is_float64():
    preds, targets = random_images(50, 6, 4)
    spec = FineGrained(num_classes=4, q=())
    run = report(spec, eager=True, dtype='float64')
    x64 = BACKEND != 'jax' or os.environ.get('JAX_ENABLE_X64') == '1'
    assert_results(run.run_on(preds, targets), spec.reference(preds, targets), 1e-12 if x64 else FLOAT32)


def case_worst_floor():
    preds, targets = staircase(90)
    for q, k in ((70, 63), (1, 1)):
        run = Run(km.MeanIoU(2, level='I', q=q, max_images=90))
        want = sum(range(k)) / k / 100
        assert_agrees({'q': run.run_on(preds, targets, batch=90)}, {'q': want}, FLOAT32)


def case_thousands_of_scores_keep_the_sixth_digit():
    scores = np.sort(np.random.default_rng(0).random(20000).astype('float32'))
    got = ops.convert_to_numpy(mean_of_lowest(scores, np.ones(20000, bool), (1, 50, 100)))
    want = [scores[:k].astype('float64').mean() for k in (200, 10000, 20000)]
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-7)


def case_kinds_of_input():
    c = 3
    preds, targets = random_images(42, 2, c, (4, 5), ignore_index=None)
    spec = FineGrained(num_classes=c, ignore_index=None)
    want = np.stack([numpy_counts(p, t, c) for p, t in zip(preds, targets)])
    logits = np.where(np.arange(c) == preds[..., None], 3.0, -1.0).astype('float32')
    one_hot = (np.arange(c) == targets[..., None]).astype('float32')

    def counts(y_true, y_pred, weight=None, spec=spec, from_logits=True):
        def call(*x):
            maps = label_maps(spec, 'MeanIoU', from_logits, *x)
            return pair_counts(maps.target, maps.pred, spec.num_classes), maps.wrong

        call = jit(call) if BACKEND == 'jax' else call
        found, wrong = call(*(ops.convert_to_tensor(x) for x in (y_true, y_pred, weight) if x is not None))
        assert ops.convert_to_numpy(found).dtype == np.int32 and not ops.convert_to_numpy(wrong).any()
        return ops.convert_to_numpy(found)

    labels = [
        targets,
        targets.astype('uint8'),
        targets.astype('float32'),
        targets[..., None].astype('float32'),
        one_hot,
    ]
    for y_true in labels:
        np.testing.assert_array_equal(counts(y_true, logits), want)
    for y_pred in (preds, preds.astype('uint8'), preds[..., None], ops.cast(logits, 'bfloat16')):
        np.testing.assert_array_equal(counts(targets, y_pred), want)
    np.testing.assert_array_equal(counts(one_hot, preds[..., None]), want)
    np.testing.assert_array_equal(counts(targets[..., None], preds), want)

    keep = np.random.default_rng(1).random(targets.shape) < 0.5
    kept = np.stack([numpy_counts(p, t, c, None, k) for p, t, k in zip(preds, targets, keep)])
    for weight in (keep, keep.astype('float32') * 0.3, keep[..., None].astype('float32'), np.where(keep, 7, 0)):
        np.testing.assert_array_equal(counts(targets, logits, weight), kept)
    np.testing.assert_array_equal(counts(targets, logits, np.array([0.0, 2.0], 'float32')), want * [[[0]], [[1]]])

    binary = FineGrained(num_classes=2, ignore_index=255)
    score, label = np.array([[[-0.1], [0.1], [0.6], [0.4]]], 'float32'), np.array([[0, 1, 1, 255]])
    for from_logits, ids_ in ((True, [0, 1, 1, 1]), (False, [0, 0, 1, 0])):
        given = score if from_logits else np.abs(score)
        got = counts(label, given, spec=binary, from_logits=from_logits)
        np.testing.assert_array_equal(got[0], numpy_counts(np.array(ids_), label[0], 2, 255))


def case_label_ids_survive_every_dtype():
    run, pred = Run(km.PixelAccuracy(300, ignore_class=-1), eager=True), np.array([[256, 257, 299, 0]])
    for dtype in ('float32', 'int64', 'uint16' if BACKEND != 'torch' else 'int32'):
        assert run.run_on(pred, np.array([[256, 257, 299, 1]]).astype(dtype)) == 3 / 4


def case_shapes_without_a_meaning_are_refused():
    metric = km.MeanIoU(3)
    ids_, maps = np.zeros((2, 4, 5), int), np.zeros((2, 4, 5, 3), 'float32')
    refuses(ValueError, 'MeanIoU: target must be (N, *space) = (2, 4, 5)', metric.update_state, ids_[:, :3], maps)
    refuses(ValueError, 'got (2, 5, 4)', metric.update_state, ids_.transpose(0, 2, 1), ids_)
    refuses(
        ValueError, 'with 3 channels or integer class ids, got (2, 4, 5, 2)', metric.update_state, ids_, maps[..., :2]
    )
    refuses(ValueError, 'with 3 channels', metric.update_state, ids_, maps[..., :1])
    refuses(ValueError, '1 or 2 or 3 spatial axes', metric.update_state, ids_[:, 0, 0], maps[:, 0, 0])
    refuses(ValueError, 'weight must be one number per pixel', metric.update_state, ids_, maps, np.ones((2, 4)))
    refuses(ValueError, '(or one, the foreground)', km.MeanIoU(2).update_state, ids_, maps)
    for channels in (1, 2):  # of a binary problem, to which one class is one too few
        refuses(ValueError, 'MeanIoU: num_classes must be 2', km.MeanIoU(1).update_state, ids_, maps[..., :channels])


def case_arguments_without_a_meaning_are_refused():
    refuses(
        SpecError,
        "MeanIoU: unknown parameter 'ignore_index', did you mean 'ignore_class'",
        km.MeanIoU,
        3,
        ignore_index=0,
    )
    refuses(SpecError, "MeanDice: level must be one of 'D', 'I', 'C', got 'K'", km.MeanDice, 3, level='K')
    refuses(SpecError, "MeanIoU: q has a meaning at level 'I' or 'C'", km.MeanIoU, 3, q=5)
    refuses(SpecError, 'MeanIoU: q must be an integer from 1 to 100', km.MeanIoU, 3, level='I', q=0)
    refuses(SpecError, 'MeanIoU: num_classes must be', km.MeanIoU, 0)
    refuses(SpecError, 'MeanIoU: ignore_class must be', km.MeanIoU, 3, ignore_class='void')
    refuses(SpecError, 'MeanIoU: max_images must be an integer from 1', km.MeanIoU, 3, 'I', 5, max_images=0)
    refuses(SpecError, 'MeanIoU: from_logits must be True or False', km.MeanIoU, 3, from_logits='yes')
    refuses(SpecError, 'MeanIoU: binary=True needs num_classes=2', km.MeanIoU, 3, binary=True)
    refuses(SpecError, 'dtype must be a floating point type', km.MeanIoU, 3, dtype='int32')
    refuses(SpecError, 'SegmentationReport: levels must be', km.SegmentationReport, 3, levels=('X',))
    refuses(SpecError, 'MeanFscore: beta must be', km.MeanFscore, 3, beta=0)
    refuses(SpecError, "PixelAccuracy: unknown parameter 'level'", km.PixelAccuracy, 3, level='I')


def case_past_2_31_pixels():
    metric = km.SegmentationReport(2, metrics=('mIoU', 'mAcc'), q=(), levels=('D',))
    counts = np.array([[3 * 2**31 + 5, 2**31, 0], [2**32, 0, 2**31]])
    metric._totals.high.assign(counts >> 20)
    metric._totals.low.assign(counts & (2**20 - 1))
    run = Run(metric)
    for _ in range(3):
        run.update(np.zeros((1, 8, 8), 'int32'), np.zeros((1, 8, 8), 'int32'))
    low, high = (ops.convert_to_numpy(v).astype(np.int64) for v in (metric._totals.low, metric._totals.high))
    counts[0, 0] += 3 * 64
    np.testing.assert_array_equal(high * 2**20 + low, counts)
    assert low.max() < 2**20
    tp = 3 * 2**31 + 5 + 3 * 64
    want = {
        'aAcc': (tp + 2**32) / (tp + 2**32 + 2**31),
        'mIoUD': (tp / (tp + 2**31) + 2 / 3) / 2,
        'mAccD': (1 + 2 / 3) / 2,
    }
    assert_agrees(run.result(), want, FLOAT32)


def case_a_carry_in_every_batch():
    metric = km.PixelAccuracy(1)
    metric._totals.low.assign(np.full((1, 3), 2**20 - 1))
    Run(metric, eager=True).update(np.zeros((2, 600, 900), 'uint8'), np.zeros((2, 600, 900), 'uint8'))
    low, high = (ops.convert_to_numpy(v).astype(np.int64) for v in (metric._totals.low, metric._totals.high))
    assert (high * 2**20 + low).tolist() == [[2**20 - 1 + 2 * 600 * 900, 2**20 - 1, 2**20 - 1]]


def case_sums_do_not_stick_at_2_24_images():
    run = Run(km.MeanIoU(2, level='I'))
    state = run.metric._image_means
    state.sum.assign(np.full(1, 2.0**24))
    state.number.assign(np.full(1, 2**24))
    zeros = np.zeros((1, 4), 'int32')
    for _ in range(30):
        run.update(zeros, zeros)  # each image has IoU 1, which 2^24 in float32 cannot take
    total = float(ops.convert_to_numpy(state.sum)[0]) + float(ops.convert_to_numpy(state.lost)[0])
    assert total == 2**24 + 30, total
    assert int(ops.convert_to_numpy(state.number)[0]) == 2**24 + 30


def case_more_pixels_than_float32_counts():
    # Keras adds segments in float32 on torch, which sticks at 2^24
    zeros = np.zeros((1, 1, 2**24 + 3), 'uint8')
    metric = km.PixelAccuracy(1)
    Run(metric, eager=True).update(zeros, zeros)
    low, high = (ops.convert_to_numpy(v).astype(np.int64) for v in (metric._totals.low, metric._totals.high))
    assert (high * 2**20 + low).tolist() == [[2**24 + 3, 0, 0]]


def case_beyond_max_images():
    preds, targets = random_images(44, 6, 3)
    spec = FineGrained(num_classes=3, metrics=('mIoU',), q=(50,))
    run = report(spec, max_images=4)
    want = spec.reference(preds[:4], targets[:4])
    assert_results(run.run_on(preds[:4], targets[:4], batch=2), want, FLOAT32)
    run.metric.check()
    run.update(targets[4:], preds[4:])
    want = spec.reference(preds, targets)
    gone = ('mIoUI50', 'mIoUIQ', 'mIoUC50', 'mIoUCQ')
    assert_results(run.result(), {k: float('nan') if k in gone else v for k, v in want.items()}, FLOAT32)
    sentence = 'max_images must be at least the number of images for worst-case results, got 4 for 6'
    refuses(ValueError, f'SegmentationReport: {sentence}', run.metric.check)
    refuses(ValueError, sentence, run.metric.state)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        run.metric.reset_state()
        run.metric.reset_state()
    assert [str(w.message) for w in caught if 'max_images' in str(w.message)] == [f'SegmentationReport: {sentence}']
    run.metric.check()


def case_an_image_beyond_max_images_that_counts_nowhere():
    run = Run(km.MeanIoU(2, level='I', q=50, ignore_class=255, max_images=1), eager=True)
    zeros, ignored = np.zeros((1, 4), 'int32'), np.full((1, 4), 255)
    assert run.run_on(zeros, zeros) == 1
    run.update(ignored, zeros)
    assert np.isnan(run.result())
    refuses(ValueError, 'got 1 for 2', run.metric.check)


def case_a_prediction_that_is_no_class():
    run = Run(km.MeanIoU(3, ignore_class=255))
    run.update(np.array([[0, 1, 255]]), np.array([[0, 1, 7]]))
    assert run.result() == 1  # ignored pixels may hold anything
    run.update(np.array([[0, 1, 2]]), np.array([[0, 1, 7]]))
    assert np.isnan(run.result())
    refuses(ValueError, 'MeanIoU: integer predictions must be class ids below 3', run.metric.check)


def case_shards_merge_through_the_state():
    preds, targets = random_images(45, 10, 4)
    spec = FineGrained(num_classes=4)
    states = []
    for images in ([0, 1, 2, 3, 4, 5, 6], [6, 7, 8, 9]):  # image 6 twice
        metric = km.MeanIoU(4, level='I', q=5, ignore_class=255, max_images=7)
        Run(metric, eager=True).update(targets[images], preds[images])
        states.append(metric.state(image_ids=images))
        refuses(ValueError, 'image_ids must name the', metric.state, image_ids=[1])
    assert isinstance(states[0], FineGrainedState)
    assert_results(states[0].merge(states[1]).results(spec), spec.reference(preds, targets), 1e-12)
    refuses(ValueError, 'only a metric with worst-case results (q) keeps a table', km.MeanIoU(3).state)


def case_config_round_trip():
    for cls in (*CLASSES, km.PixelAccuracy, km.SegmentationReport):
        full = dict(num_classes=2, ignore_class=7, from_logits=True, name='n', dtype='float64')
        if cls is km.SegmentationReport:
            full.update(
                levels=['I', 'C'],
                q=[3],
                metrics=['mDice'],
                beta=0.5,
                present_in='either',
                binary=True,
                max_images=5,
                class_names=['a', 'b'],
            )
        elif cls is not km.PixelAccuracy:
            full.update(level='C', q='Q', present_in='either', binary=True, max_images=5)
        if cls is km.MeanFscore:
            full.update(beta=3.0)
        for arguments in (dict(num_classes=2), full):
            metric = cls(**arguments)
            config = metric.get_config()
            assert arguments.items() <= config.items()
            again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
            assert type(again) is cls and again.get_config() == config and again.spec == metric.spec
            assert json.loads(json.dumps(config)) == config


LONG = [  # the names of a report of three metrics with q=[1, 5], which was the default once
    'aAcc', 'FWIoU',
    *(m + k for m in ('mAcc', 'mIoU', 'mDice') for k in ('D', 'I', 'I1', 'I5', 'IQ', 'C', 'C1', 'C5', 'CQ')),
]  # fmt: skip


def case_a_report_is_short_and_saved_ones_keep_their_names():
    saved = {  # as keras.saving.serialize_keras_object wrote SegmentationReport(3) before
        'module': 'keras_plugin.metrics.report',
        'class_name': 'SegmentationReport',
        'config': {
            'num_classes': 3, 'ignore_class': None, 'binary': False, 'levels': ['D', 'I', 'C'], 'q': [1, 5],
            'metrics': ['mAcc', 'mIoU', 'mDice'], 'beta': 1.0, 'present_in': 'target', 'from_logits': False,
            'calibration': False, 'max_images': 1000, 'worst_every': 'step', 'name': 'segmentation_report',
            'dtype': 'float32',
        },
        'registered_name': 'segparity>SegmentationReport',
    }  # fmt: skip
    metric = keras.saving.deserialize_keras_object(saved)
    assert metric.names() == LONG and saved['config'].items() <= metric.get_config().items()
    assert km.SegmentationReport(3).names() == ['aAcc', 'FWIoU', 'mIoUD', 'mIoUI', 'mIoUC']
    assert km.SegmentationReport(**FineGrained(num_classes=3).to_keras()).names() == LONG
    assert km.SegmentationReport(3, q=(1, 5), metrics=('mAcc', 'mIoU', 'mDice')).names() == LONG


def of_all(values):
    """Name and class -> value."""
    return {f'{name} {c}': value for name, row in sorted(values.items()) for c, value in enumerate(row)}


def case_per_class_results_are_those_of_the_state():
    preds, targets = random_images(75, 9, 4)
    spec = FineGrained(num_classes=4, metrics=('mIoU', 'mAcc'), q=(20,))
    state = FineGrainedState(4)
    for pred, target in zip(preds, targets):
        state.update(pred, target)
    want, names = state.per_class(spec), ['a', 'b', 'c', 'd']
    run = report(spec, eager=True, max_images=20, class_names=names)
    got = run.run_on(preds, targets)
    assert_results(of_all(run.metric.per_class()), of_all(want), FLOAT32)
    of_classes = {f'{k}_{n}': v[i] for k, v in want.items() if k[-1] in 'DC' for i, n in enumerate(names)}
    assert_agrees({k: v for k, v in got.items() if '_' in k}, of_classes, FLOAT32)
    for metric, name in (
        (km.MeanIoU(4, 'D', ignore_class=255), 'IoUD'),
        (km.MeanAccuracy(4, 'C', ignore_class=255), 'AccC'),
        (km.MeanIoU(4, 'C', 20, ignore_class=255), 'IoUC20'),
    ):
        Run(metric, eager=True).update(targets, preds)
        assert_results(of_all(metric.per_class()), of_all({name: want[name]}), FLOAT32)
    assert km.MeanIoU(4, 'I').per_class() == {} == km.PixelAccuracy(4, ignore_class=255).per_class()
    for wrong in (['a', 'b', 'c'], ['a', 'b', 'c', 'a']):
        refuses(SpecError, 'class_names must name the 4 classes', km.SegmentationReport, 4, class_names=wrong)


def case_constructor_takes_the_parameters_of_the_spec():
    given = {
        k: p.default for k, p in inspect.signature(km.SegmentationReport.__init__).parameters.items() if k != 'self'
    }
    for name, field in FineGrained.parameters().items():
        default = field.metadata['keras_default']
        want = inspect.Parameter.empty if name == 'num_classes' else default
        assert given.pop(field.metadata['keras_name'] or name) == want, name
    assert list(given) == ['from_logits', 'calibration', 'max_images', 'worst_every', 'class_names', 'name', 'dtype']
