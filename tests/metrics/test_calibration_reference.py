"""The reference and the mergeable state of calibration against published numbers, by-hand rules and identities."""

import inspect

import numpy as np
import pytest

import shared_spec
from shared_spec import SpecError
from shared_spec.metrics.calibration import Calibration, CalibrationState
from tests.metrics.calibration_cases import GOLDEN, RULES, UNITS, Golden, random_images
from tests.metrics.compare import PUBLISHED, SAME, assert_agrees, assert_results


def by_reference(spec, probs, targets, weights=None):
    return spec.reference(probs, targets, weights)


def by_state(spec, probs, targets, weights=None):
    state = CalibrationState(spec.num_classes, spec.ignore_index, spec.bins)
    for i in range(len(targets)):
        state.update(probs[i], targets[i], None if weights is None else weights[i])
    return state.results(spec)


both = pytest.mark.parametrize('results', [by_reference, by_state], ids=['reference', 'state'])


def test_the_golden_cases_are_there():
    assert len(GOLDEN) == 9 and {'jdt_c2_binary', 'ece_bin_edges_4', 'ece_bin_edges_10'} <= set(GOLDEN)


@both
@pytest.mark.parametrize('case_id', GOLDEN)
def test_published(case_id, results):
    case = Golden(case_id)
    want = case.followed()
    assert {'ECED', 'SCED'} <= set(want)
    assert_agrees(results(case.spec, case.probs, case.targets), want, PUBLISHED, case_id)


@both
@pytest.mark.parametrize('case_id', [i for i in GOLDEN if Golden(i).not_ours])
def test_image_means_differ_from_jdtlosses_by_design(case_id, results):
    # there a wholly ignored image is a perfect one, and class C-1 is in every image with an ignored pixel
    case = Golden(case_id)
    spec, got = case.spec, results(case.spec, case.probs, case.targets)
    last = spec.num_classes - 1
    theirs = {'ECEI': [], 'SCEI': []}
    for prob, target in zip(case.probs, case.targets):
        valid = target != spec.ignore_index
        one = results(spec, [prob], [target]) if valid.any() else dict(ECEI=0, SCEI=0)
        if valid.any() and not valid.all() and not (target == last).any() and not spec.binary:
            present = len(np.unique(target[valid]))
            never_hit = prob[last][valid].mean()  # the error of class C-1, which has no label here
            one['SCEI'] = (one['SCEI'] * present + never_hit) / (present + 1)
        for name, values in theirs.items():
            values.append(one[name])
    for name in case.not_ours:
        assert abs(got[name] - case.published[name]) > 1e-3, name
        assert np.mean(theirs[name]) == pytest.approx(case.published[name], abs=PUBLISHED), name


@both
def test_hit_by_label_is_another_number_than_jdtlosses(results):
    case = Golden('jdt_c3_clean')
    nixon = Calibration(num_classes=3)
    got = results(nixon, case.probs, case.targets)
    assert got['ECED'] == pytest.approx(case.published['ECED'], abs=PUBLISHED)
    assert abs(got['SCED'] - case.published['SCED']) > 0.01


@both
@pytest.mark.parametrize('rule', RULES, ids=lambda rule: rule.name)
def test_by_hand(rule, results):
    spec = Calibration(**rule.params)
    got = results(spec, *rule.arrays())
    assert list(got) == spec.names()
    assert_agrees(got, rule.want, SAME if results is by_reference else UNITS, rule.name)


@both
def test_a_bin_is_that_of_the_value_as_given(results):
    # 0.7 opens bin 7, beside 0.75; the nearest float32 is below 0.7 and in bin 6
    probs, targets = np.array([[[0.7, 0.75], [0.3, 0.25]]]), np.array([[0, 1]])
    spec = Calibration(num_classes=2, metrics=['ECE'])
    assert float(np.float32(0.7)) < 0.7
    assert results(spec, probs, targets)['ECED'] == pytest.approx((1.45 - 1) / 2, abs=UNITS)
    assert results(spec, probs.astype(np.float32), targets)['ECED'] == pytest.approx((0.3 + 0.75) / 2, abs=1e-7)
    # the product decides, not the edge: 0.29 * 100 is 28.999999999999996
    spec = Calibration(num_classes=4, metrics=['ECE'], bins=100)
    probs = np.array([[[0.29, 0.285], [0.25, 0.25], [0.23, 0.235], [0.23, 0.23]]])
    assert results(spec, probs, targets)['ECED'] == pytest.approx((1 - 0.575) / 2, abs=UNITS)


