"""The mergeable state: equal however the images are split, exact past 2^31 pixels, kept as plain arrays."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared_spec.metrics.fine_grained import FineGrained
from shared_spec.metrics.fine_grained import state as counts_module
from shared_spec.metrics.fine_grained.state import FineGrainedState, image_counts
from tests.metrics.compare import SAME, assert_agrees
from tests.metrics.golden import EVERY_METRIC
from tests.metrics.rules import random_images

SPEC = FineGrained(num_classes=4, metrics=EVERY_METRIC, q=(1, 5, 30))
PREDS, TARGETS = random_images(11, 23, 4, (20,))


def identical(got, want):
    """Every result the same to the last digit."""
    assert list(got) == list(want)
    np.testing.assert_array_equal(list(got.values()), list(want.values()))


def state_of(images, identified=True):
    state = FineGrainedState(4)
    for i in images:
        state.update(PREDS[i], TARGETS[i], image_id=i if identified else None)
    return state


WHOLE = state_of(range(len(PREDS))).results(SPEC)


@settings(max_examples=60, deadline=None)
@given(
    shards=st.lists(st.lists(st.integers(0, len(PREDS) - 1), max_size=12), min_size=1, max_size=6),
    rest=st.integers(0, 5),
    order=st.randoms(use_true_random=False),
)
def test_any_split_with_any_repetition_gives_the_same_last_digit(shards, rest, order):
    missing = sorted(set(range(len(PREDS))) - {i for shard in shards for i in shard})
    shards[rest % len(shards)] += missing  # every image is somewhere, some are in several places
    states = [state_of(shard) for shard in shards]
    order.shuffle(states)
    identical(states[0].merge(*states[1:]).results(SPEC), WHOLE)


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, len(PREDS)), max_size=4))
def test_images_without_identity_are_all_kept(cuts):
    edges = [0, *sorted(cuts), len(PREDS)]
    states = [state_of(range(a, b), identified=False) for a, b in itertools.pairwise(edges)]
    identical(FineGrainedState(4).merge(*states).results(SPEC), WHOLE)
    twice = state_of(range(3), identified=False).merge(state_of(range(3), identified=False))
    assert len(twice) == 6


def test_bools_are_0_and_1_whatever_their_bytes():
    """Pillow's 1-bit images hold 0 and 255."""
    masks = [ids % 2 == 1 for ids in (PREDS[0], TARGETS[0])]
    want = image_counts(*(mask.astype(int) for mask in masks), 2)
    assert np.array_equal(image_counts(*((mask * np.uint8(255)).view(bool) for mask in masks), 2), want)


def test_a_repeated_image_changes_the_results_unless_it_is_dropped():
    doubled = state_of([*range(23), 0, 1, 2], identified=False).results(SPEC)
    assert doubled['mIoUD'] != WHOLE['mIoUD'] and doubled['mIoUI'] != WHOLE['mIoUI']


def test_a_merge_with_itself_adds_nothing():
    state = state_of(range(5))
    assert len(state.merge(state)) == 5


def test_the_first_of_two_different_counts_is_kept_with_a_warning():
    state = FineGrainedState(1)
    state.add([[3, 0, 0]], image_id='a.png')
    with pytest.warns(UserWarning, match="image 'a.png' came twice with different values; the first is kept"):
        state.add([[2, 1, 0]], image_id='a.png')
    assert state.counts.tolist() == [[[3, 0, 0]]]


def test_past_2_31_pixels():
    spec = FineGrained(num_classes=2, metrics=('mIoU', 'mAcc'), q=())
    state = FineGrainedState(2)
    for i in range(3):
        state.add(np.array([[2**33 + i, 2**31, 0], [2**32, 0, 2**31]]), image_id=i)
    tp = 3 * 2**33 + 3  # an int32 would have wrapped, a float32 would have dropped the 3
    want = {
        'aAcc': (tp + 3 * 2**32) / (tp + 3 * 2**32 + 3 * 2**31),
        'mIoUD': (tp / (tp + 3 * 2**31) + 2 / 3) / 2,
        'mAccD': (1 + 2 / 3) / 2,
    }
    assert_agrees(state.results(spec), want, 1e-15)
    assert state.counts.sum(0)[0, 0] == tp


