"""The reference and the mergeable state against published numbers, by-hand rules and identities."""

import numpy as np
import pytest

from shared_spec.metrics.fine_grained import FineGrained
from shared_spec.metrics.fine_grained.state import FineGrainedState, image_counts
from tests.metrics.compare import PUBLISHED, SAME, assert_agrees, assert_results
from tests.metrics.golden import EVERY_METRIC, golden, ids
from tests.metrics.rules import RULES, random_images, staircase


def by_reference(spec, preds, targets, weights=None):
    return spec.reference(preds, targets, weights)


def by_state(spec, preds, targets, weights=None):
    state = FineGrainedState(spec.num_classes, spec.ignore_index)
    for i in range(len(targets)):
        state.update(preds[i], targets[i], None if weights is None else weights[i])
    return state.results(spec)


both = pytest.mark.parametrize('results', [by_reference, by_state], ids=['reference', 'state'])


def test_assert_same_can_fail():
    assert_results({'a': 1.0, 'b': float('nan')}, {'a': 1.0, 'b': float('nan')}, SAME)
    for wrong in ({'a': 1.1, 'b': float('nan')}, {'a': 1.0, 'b': 0.0}, {'b': float('nan'), 'a': 1.0}):
        with pytest.raises(AssertionError):
            assert_results(wrong, {'a': 1.0, 'b': float('nan')}, SAME)


@both
@pytest.mark.parametrize('case_id', ids('jdt', 'mmseg', 'city'))
def test_published(case_id, results):
    case = golden(case_id)
    want = case.published()
    assert len(want) >= {'jdt': 16, 'mmseg': 2, 'city': 1}[case.check]
    assert_agrees(results(case.spec, case.preds, case.targets), want, PUBLISHED, case_id)


@pytest.mark.parametrize('case_id', ids('jdt'))
def test_published_counts(case_id):
    case = golden(case_id)
    params = case.spec.num_classes, case.spec.ignore_index
    counts = [image_counts(pred, target, *params) for pred, target in zip(case.preds, case.targets)]
    counts = np.array([c for c in counts if c.any()])  # JDTLosses has no row for an image without a valid pixel
    for k, name in enumerate(('tp', 'fp', 'fn')):
        np.testing.assert_array_equal(counts[..., k], case.expected[name])


@pytest.mark.parametrize('case_id', ids('mmseg', 'city'))
def test_published_per_class(case_id):
    case = golden(case_id)
    state = FineGrainedState(case.spec.num_classes, case.spec.ignore_index)
    for pred, target in zip(case.preds, case.targets):
        state.update(pred, target)
    ours = state.per_class(case.spec)
    for name, want in case.per_class().items():
        got = np.nan_to_num(ours[name + 'D']) if case.params.get('nan_to_num') == 0 else ours[name + 'D']
        np.testing.assert_allclose(got, want, rtol=0, atol=SAME, err_msg=name)
        if case.params.get('nan_to_num') == 0:  # no parameter of ours: a class without a value counts 0 there
            assert round(100 * got.mean(), 2) == case.expected[f'rounded.m{name}']


@both
@pytest.mark.parametrize('case_id', [i for i in ids('mmseg') if 'nan0' not in i])
def test_rounded_as_mmseg_prints_them(case_id, results):
    case = golden(case_id)
    got = results(case.spec, case.preds, case.targets)
    for name in ('mIoU', 'mAcc', 'mDice', 'mPrecision'):
        assert round(100 * got[name + 'D'], 2) == case.expected[f'rounded.{name}'], name
    assert round(100 * got['aAcc'], 2) == case.expected['rounded.aAcc']


@both
def test_frequency_weights_are_shares_of_the_labels(results):
    """6 pixels of class 0, 2 of class 1 and 1 of class 2; class 3 is only predicted and has no weight."""
    target = np.array([[0, 0, 0, 0, 0, 0, 1, 1, 2]])
    pred = np.array([[0, 0, 0, 0, 1, 3, 1, 2, 2]])
    want = 6 / 9 * 4 / 6 + 2 / 9 * 1 / 3 + 1 / 9 * 1 / 2
    assert results(FineGrained(num_classes=4), pred[None], target[None])['FWIoU'] == pytest.approx(want, abs=SAME)