@both
@pytest.mark.parametrize('shape', [(7,), (3, 4), (2, 3, 4)])
def test_one_channel_is_two(shape, results):
    probs, targets = random_images(1, 5, 2, shape)
    for binary in (False, True):
        spec = Calibration(num_classes=2, binary=binary)
        want = results(spec, np.stack([1 - probs[:, 1], probs[:, 1]], 1), targets)
        assert_results(results(spec, probs[:, 1], targets), want, 0)
        assert_results(results(spec, probs[:, 1:], targets), want, 0)


@both
def test_of_two_classes_either_has_the_sce_of_both(results):
    # p and 1 - p are in mirrored bins with equal gaps, as long as none is on an edge
    probs, targets = random_images(2, 6, 2)
    targets[:, 0, 0], targets[:, 0, 1] = 0, 1  # both are present
    two, one = (results(Calibration(num_classes=2, binary=b), probs, targets) for b in (False, True))
    assert_results(two, one, UNITS)


@both
@pytest.mark.parametrize('ignore_index', [None, -1, 2, 255, 1000])
def test_ignoring_is_deleting(ignore_index, results):
    probs, targets = random_images(3, 6, 4, (40,), ignore_index)
    keep = [t != ignore_index for t in targets]
    spec = Calibration(num_classes=4, ignore_index=ignore_index)
    got = results(spec, probs, targets)
    deleted = [p[:, k] for p, k in zip(probs, keep)], [t[k] for t, k in zip(targets, keep)]
    assert_results(got, results(Calibration(num_classes=4, ignore_index=None), *deleted), SAME)
    assert_results(got, results(spec, probs, targets, [k.astype(float) for k in keep]), SAME)
    garbage = [np.where(k, p, np.nan) for p, k in zip(probs, keep)]  # where it does not count it may be anything
    assert_results(results(spec, garbage, targets), got, SAME)


@both
def test_images_of_any_size_and_rank_and_in_any_order(results):
    spec = Calibration(num_classes=4)
    images = [random_images(seed, 2, 4, shape) for seed, shape in enumerate([(30,), (5, 7), (2, 3, 4)])]
    probs, targets = [p for group, _ in images for p in group], [t for _, group in images for t in group]
    got = results(spec, probs, targets)
    assert_results(results(spec, probs[::-1], targets[::-1]), got, SAME)
    flat = [p.reshape(4, -1)[:, ::-1] for p in probs], [t.ravel()[::-1] for t in targets]
    assert_results(results(spec, *flat), got, SAME)


@both
def test_one_image_has_one_error(results):
    got = results(Calibration(num_classes=5), *random_images(4, 1, 5, (50,)))
    assert got['ECED'] == got['ECEI'] > 0 and got['SCED'] == got['SCEI'] > 0


@both
def test_nothing_at_all(results):
    got = results(Calibration(num_classes=3), [], [])
    assert len(got) == 4 and all(np.isnan(v) for v in got.values())


@both
@pytest.mark.parametrize('bad', [-0.25, 1.5, 1.0079, -np.inf])
def test_refuses_what_is_no_probability(bad, results):
    with pytest.raises(ValueError, match=rf'probabilities must be in \[0, 1\], got {bad:g}'):
        results(Calibration(num_classes=2), np.array([[[0.5, bad], [0.5, 0.5]]]), np.array([[0, 1]]))


@both
@pytest.mark.parametrize('bad', [np.nan, np.inf])
@pytest.mark.parametrize('channels', [1, 2])
def test_a_probability_that_is_no_number_makes_every_result_nan(bad, channels, results):
    """Not only that of its image, which a mean over what is defined would leave out."""
    probs, targets = random_images(5, 4, 2, (20,))
    probs = probs[:, -channels:]
    whole = results(Calibration(num_classes=2), probs, targets)
    probs[1, -1, 3], targets[1, 3] = bad, 255
    assert np.isfinite(list(results(Calibration(num_classes=2), probs, targets).values())).all()
    targets[1, 3] = 1
    found = results(Calibration(num_classes=2), probs, targets)
    assert list(found) == list(whole) and np.isnan(list(found.values())).all()