@pytest.mark.parametrize('ignore_index', [255, None])
@pytest.mark.parametrize('image_ids', [['a', None, 'ü/1.png'], [None, None, None], [0, 1, 2]])
def test_arrays_round_trip_through_a_file(tmp_path, ignore_index, image_ids):
    state = FineGrainedState(4, ignore_index)
    for pred, target, image_id in zip(PREDS, np.minimum(TARGETS, 3), image_ids):
        state.update(pred, target, image_id=image_id)
    np.savez(tmp_path / 'state.npz', **state.to_arrays())
    with np.load(tmp_path / 'state.npz', allow_pickle=False) as arrays:
        again = FineGrainedState.from_arrays(arrays)
    np.testing.assert_array_equal(again.counts, state.counts)
    assert again.image_ids == state.image_ids and again.ignore_index == ignore_index and again.num_classes == 4
    assert again.counts.dtype == np.int64


def test_an_empty_state_round_trips():
    assert len(FineGrainedState.from_arrays(FineGrainedState(3).to_arrays())) == 0


def test_per_class_are_the_terms_of_the_means():
    state = state_of(range(len(PREDS)))
    per_class, results = state.per_class(SPEC), state.results(SPEC)
    assert 'IoUC5' in per_class and 'IoUI' not in per_class
    for name, values in per_class.items():
        assert values.shape == (4,)
        assert np.nanmean(values) == pytest.approx(results['m' + name], abs=SAME), name


def test_what_does_not_fit_is_refused():
    with pytest.raises(
        ValueError, match=r"can be merged, this one has .*'ignore_index': 255}, got {.*'ignore_index': 0}"
    ):
        FineGrainedState(4).merge(FineGrainedState(4, 0))
    with pytest.raises(
        ValueError, match="measures {'num_classes': 3, 'ignore_index': 255}, asked for results with {'num_classes': 4"
    ):
        FineGrainedState(3).results(SPEC)
    for counts in (np.zeros((3, 2), int), np.zeros((3, 3)), -np.ones((3, 3), int)):
        with pytest.raises(ValueError, match=r'counts must be integers >= 0 of shape \(3, 3\)'):
            FineGrainedState(3).add(counts)


def by_loops(pred, target, num_classes, ignore_index, weight):
    counts = np.zeros((num_classes, 3), np.int64)
    for p, t, w in zip(pred.ravel().tolist(), target.ravel().tolist(), weight.ravel().tolist()):
        if w > 0 and t != ignore_index:
            if p == t:
                counts[p, 0] += 1
            else:
                counts[p, 1] += 1
                if 0 <= t < num_classes:
                    counts[t, 2] += 1
    return counts


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_image_counts_equal_a_loop_over_pixels(data):
    num_classes = data.draw(st.sampled_from([1, 2, 5, 300]))
    ignore_index = data.draw(st.sampled_from([None, -1, 0, 1, 255, 65535]))
    n = data.draw(st.integers(0, 24))
    labels = st.sampled_from([-5, -1, 0, 1, 2, 4, 5, 254, 255, 256, 299, 300, 65535, 10**6])
    target = np.array(data.draw(st.lists(labels, min_size=n, max_size=n)), np.int64)
    pred = np.array(data.draw(st.lists(st.integers(0, num_classes - 1), min_size=n, max_size=n)), np.int64)
    weight = np.array(data.draw(st.lists(st.sampled_from([-1.0, 0.0, 1e-9, 1.0]), min_size=n, max_size=n)))
    got = image_counts(pred, target, num_classes, ignore_index, weight)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, by_loops(pred, target, num_classes, ignore_index, weight))


@pytest.mark.parametrize('pred_dtype', ['uint8', 'int64', 'uint16', 'int32', 'bool'])
@pytest.mark.parametrize('target_dtype', ['uint8', 'int16', 'uint64', 'bool'])
def test_image_counts_of_every_dtype(pred_dtype, target_dtype):
    rng = np.random.default_rng(5)
    pred, target = (rng.integers(0, 2, (9, 7)).astype(dtype) for dtype in (pred_dtype, target_dtype))
    want = by_loops(pred.astype(int), target.astype(int), 2, 255, np.ones(63))
    np.testing.assert_array_equal(image_counts(pred, target, 2, 255), want)


def test_image_counts_of_views_and_of_many_chunks(monkeypatch):
    preds, targets = random_images(2, 2, 6, (101, 33))
    pred, target = preds[0, ::2].T, targets[0, ::2].T
    want = by_loops(pred, target, 6, 255, np.ones(pred.size))
    np.testing.assert_array_equal(image_counts(pred, target, 6, 255), want)
    monkeypatch.setattr(counts_module, 'CHUNK', 1)
    big_pred, big_target = np.tile(pred, (4, 4)), np.tile(target, (4, 4))  # more than four tables of 256 * 6
    assert big_pred.size > 4 * 256 * 6
    np.testing.assert_array_equal(image_counts(big_pred, big_target, 6, 255), 16 * want)
