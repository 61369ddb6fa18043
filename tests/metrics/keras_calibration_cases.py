"""What calibration in Keras must do on every backend; see ``keras_worker.py``."""

import json
from fractions import Fraction

import keras
import numpy as np
from keras import ops

from keras_plugin import metrics as km
from keras_plugin.metrics import calibration_gaps
from keras_plugin.metrics.calibration import CalibrationTotals
from keras_plugin.metrics.checked_metric import CheckedMetric
from keras_plugin.metrics.counts import pair_counts
from shared_spec import SpecError
from shared_spec.metrics.calibration import Calibration
from tests.metrics.calibration_cases import GOLDEN, RULES, Golden, random_images
from tests.metrics.compare import FLOAT32, assert_agrees, assert_results
from tests.metrics.keras_run import BACKEND, X64, Run, assert_wrong_batch, classes_only, refuses, report

SOME_RULES = (
    'hit_argmax_misses_the_second_class',
    'an_image_without_a_valid_pixel_counts_nowhere',
)  # on JAX each is compiled


class AllErrors(CheckedMetric):
    """Every result of a ``Calibration`` in one metric."""

    def __init__(self, spec, from_logits=False, dtype=None):
        super().__init__(spec, from_logits, 'all', dtype)
        self.totals = CalibrationTotals(self, spec)

    def names(self):
        return self.spec.names()

    def add(self, maps, y_pred):
        prob = calibration_gaps.probabilities('AllErrors', self.from_logits, maps.scores, y_pred)
        self.totals.update(maps, prob, pair_counts(maps.target, maps.pred, self.spec.num_classes))

    def result(self):
        return dict(zip(self.names(), map(self.finish_result, self.totals.value())))

    def complaint(self):
        return super().complaint() or self.totals.complaint()


def last(probs):
    return np.moveaxis(np.asarray(probs), 1, -1)


def case_calibration_published():
    # jdt_* and the bin edges; in float32 an edge may be another number, so there the reference decides
    for case_id in ['jdt_c6_absent_ignore'] if BACKEND == 'jax' else GOLDEN:
        _published(case_id)


def case_calibration_published_edges():
    _published('ece_bin_edges_10')