@both
@pytest.mark.parametrize('channels', [1, 2])
def test_a_probability_beyond_0_and_1_by_rounding_is_0_or_1(channels, results):
    probs, targets = random_images(6, 3, 2, (20,))
    probs[0, :, :2] = [[0, 1], [1, 0]]
    want = results(Calibration(num_classes=2), probs[:, -channels:], targets)
    probs[0, :, :2] = [[-0.0078, 1.0078], [1.0078, -0.0078]]
    assert results(Calibration(num_classes=2), probs[:, -channels:], targets) == want


@both
def test_refuses_maps_that_do_not_fit(results):
    spec, prob, target = Calibration(num_classes=3), np.full((1, 3, 2), 1 / 3), np.zeros((1, 2), int)
    with pytest.raises(TypeError, match='floating-point probabilities, got int64'):
        results(spec, prob.astype(np.int64), target)
    with pytest.raises(TypeError, match='integer class ids, got float64'):
        results(spec, prob, target.astype(float))
    for wrong in (prob[:, :2], prob[:, :1], prob[:, 0], prob[..., :1]):
        with pytest.raises(ValueError, match=r'prob must be \(C, \*space\) = \(3, 2\) to match target \(2,\), got'):
            results(spec, wrong, target)
    with pytest.raises(ValueError, match=r'weight must have the shape \(2,\) of target, got \(3,\)'):
        results(spec, prob, target, np.ones((1, 3)))


def test_reference_refuses_unequal_numbers_of_images():
    with pytest.raises(ValueError, match='one map for each image, got 2, 3'):
        Calibration(num_classes=3).reference(np.zeros((2, 3, 4)), np.zeros((3, 4), int))


@pytest.mark.parametrize(
    ('params', 'sentence'),
    [
        (dict(num_classes=1), 'num_classes must be an integer >= 2, got 1'),
        (dict(num_clases=3), "unknown parameter 'num_clases', did you mean 'num_classes'"),
        (dict(ignore_index='255'), 'ignore_index must be an integer, or None'),
        (dict(levels=['C']), "levels must be a list of different levels out of 'D', 'I', got"),
        (dict(metrics=['ECE', 'ECE']), "metrics must be a list of different names out of 'ECE', 'SCE', got"),
        (dict(metrics=[]), 'metrics must be'),
        (dict(bins=0), 'bins must be an integer >= 1, got 0'),
        (dict(hit='max'), "hit must be one of 'label', 'argmax', got 'max', did you mean 'argmax'"),
        (dict(binary=True), 'binary=True needs num_classes=2'),
    ],
)
def test_parameters_refused(params, sentence):
    with pytest.raises(SpecError, match=sentence) as caught:
        Calibration(**{'num_classes': 3, **params} if 'num_clases' not in params else params)
    assert str(caught.value).startswith('Calibration: ') and '\n' not in str(caught.value)


@pytest.mark.parametrize('name', Calibration.examples)
def test_dictionary_round_trip(name):
    spec = Calibration(**Calibration.examples[name].params)
    again = shared_spec.from_dict(spec.to_dict())
    assert again == spec and again.to_dict() == spec.to_dict() and spec.to_dict()['type'] == 'Calibration'
    assert Calibration.from_keras(spec.keras_arguments()) == spec


def test_what_both_worlds_write():
    assert shared_spec.METRICS['Calibration'] is Calibration
    spec = Calibration(num_classes=4, bins=15, ignore_index=None)
    assert spec.to_mmseg() == {'type': 'CalibrationMetric', 'ignore_index': None, 'bins': 15}
    assert spec.to_keras() == {'num_classes': 4, 'ignore_class': None, 'bins': 15}


def test_names():
    assert Calibration(num_classes=4).names() == ['ECED', 'ECEI', 'SCED', 'SCEI']
    assert Calibration(num_classes=4, metrics=['SCE'], levels=['I', 'D']).names() == ['SCEI', 'SCED']


def test_the_evaluator_takes_the_parameters_of_the_spec():
    pytest.importorskip('mmseg', reason="mmsegmentation is not installed: pip install -e '.[mmseg,mmcv-lite]'")
    from mmseg_plugin.evaluation.base import ImageMetric
    from mmseg_plugin.evaluation.calibration import CalibrationMetric

    host = {'self', 'keep_results', *inspect.signature(ImageMetric.__init__).parameters}
    theirs = inspect.signature(CalibrationMetric.__init__).parameters
    defaults = {n: p.default for n, p in theirs.items() if n not in host}
    ours = {name: field.default for name, field in Calibration.parameters().items() if name != 'num_classes'}
    assert defaults == ours
