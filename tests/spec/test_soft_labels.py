"""Soft-label targets: by hand, against the numbers of JDTLosses' code, and what is refused."""

import doctest

import numpy as np
import pytest

from shared_spec import soft_labels
from shared_spec.soft_labels import average_annotators, boundary_label_smoothing, label_smoothing
from tests.metrics.boundary_rules import arrays, index
from tests.soft_labels.cases import crowd, with_absent

X = 255
EXACT = dict(rtol=0, atol=1e-12)


def options(case_id, check):
    params = index(check)[case_id]['params']
    return params, dict(num_classes=params['num_classes'], ignore_index=params['ignore_index'])


def test_the_examples_of_the_docstrings():
    found = doctest.testmod(soft_labels)
    assert found.attempted >= 1 and not found.failed


@pytest.mark.parametrize('case_id', index('bls'))
def test_published_boundary_smoothing(case_id):
    params, given = options(case_id, 'bls')
    case = arrays(case_id)
    got = boundary_label_smoothing(case['label'], params['epsilon'], params['k'], **given)
    np.testing.assert_allclose(got, case['expected_soft'], **EXACT)
    one_hot = boundary_label_smoothing(case['label'], 0, **given)
    np.testing.assert_array_equal((got != one_hot).any(1), case['expected_boundary'] > 0)
    assert 0 < case['expected_boundary'].mean() < 1


@pytest.mark.parametrize('case_id', index('ls'))
def test_published_smoothing(case_id):
    params, given = options(case_id, 'ls')
    case = arrays(case_id)
    got, ignored = label_smoothing(case['label'], params['epsilon'], **given), case['label'] == params['ignore_index']
    by_pixel, want = np.moveaxis(got, 1, -1), np.moveaxis(case['expected_soft'], 1, -1)
    np.testing.assert_allclose(by_pixel[~ignored], want[~ignored], **EXACT)
    # the source leaves epsilon / C on ignored pixels, which its losses mask; ours are 0, as under boundary smoothing
    assert ignored.any() and (by_pixel[ignored] == 0).all()
    np.testing.assert_allclose(want[ignored], params['epsilon'] / params['num_classes'], **EXACT)


def test_published_annotators():
    case = arrays('raters_7')
    got = average_annotators(case['raters'][:, None], 'dice')[0]
    kept = case['keep_mask'] == 1  # the source weighs with the whole masks and marks the rest afterwards
    np.testing.assert_allclose(got[:, kept], case['expected_soft'][:, kept], rtol=2e-6, atol=2e-7)
    assert not np.allclose(average_annotators(case['raters'][:, None])[0, 1], case['expected_weighted'], atol=1e-3)


def test_who_misses_the_majority_has_no_weight_by_design():
    case = arrays('raters_6_disjoint')
    raters = case['raters']
    got = average_annotators(raters[:, None], 'dice')[0, 1]
    assert not (raters[-1] & case['expected_majority']).any()
    np.testing.assert_allclose(got, average_annotators(raters[:-1, None], 'dice')[0, 1], atol=0.02)
    dice = [2 * (r & case['expected_majority']).sum() / (r.sum() + case['expected_majority'].sum()) for r in raters]
    assert dice[-1] == 0
    np.testing.assert_allclose(got, np.tensordot(dice, raters, 1) / sum(dice), **EXACT)
    theirs = [*dice[:-1], 1]  # the source's weight for no overlap at all
    np.testing.assert_allclose(
        np.tensordot(theirs, raters, 1) / sum(theirs), case['expected_weighted'], rtol=2e-6, atol=2e-7
    )
    assert abs(got - case['expected_weighted']).max() > 0.2


def test_smoothing_by_hand():
    got = label_smoothing(np.array([[0, 1, X, 3]]), 0.2, num_classes=4, ignore_index=X)
    low, high = 0.2 / 4, 1 - 0.2 + 0.2 / 4
    want = [[high, low, 0, low], [low, high, 0, low], [low, low, 0, low], [low, low, 0, high]]
    np.testing.assert_allclose(got, [want], **EXACT)
    assert got.dtype == np.float64