@both
def test_fscore_differs_from_mmseg_by_design(results):
    # mmseg's F-score of precision and recall is undefined for a class never predicted or never right, ours is 0
    case = golden('mmseg_c6_never_right')
    got = results(case.spec, case.preds, case.targets)
    assert round(100 * got['mFscoreD'], 2) == case.expected['rounded.mDice'] == 37.66
    assert case.expected['rounded.mFscore'] == 56.49


@both
def test_binary_differs_from_jdtlosses_by_design(results):
    # Acc there is the foreground's recall, C averages both classes
    case = golden('jdt_c2_binary')
    got = results(case.spec, case.preds, case.targets)
    right = sum((p == t)[t != 255].sum() for p, t in zip(case.preds, case.targets))
    assert got['aAcc'] == pytest.approx(right / sum((t != 255).sum() for t in case.targets), abs=SAME)
    different = [name for name in case.not_ours if name in got or name == 'Acc']
    assert len(different) == 19
    for name in different:
        if case.expected[name] == 0:  # the lowest of both classes is the foreground's: nothing right
            assert got[name] == 0 and name in ('mIoUC1', 'mIoUC5', 'mDiceC1', 'mDiceC5')
        else:
            assert not abs(got['aAcc' if name == 'Acc' else name] - case.expected[name] / 100) < 1e-4, name
    assert got['mIoUC'] == pytest.approx(got['mIoUI'], abs=SAME)  # one class: both are the mean over its images


@both
@pytest.mark.parametrize('case_id', ids('tm'))
def test_torchmetrics_counts_present_in_either(case_id, results):
    case = golden(case_id)
    spec = FineGrained(num_classes=case.spec.num_classes, ignore_index=None, present_in='either')
    if case.params['include_background']:
        got = results(spec, case.preds, case.targets)['mIoUI']
        assert got == pytest.approx(case.expected['iou'].mean(), abs=2e-6)
    theirs = case.expected['per_class_iou']
    columns = range(spec.num_classes - theirs.shape[1], spec.num_classes)
    for pred, target, row in zip(case.preds, case.targets, theirs):
        state = FineGrainedState(spec.num_classes, None)
        state.update(pred, target)
        ours = state.per_class(spec)['IoUD'][list(columns)]
        np.testing.assert_allclose(np.where(np.isnan(ours), -1, ours), row, atol=2e-6)


@both
@pytest.mark.parametrize('rule', RULES, ids=lambda rule: rule.name)
def test_by_hand(rule, results):
    spec = FineGrained(**rule.params)
    got = results(spec, *rule.arrays())
    assert list(got) == spec.names()
    assert_agrees(got, rule.want, SAME, rule.name)


@both
@pytest.mark.parametrize(
    ('n', 'q', 'k'),
    [(3, 1, 1), (99, 1, 1), (100, 1, 1), (100, 5, 5), (99, 5, 4), (90, 70, 63), (7, 50, 3), (10, 100, 10)],
)
def test_number_of_worst_images_is_an_integer_floor(n, q, k, results):
    spec = FineGrained(num_classes=2, q=(q,), metrics=('mIoU',))
    got = results(spec, *staircase(n))
    want = sum(range(k)) / k / 100  # the lowest k of 0/100, 1/100, ...
    assert_agrees(got, {f'mIoUI{q}': want, f'mIoUC{q}': want}, SAME)


@both
def test_worst_over_all_deciles(results):
    spec = FineGrained(num_classes=2, metrics=('mIoU',))
    lowest = [sum(range(k)) / k / 100 for k in (9, 18, 27, 36, 45, 54, 63, 72, 81, 90)]
    assert_agrees(results(spec, *staircase(90)), {'mIoUIQ': sum(lowest) / 10, 'mIoUCQ': sum(lowest) / 10}, SAME)