def _published(case_id):
    case = Golden(case_id)
    for dtype in ('float32', 'float64') if X64 else ('float32',):
        run = Run(AllErrors(case.spec, dtype=dtype), eager=True)
        probs = [p.astype(dtype) for p in case.probs]
        if len({t.shape for t in case.targets}) == 1:
            got = run.run_on(last(probs), np.stack(case.targets), batch=len(probs) // 2)
        else:
            for prob, target in zip(probs, case.targets):
                run.update(target[None], last(prob[None]))
            got = run.result()
        assert_results(got, case.spec.reference(probs, case.targets), FLOAT32, case_id)
        if dtype == 'float64' or 'edges' not in case_id:
            assert_agrees(got, case.followed(), FLOAT32, case_id)
        for name in case.not_ours:  # JDTLosses counts wholly ignored images, and class C-1 where any is ignored
            assert abs(got[name] - case.published[name]) > 1e-3, (case_id, name)


def case_calibration_by_hand():
    for rule in RULES:
        if BACKEND == 'jax' and rule.name not in SOME_RULES:
            continue
        if not classes_only(rule.arrays()[1], rule.params['num_classes'], rule.params.get('ignore_index', 255)):
            continue
        run = Run(AllErrors(Calibration(**rule.params)), eager=True)
        for prob, target, weight in zip(*rule.arrays()[:2], rule.arrays()[2] or [None] * 9):
            prob = prob.reshape(-1, len(target)).T.astype('float32')
            run.update(target[None], prob[None], *([] if weight is None else [weight[None]]))
        assert_agrees(run.result(), rule.want, FLOAT32, rule.name)


def case_calibration_kinds_of_input():
    probs, targets = random_images(31, 4, 3)
    spec = Calibration(num_classes=3)
    logits = (np.log(last(probs)) + 2).astype('float32')
    given = ops.convert_to_numpy(ops.softmax(logits))
    want = spec.reference(np.moveaxis(given, -1, 1), targets)
    one_hot = (np.clip(targets, 0, 2)[..., None] == np.arange(3)).astype('float32')
    keep = targets != 255
    run = Run(AllErrors(spec, from_logits=True), eager=True)
    assert_results(run.run_on(logits, targets, batch=2), want, FLOAT32)
    assert_results(run.run_on(logits, targets.astype('float32')[..., None], batch=2), want, FLOAT32)
    assert_results(run.run_on(logits, one_hot, keep.astype('float32') / 3, batch=2), want, FLOAT32, 'weights')
    if BACKEND != 'jax':
        rough = ops.cast(logits, 'bfloat16')
        wide = ops.convert_to_numpy(ops.softmax(ops.cast(rough, 'float32')))
        assert_results(
            run.run_on(rough, targets), spec.reference(np.moveaxis(wide, -1, 1), targets), FLOAT32, 'bfloat16'
        )

    probs, targets = random_images(32, 4, 2)
    spec = Calibration(num_classes=2, binary=True)
    probs = probs[:, 1:].astype('float32')
    want = spec.reference(probs, targets)
    assert_results(Run(AllErrors(spec), eager=True).run_on(last(probs), targets, batch=4), want, FLOAT32, 'one channel')
    logit = last(np.log(probs / (1 - probs)))
    want = spec.reference(np.moveaxis(ops.convert_to_numpy(ops.sigmoid(logit)), -1, 1), targets)
    run = Run(AllErrors(spec, from_logits=True), eager=True)
    assert_results(run.run_on(logit, targets, batch=4), want, FLOAT32, 'sigmoid')


def case_calibration_scalars_are_the_same_numbers():
    probs, targets = random_images(33, 4, 3)
    spec = Calibration(num_classes=3, bins=7, hit='argmax')
    want = spec.reference(probs.astype('float32'), targets)
    pairs = [('ECE', 'D'), ('SCE', 'I')] if BACKEND == 'jax' else [(n[:-1], n[-1]) for n in spec.names()]
    for metric, level in pairs:
        scalar = km.CalibrationError(3, metric, level, ignore_class=255, bins=7, hit='argmax')
        assert scalar.name == metric + level
        got = {scalar.name: Run(scalar, eager=True).run_on(last(probs).astype('float32'), targets, batch=3)}
        for name, terms in scalar.per_class().items():
            assert terms.shape == (scalar.spec.num_classes,)
            assert_agrees({name: np.nanmean(terms)}, got, FLOAT32)
        assert_agrees(got, {scalar.name: want[scalar.name]}, FLOAT32)


def case_calibration_in_the_report():
    probs, targets = random_images(34, 6, 3)
    run = report(_overlap(3), calibration=True, eager=True)
    got = run.run_on(last(probs).astype('float32'), targets, batch=3)
    want = {
        **_overlap(3).reference(probs.argmax(1), targets),
        **Calibration(num_classes=3).reference(probs.astype('float32'), targets),
    }
    assert_results(got, want, FLOAT32)
    refuses(SpecError, "calibration needs level 'D' or 'I'", km.SegmentationReport, 3, levels=['C'], calibration=True)
    only_images = km.SegmentationReport(3, levels=['I', 'C'], q=(), metrics=('mIoU',), calibration=True)
    assert only_images.names() == ['aAcc', 'FWIoU', 'mIoUI', 'mIoUC', 'ECEI', 'SCEI']


def _overlap(num_classes):
    from shared_spec.metrics.fine_grained import FineGrained

    return FineGrained(num_classes=num_classes, metrics=('mIoU',), q=())


def case_calibration_bins_are_exact():
    rng = np.random.default_rng(5)
    for bins in (1, 3, 10, 100, 1000):
        edges = (np.arange(bins + 1) / bins).astype('float32')
        near = [edges, np.nextafter(edges, np.float32(0)), np.nextafter(edges, np.float32(1))]
        p = np.concatenate([*near, rng.random(4000).astype('float32')])[:4000].clip(0, 1)  # one shape for all
        got = ops.convert_to_numpy(calibration_gaps.bin_of(ops.convert_to_tensor(p), bins))
        want = [min(Fraction(float(x)) * bins // 1, bins - 1) for x in p]
        np.testing.assert_array_equal(got, want)
    if X64:  # the float64 product decides, as the spec says: 0.29 * 100 is 28.999999999999996
        assert int(calibration_gaps.bin_of(ops.convert_to_tensor(np.array([0.29]), dtype='float64'), 100)[0]) == 28


def case_calibration_does_not_drift():
    # half a million equal confidences that float32 sums get wrong in the fourth digit
    p = np.float32(0.7000001)
    probs = np.broadcast_to(np.array([p, 1 - p], 'float32'), (1, 600, 900, 2))
    targets = np.ones((1, 600, 900), 'uint8')
    run = Run(km.CalibrationError(2), eager=True)
    assert abs(run.run_on(probs, targets) - float(p)) < 1e-7


def case_calibration_sums_in_parts():
    probs, targets = random_images(35, 2, 3, (6, 7))
    spec, whole = Calibration(num_classes=3), calibration_gaps.PART
    add, seen = calibration_gaps.segment_sum, []

    def segment_sum(values, ids, n):
        found = add(values, ids, n)
        seen.append((n, int(np.abs(ops.convert_to_numpy(found)).max())))
        return found

    calibration_gaps.PART, calibration_gaps.segment_sum = 5, segment_sum
    try:
        metric = AllErrors(spec)
        metric.update_state(targets, last(probs).astype('float32'))
    finally:
        calibration_gaps.PART, calibration_gaps.segment_sum = whole, add
    got = {name: float(ops.convert_to_numpy(v)) for name, v in metric.result().items()}
    assert_results(got, spec.reference(probs.astype('float32'), targets), FLOAT32)
    assert [n for n, _ in seen] == [2 * 9 * 4 * 10] * 2 and all(largest <= 5 << 12 for _, largest in seen)


def case_calibration_past_2_31_pixels():
    metric = km.CalibrationError(2, 'SCE', bins=1)
    totals, units = metric._calibration, 1 << 24
    # gaps of -3 * 2^31 - 1/2 and 2^24 + 3/4 pixels out of 2^34
    gaps = np.array([[-3 * 2**31 - 1], [2**24]])
    totals.whole.high.assign(gaps >> 20)
    totals.whole.low.assign(gaps & (2**20 - 1))
    totals.part.assign(np.array([[units // 2], [units // 4 * 3]]))
    labelled = np.array([2**33, 2**33, 2**34])
    totals.labelled.high.assign(labelled >> 20)
    totals.labelled.low.assign(labelled & (2**20 - 1))
    run = Run(metric)
    # one pixel in each batch that adds 1 - 1/4 to class 0 and -3/4 to class 1
    for _ in range(3):
        run.update(np.zeros((1, 1), 'int32'), np.array([[[0.25, 0.75]]], 'float32'))
    low, high, part = (
        ops.convert_to_numpy(v).astype(np.int64) for v in (totals.whole.low, totals.whole.high, totals.part)
    )
    exact = (high * 2**20 + low) * units + part
    want = [-3 * 2**31 * units - units // 2 + 9 * units // 4, 2**24 * units + units * 3 // 4 - 9 * units // 4]
    assert exact[:, 0].tolist() == want and part.min() >= 0 and part.max() < units and 0 <= low.min() < 2**20
    assert abs(run.result() - sum(abs(w) for w in want) / units / (2**34 + 3) / 2) < 1e-7


def case_calibration_refuses_what_has_no_meaning():
    ids, maps = np.zeros((2, 4), int), np.full((2, 4, 3), 1 / 3, 'float32')
    sentence = 'calibration needs scores (N, *space, C), class ids have no confidence, got'
    refuses(ValueError, f'CalibrationError: {sentence}', km.CalibrationError(3).update_state, ids, ids)
    refuses(
        ValueError,
        f'SegmentationReport: {sentence}',
        km.SegmentationReport(3, calibration=True, q=()).update_state,
        ids,
        ids,
    )
    refuses(ValueError, 'with 3 channels', km.CalibrationError(3).update_state, ids, maps[..., :2])
    refuses(SpecError, "CalibrationError: metric must be one of 'ECE', 'SCE', got 'MCE'", km.CalibrationError, 3, 'MCE')
    refuses(SpecError, "CalibrationError: level must be one of 'D', 'I', got 'C'", km.CalibrationError, 3, level='C')
    refuses(SpecError, 'CalibrationError: bins must be an integer >= 1', km.CalibrationError, 3, bins=0)
    refuses(SpecError, "unknown parameter 'q'", km.CalibrationError, 3, q=5)
    refuses(SpecError, 'CalibrationError: ignore_class must be', km.CalibrationError, 3, ignore_class='x')


def case_calibration_of_logits_taken_for_probabilities():
    run = Run(km.CalibrationError(2, ignore_class=255))
    run.update(np.array([[0, 255]]), np.array([[[0.5, 0.5], [np.nan, 7]]], 'float32'))
    assert run.result() == 0.5  # an ignored pixel may hold anything
    sentence = (
        'CalibrationError: probabilities must be in [0, 1], got others in 1 pixel; for logits give from_logits=True'
    )
    logits = np.array([[0, 1]]), np.array([[[-1.0, 2.0], [0.5, 0.5]]], 'float32')
    refuses(ValueError, sentence, run.metric.update_state, *logits)
    assert run.result() == 0.5  # what was refused left no trace
    assert_wrong_batch(run, sentence, *logits)
    run.metric.reset_state()
    run.metric.check()


def case_calibration_config_round_trip():
    for arguments in (
        dict(num_classes=3),
        dict(num_classes=2, metric='SCE', level='I', ignore_class=7, from_logits=True, bins=15, hit='argmax', binary=True,
             name='n', dtype='float64'),
    ):  # fmt: skip
        metric = km.CalibrationError(**arguments)
        config = metric.get_config()
        assert arguments.items() <= config.items() and json.loads(json.dumps(config)) == config
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
        assert type(again) is km.CalibrationError and again.get_config() == config and again.spec == metric.spec