@pytest.mark.parametrize('window', [1, 3, 5, 99])
def test_boundary_smoothing_by_hand(window):
    target = np.array([[0, 0, 0, 0, 1, 1, 1, X, 1, 1]])
    got = boundary_label_smoothing(target, 0.4, window, num_classes=2, ignore_index=X)
    boundary = {1: [], 3: [3, 4], 5: [2, 3, 4], 99: []}[window]  # 5 sees the ignored pixel with window 5
    want = np.where(target == np.array([[0], [1]]), 1.0, 0.0)
    for x in boundary:
        want[:, x] = 0.6 * want[:, x] + 0.4 / 2
    np.testing.assert_allclose(got, [want], **EXACT)


def by_loops(target, epsilon, window, num_classes, ignore_index):
    """The same with a loop over pixels, and the window as a slice."""
    soft = np.zeros((len(target), num_classes, *target.shape[1:]))
    for place in np.ndindex(*target.shape):
        n, *at = place
        if target[place] == ignore_index:
            continue
        seen = target[(n, *(slice(max(0, a - window // 2), a + window // 2 + 1) for a in at))]
        smooth = epsilon if len(np.unique(seen)) > 1 and ignore_index not in seen else 0
        soft[(n, slice(None), *at)] = smooth / num_classes
        soft[(n, target[place], *at)] += 1 - smooth
    return soft


@pytest.mark.parametrize('shape', [(3, 9), (2, 7, 6), (2, 4, 3, 5)])
@pytest.mark.parametrize('window', [3, 5])
def test_boundary_smoothing_equals_a_loop_over_pixels(shape, window):
    rng = np.random.default_rng(3)
    target = np.where(rng.random(shape) < 0.03, X, (rng.random(shape) < 0.1) * rng.integers(0, 3, shape))
    got = boundary_label_smoothing(target, 0.5, window, num_classes=3, ignore_index=X)
    want = by_loops(target, 0.5, window, 3, X)
    np.testing.assert_allclose(got, want, **EXACT)
    assert 0 < (want.max(1) == 1).mean() < 1
    np.testing.assert_allclose(got.sum(1), target != X, **EXACT)


def test_annotators_by_hand():
    # sizes 2, 2, 1 and 3; the majority (3 of 4; a tie is background) is pixel 0
    raters = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0], [0, 1, 1, 1]])[:, None]
    uniform = average_annotators(raters)
    np.testing.assert_allclose(uniform, [[[1 / 4, 2 / 4, 2 / 4, 3 / 4], [3 / 4, 2 / 4, 2 / 4, 1 / 4]]], **EXACT)
    dice = np.array([2 / 3, 2 / 3, 2 / 2, 0])
    got = average_annotators(raters, 'dice')
    want = np.array([2 / 3 + 2 / 3 + 1, 2 / 3, 2 / 3, 0]) / dice.sum()
    np.testing.assert_allclose(got, [[1 - want, want]], **EXACT)


def test_annotators_agree_by_image():
    raters = np.array([[[1, 0], [0, 0]], [[1, 0], [1, 0]], [[0, 1], [0, 1]]])
    got = average_annotators(raters, 'dice')[:, 1]
    # image 0: majority pixel 0, Dice 1, 1, 0; image 1: no majority, so an empty mask has Dice 1 and the others 0
    np.testing.assert_allclose(got, [[1, 0], [0, 0]], **EXACT)
    np.testing.assert_allclose(average_annotators(raters[1:], 'dice')[1, 1], [1 / 2, 1 / 2], **EXACT)  # every Dice is 0


@pytest.mark.parametrize('weighting', ['uniform', 'dice'])
def test_who_is_absent_leaves_no_trace(weighting):
    maps = with_absent(crowd(9, (4, 7, 6)), -1)
    got = average_annotators(maps, weighting, ignore_index=X, missing=-1)
    for n in range(3):
        there = maps[(maps[:, n] != -1).all((1, 2)), n : n + 1]
        np.testing.assert_array_equal(got[n : n + 1], average_annotators(there, weighting, ignore_index=X))
    assert not got[3].any() and (got[:3].sum(1) > 0.99).any((1, 2)).all()


def test_a_majority_is_of_those_who_are_present():
    maps = np.full((5, 1, 2), -1)
    maps[:3, 0] = [[1, 0], [1, 0], [0, 1]]
    got = average_annotators(maps, 'dice', missing=-1)
    np.testing.assert_array_equal(got[:, 1], [[1, 0]])  # with Dice 1, 1 and 0; of five, nobody would have a majority


def test_annotators_of_many_classes_and_ignored_pixels():
    raters = np.array([[[0, 1, 2, X]], [[0, 2, 2, 1]]])
    got = average_annotators(raters, num_classes=3, ignore_index=X)
    np.testing.assert_allclose(got, [[[1, 0, 0, 0], [0, 1 / 2, 0, 0], [0, 1 / 2, 1, 0]]], **EXACT)
    binary = np.array([[[1, 1, 0, X]], [[1, 0, 0, 1]], [[1, 1, 0, 1]]])
    whole = average_annotators(binary[..., :3], 'dice')
    got = average_annotators(binary, 'dice', ignore_index=X)
    np.testing.assert_allclose(got[..., :3], whole, **EXACT)
    assert (got[..., 3] == 0).all()


@pytest.mark.parametrize(
    ('call', 'error', 'sentence'),
    [
        (
            lambda y: label_smoothing(y, 1.5, num_classes=2),
            ValueError,
            'epsilon must be a number >= 0 and <= 1, got 1.5',
        ),
        (lambda y: label_smoothing(y, True, num_classes=2), ValueError, 'epsilon must be a number'),
        (lambda y: label_smoothing(y, 0.1, num_classes=1), ValueError, 'target labels must be below 1, got 1'),
        (lambda y: label_smoothing(y, 0.1, num_classes=0), ValueError, 'num_classes must be an integer >= 1, got 0'),
        (lambda y: label_smoothing(y - 1, 0.1, num_classes=2), ValueError, 'target labels must be at least 0, got -1'),
        (
            lambda y: label_smoothing(y, 0.1, num_classes=2, ignore_index='x'),
            ValueError,
            "ignore_index must be an integer, or None, got 'x'",
        ),
        (lambda y: label_smoothing(y * 1.0, 0.1, num_classes=2), TypeError, 'integer class ids, got float64'),
        (
            lambda y: boundary_label_smoothing(y[0], num_classes=2),
            ValueError,
            r'must be \(N, \*space\) .* got shape \(3,\)',
        ),
        (lambda y: boundary_label_smoothing(y, window=4, num_classes=2), ValueError, 'window must be odd, got 4'),
        (lambda y: boundary_label_smoothing(y, window=0, num_classes=2), ValueError, 'window must be an integer >= 1'),
        (lambda y: boundary_label_smoothing(y, window=2.5, num_classes=2), ValueError, 'window must be an integer'),
        (lambda y: average_annotators(y[None], 'median'), ValueError, "weighting must be 'uniform' or 'dice'"),
        (
            lambda y: average_annotators(y[None], 'dice', num_classes=3),
            ValueError,
            "weighting='dice' needs num_classes=2",
        ),
        (average_annotators, ValueError, r'targets must be \(annotators, N, \*space\)'),
        (lambda y: average_annotators(y[None][:0]), ValueError, 'with an annotator, got'),
        (lambda y: average_annotators(None), TypeError, 'targets must have a label map for each annotator, got None'),
        (lambda y: average_annotators([y, None]), TypeError, 'for each annotator, got None as number 1'),
        (lambda y: average_annotators(y[None], missing=1), ValueError, 'that is no class and not ignore_index, got 1'),
        (lambda y: average_annotators(y[None], missing=X, ignore_index=X), ValueError, 'not ignore_index, got 255'),
        (
            lambda y: average_annotators(y[None], missing='x'),
            ValueError,
            'missing must be an integer from .* None, got',
        ),
        (lambda y: average_annotators(-y[None], missing=-1), ValueError, 'at none, got 2 of 3'),
    ],
)
def test_refused(call, error, sentence):
    with pytest.raises(error, match=sentence) as caught:
        call(np.array([[0, 1, 1]]))
    assert '\n' not in str(caught.value)