@both
def test_dice_is_f1_and_worst_of_everything_is_the_mean(results):
    spec = FineGrained(num_classes=5, metrics=EVERY_METRIC, q=(100,))
    got = results(spec, *random_images(0, 12, 5))
    for suffix in ('D', 'I', 'C', 'IQ', 'CQ'):
        assert got[f'mDice{suffix}'] == pytest.approx(got[f'mFscore{suffix}'], abs=SAME)
    for metric in EVERY_METRIC:
        assert got[f'{metric}I100'] == pytest.approx(got[f'{metric}I'], abs=SAME)
        assert got[f'{metric}C100'] == pytest.approx(got[f'{metric}C'], abs=SAME)


@both
@pytest.mark.parametrize('ignore_index', [None, -1, 2, 255, 1000])
@pytest.mark.parametrize('dtype', ['int64', 'int16', 'int32'])
def test_ignoring_is_deleting(ignore_index, dtype, results):
    preds, targets = random_images(1, 6, 4, (40,), ignore_index)
    spec = FineGrained(num_classes=4, ignore_index=ignore_index, metrics=EVERY_METRIC)
    deleted = FineGrained(num_classes=4, ignore_index=None, metrics=EVERY_METRIC)
    keep = [t != ignore_index for t in targets]
    got = results(spec, preds.astype(dtype), targets.astype(dtype))
    want = by_reference(deleted, [p[k] for p, k in zip(preds, keep)], [t[k] for t, k in zip(targets, keep)])
    assert_results(got, want, SAME)


@both
def test_images_of_any_size_and_rank_and_in_any_order(results):
    spec = FineGrained(num_classes=4, metrics=EVERY_METRIC)
    images = [random_images(seed, 2, 4, shape) for seed, shape in enumerate([(30,), (5, 7), (2, 3, 4)])]
    preds = [p for group, _ in images for p in group]
    targets = [t for _, group in images for t in group]
    got = results(spec, preds, targets)
    assert_results(results(spec, preds[::-1], targets[::-1]), got, SAME)
    assert_results(results(spec, [p.ravel() for p in preds], [t.ravel() for t in targets]), got, SAME)


@pytest.mark.parametrize('params', [dict(), dict(present_in='either'), dict(beta=0.5, ignore_index=None)])
def test_state_equals_reference(params):
    spec = FineGrained(**dict(dict(num_classes=7, metrics=EVERY_METRIC, q=(1, 20, 50)), **params))
    preds, targets = random_images(3, 40, 7, ignore_index=spec.ignore_index)
    assert_results(by_state(spec, preds, targets), by_reference(spec, preds, targets), SAME)


@both
def test_nothing_at_all(results):
    got = results(FineGrained(num_classes=3), [], [])
    assert len(got) == 29 and all(np.isnan(v) for v in got.values())


@both
@pytest.mark.parametrize('bad', [-1, 3])
def test_refuses_a_prediction_that_is_no_class(bad, results):
    with pytest.raises(ValueError, match=f'predictions must be class ids below 3, got {bad}'):
        results(FineGrained(num_classes=3), np.array([[0, bad]]), np.array([[0, 1]]))
    # where it does not count it may be anything
    got = results(FineGrained(num_classes=3), np.array([[0, bad]]), np.array([[0, 255]]))
    assert got['aAcc'] == 1


@both
def test_refuses_maps_that_are_none(results):
    with pytest.raises(TypeError, match='integer class ids, got float64'):
        results(FineGrained(num_classes=3), np.zeros((1, 2)), np.zeros((1, 2), int))
    with pytest.raises(ValueError, match='must have one shape'):
        results(FineGrained(num_classes=3), np.zeros((1, 2), int), np.zeros((1, 3), int))


def test_reference_refuses_unequal_numbers_of_images():
    with pytest.raises(ValueError, match='one map for each image, got 2, 3'):
        FineGrained(num_classes=3).reference(np.zeros((2, 4), int), np.zeros((3, 4), int))
