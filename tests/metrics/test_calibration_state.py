"""The mergeable state of calibration: equal however the images are split, exact, kept as plain arrays."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared_spec.metrics.calibration import Calibration
from shared_spec.metrics.calibration import state as module
from shared_spec.metrics.calibration.state import ONE, CalibrationState, image_cells
from tests.metrics.calibration_cases import UNITS, random_images
from tests.metrics.compare import SAME, assert_results

SPEC = Calibration(num_classes=4)
PROBS, TARGETS = random_images(11, 23, 4)
TARGETS[5] = 255


def identical(got, want):
    """Every result the same to the last digit."""
    assert list(got) == list(want)
    np.testing.assert_array_equal(list(got.values()), list(want.values()))


def state_of(images, identified=True):
    state = CalibrationState(4)
    for i in images:
        state.update(PROBS[i], TARGETS[i], image_id=i if identified else None)
    return state


WHOLE = state_of(range(len(PROBS))).results(SPEC)


def test_an_image_of_no_numbers_is_kept_as_such(tmp_path):
    state, bad = state_of(range(3)), PROBS[3].copy()
    bad.reshape(4, -1)[0, np.flatnonzero(TARGETS[3].ravel() != 255)[0]] = np.nan
    state.update(bad, TARGETS[3], image_id=3)
    np.savez(tmp_path / 'state.npz', **state.to_arrays())
    with np.load(tmp_path / 'state.npz', allow_pickle=False) as arrays:
        again = state_of([7]).merge(CalibrationState.from_arrays(arrays))
    for name, value in again.results(SPEC).items():
        assert np.isnan(value), name
    assert np.isnan(again.per_class(SPEC)['SCED']).all()
    assert np.isnan(again.cells(SPEC)['ECE']).tolist() == [False, False, False, False, True]


def test_it_is_the_reference():
    assert_results(WHOLE, SPEC.reference(PROBS, TARGETS), UNITS)


@settings(max_examples=60, deadline=None)
@given(
    shards=st.lists(st.lists(st.integers(0, len(PROBS) - 1), max_size=12), min_size=1, max_size=6),
    rest=st.integers(0, 5),
    order=st.randoms(use_true_random=False),
)
def test_any_split_with_any_repetition_gives_the_same_last_digit(shards, rest, order):
    missing = sorted(set(range(len(PROBS))) - {i for shard in shards for i in shard})
    shards[rest % len(shards)] += missing  # every image is somewhere, some are in several places
    states = [state_of(shard) for shard in shards]
    order.shuffle(states)
    identical(states[0].merge(*states[1:]).results(SPEC), WHOLE)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(TARGETS[0].size)), chunk=st.integers(1, 40))
def test_neither_the_order_of_pixels_nor_the_chunks_change_a_digit(order, chunk):
    prob, target = PROBS[0].reshape(4, -1)[:, order], TARGETS[0].ravel()[order]
    want = image_cells(PROBS[0], TARGETS[0], 4, 10, 255)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, 'CHUNK', chunk)
        np.testing.assert_array_equal(image_cells(prob, target, 4, 10, 255), want)


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, len(PROBS)), max_size=4))
def test_images_without_identity_are_all_kept(cuts):
    edges = [0, *sorted(cuts), len(PROBS)]
    states = [state_of(range(a, b), identified=False) for a, b in itertools.pairwise(edges)]
    identical(CalibrationState(4).merge(*states).results(SPEC), WHOLE)
    twice = state_of(range(3), identified=False).merge(state_of(range(3), identified=False))
    assert len(twice) == 6


def test_a_repeated_image_changes_the_results_unless_it_is_dropped():
    doubled = state_of([*range(23), 0, 1, 2], identified=False).results(SPEC)
    assert all(doubled[name] != WHOLE[name] for name in WHOLE)
    identical(state_of([*range(23), 0, 1, 2]).results(SPEC), WHOLE)


def test_a_merge_with_itself_adds_nothing():
    state = state_of(range(5))
    assert len(state.merge(state)) == 5 and state.image_ids == list('01234')


def test_the_first_of_two_different_tables_is_kept_with_a_warning():
    state = CalibrationState(2)
    state.update(np.array([[0.75, 0.75], [0.25, 0.25]]), np.array([0, 1]), image_id='a.png')
    want = state.results(Calibration(num_classes=2))
    state.update(np.array([[0.75, 0.75], [0.25, 0.25]]) + 1e-7, np.array([0, 1]), image_id='a.png')  # a GPU's digit
    with pytest.warns(UserWarning, match="image 'a.png' came twice with different values; the first is kept"):
        state.update(np.array([[0.75, 0.75], [0.25, 0.25]]), np.array([0, 0]), image_id='a.png')
    identical(state.results(Calibration(num_classes=2)), want)


def test_past_2_31_pixels_and_past_2_63_units():
    # three images of 2^32 pixels and a few, sure of class 0 and half of them right: 3 * 2^62 units overflow an int64
    state = CalibrationState(2, bins=1)
    pixels = right = 0
    for i in range(3):
        n, k = 2**32 + i, 2**31 + 7 * i
        state.add([[0, n, k, k, n * ONE], [1, n, n - k, 0, 0], [2, n, k, k, n * ONE]], image_id=i)
        pixels, right = pixels + n, right + k
    got = state.results(Calibration(num_classes=2, bins=1))
    want = dict(ECED=(pixels - right) / pixels, SCED=(pixels - right) / pixels)
    assert {name: got[name] for name in want} == want
    assert got['ECEI'] == pytest.approx(sum((2**31 - 6 * i) / (2**32 + i) for i in range(3)) / 3, abs=1e-16)
    # one pixel more or less shows; a float32 would not have seen it
    state.add([[0, 1, 0, 0, ONE], [1, 1, 1, 0, 0], [2, 1, 0, 0, ONE]])
    assert state.results(Calibration(num_classes=2, bins=1))['ECED'] == (pixels + 1 - right) / (pixels + 1)


@pytest.mark.parametrize('ignore_index', [255, None])
@pytest.mark.parametrize('image_ids', [['a', None, 'ü/1.png'], [None, None, None], [0, 1, 2]])
def test_arrays_round_trip_through_a_file(tmp_path, ignore_index, image_ids):
    spec = Calibration(num_classes=4, ignore_index=ignore_index, bins=7)
    state = CalibrationState(4, ignore_index, bins=7)
    for i, image_id in enumerate(image_ids):
        state.update(PROBS[4 + i], TARGETS[4 + i], image_id=image_id)  # the second is wholly ignored
    np.savez(tmp_path / 'state.npz', **state.to_arrays())
    with np.load(tmp_path / 'state.npz', allow_pickle=False) as arrays:
        again = CalibrationState.from_arrays(arrays)
    identical(again.results(spec), state.results(spec))
    assert again.image_ids == state.image_ids and len(again) == 3
    assert (again.num_classes, again.ignore_index, again.bins) == (4, ignore_index, 7)


def test_an_empty_state_round_trips():
    assert len(CalibrationState.from_arrays(CalibrationState(3).to_arrays())) == 0


@pytest.mark.parametrize('hit', ['label', 'argmax'])
def test_per_class_are_the_terms_of_the_mean(hit):
    state, spec = state_of(range(len(PROBS))), Calibration(num_classes=4, hit=hit)
    values = state.per_class(spec)['SCED']
    assert values.shape == (4,) and values.mean() == pytest.approx(state.results(spec)['SCED'], abs=SAME)
    assert state.per_class(Calibration(num_classes=4, levels=['I'])) == {}
    assert state.per_class(Calibration(num_classes=4, metrics=['ECE'])) == {}


def test_a_table_is_by_hand():
    prob, target = np.array([[0.75, 1.0, 0.5], [0.25, 0.0, 0.5]]), np.array([0, 1, 1])
    want = [  # class * bins + bin, pixels, labelled, right, units of confidence
        [0 * 4 + 2, 1, 0, 0, ONE // 2],
        [0 * 4 + 3, 2, 1, 1, ONE // 4 * 7],
        [1 * 4 + 0, 1, 1, 0, 0],
        [1 * 4 + 1, 1, 0, 0, ONE // 4],
        [1 * 4 + 2, 1, 1, 0, ONE // 2],
        [2 * 4 + 2, 1, 0, 0, ONE // 2],  # the most probable class: 0 everywhere
        [2 * 4 + 3, 2, 1, 1, ONE // 4 * 7],
    ]
    got = image_cells(prob, target, 2, 4)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, want)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_state_is_the_reference_on_small_images(data):
    num_classes = data.draw(st.sampled_from([2, 3, 5]))
    n = data.draw(st.integers(0, 8))
    spec = Calibration(
        num_classes=num_classes,
        ignore_index=data.draw(st.sampled_from([None, -1, 0, 255])),
        bins=data.draw(st.sampled_from([1, 3, 10, 16])),
        hit=data.draw(st.sampled_from(['label', 'argmax'])),
        binary=num_classes == 2 and data.draw(st.booleans()),
    )
    dtype = data.draw(st.sampled_from([np.float16, np.float32, np.float64]))
    values = st.one_of(st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.7, 1.0]), st.floats(0, 1))
    probs = np.array(data.draw(st.lists(values, min_size=2 * num_classes * n, max_size=2 * num_classes * n)))
    labels = st.lists(st.sampled_from([-5, -1, 0, 1, 2, 4, 9, 255]), min_size=2 * n, max_size=2 * n)
    weights = st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), min_size=2 * n, max_size=2 * n)
    images = probs.reshape(2, num_classes, n).astype(dtype), np.array(data.draw(labels), int).reshape(2, n)
    weight = np.array(data.draw(weights)).reshape(2, n)
    state = CalibrationState(num_classes, spec.ignore_index, spec.bins)
    for prob, target, w in zip(*images, weight):
        state.update(prob, target, w)
    assert_results(state.results(spec), spec.reference(*images, weight), UNITS)


def test_views_are_read_as_they_lie():
    prob, target = PROBS[1, :, ::2, ::-1], TARGETS[1, ::2, ::-1]
    want = image_cells(prob.copy(), target.copy(), 4, 10, 255)
    np.testing.assert_array_equal(image_cells(prob, target, 4, 10, 255), want)
    np.testing.assert_array_equal(image_cells(prob.transpose(0, 2, 1), target.T, 4, 10, 255), want)


def test_what_does_not_fit_is_refused():
    with pytest.raises(
        ValueError,
        match="only states that measure the same can be merged, this one has {'num_classes': 4, 'ignore_index': 255, 'bins': 10}",
    ):
        CalibrationState(4).merge(CalibrationState(4, 0))
    with pytest.raises(ValueError, match="got {'num_classes': 4, 'ignore_index': 255, 'bins': 15}"):
        CalibrationState(4).merge(CalibrationState(4, bins=15))
    with pytest.raises(
        ValueError, match="measures {'num_classes': 4, 'ignore_index': 255, 'bins': 10}, asked for results with"
    ):
        CalibrationState(4).results(Calibration(num_classes=4, bins=15))
    bad = [
        np.zeros((1, 4), int),
        np.zeros((1, 5)),
        np.zeros(5, int),
        [[30, 1, 0, 0, 0]],  # there are 3 * 10 cells
        [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0]],
        [[1, 1, 2, 0, 0]],
        [[1, 1, 0, 1, 0]],
        [[1, 1, 0, 0, -1]],
    ]
    for cells in bad:
        with pytest.raises(ValueError, match=r'cells must be integers >= 0 of shape \(cells, 5\) with ascending cells'):
            CalibrationState(2).add(cells)
