"""The mergeable state of the boundary metrics: equal however the images are split, kept as plain arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared_spec.metrics.boundary import BoundaryIoU, BoundaryState, SurfaceDistance
from tests.metrics.boundary_rules import Both, random_pairs

pytest.importorskip('scipy', reason='SciPy is not installed: pip install scipy')

SPACING = (1.3, 0.7)
SPECS = [
    Both(num_classes=4, spacing=SPACING, empty='diagonal'),
    Both(num_classes=4, spacing=SPACING, present_in='either'),
]
PREDS, TARGETS = random_pairs(11, 17, 4)
ROWS = [BoundaryState(4, spacing=SPACING).row(pred, target) for pred, target in zip(PREDS, TARGETS)]


def identical(got, want):
    """Every result the same to the last digit."""
    assert list(got) == list(want)
    np.testing.assert_array_equal(list(got.values()), list(want.values()))


def state_of(images, identified=True):
    state = BoundaryState(4, spacing=SPACING)
    for i in images:
        state.add(*ROWS[i], image_id=i if identified else None)
    return state


WHOLE = [spec.results(state_of(range(len(ROWS)))) for spec in SPECS]


def test_the_results_are_worth_comparing():
    assert np.isfinite(list(WHOLE[0].values())).all() and len(set(WHOLE[0].values())) == 9
    assert np.isinf(WHOLE[1]['HDI']) and WHOLE[1]['BoundaryIoUI'] != WHOLE[0]['BoundaryIoUI']


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    shards=st.lists(st.lists(st.integers(0, len(ROWS) - 1), max_size=9), min_size=1, max_size=5),
    rest=st.integers(0, 4),
    order=st.randoms(use_true_random=False),
)
def test_any_split_with_any_repetition_gives_the_same_last_digit(shards, rest, order):
    missing = sorted(set(range(len(ROWS))) - {i for shard in shards for i in shard})
    order.shuffle(missing)
    shards[rest % len(shards)] += missing  # every image is somewhere, some are in several places
    states = [state_of(shard) for shard in shards]
    order.shuffle(states)
    merged = states[0].merge(*states[1:])
    for spec, want in zip(SPECS, WHOLE):
        identical(spec.results(merged), want)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(order=st.permutations(range(len(ROWS))), cut=st.integers(0, len(ROWS)))
def test_images_without_identity_are_all_kept_in_any_order(order, cut):
    merged = state_of(order[:cut], identified=False).merge(state_of(order[cut:], identified=False))
    identical(SPECS[0].results(merged), WHOLE[0])
    assert len(merged.merge(state_of(range(3), identified=False))) == len(ROWS) + 3


def test_a_repeated_image_changes_the_results_unless_it_is_dropped():
    doubled = SPECS[0].results(state_of([*range(17), 0, 1, 2], identified=False))
    assert all(doubled[name] != WHOLE[0][name] for name in WHOLE[0])


def test_a_merge_with_itself_adds_nothing():
    state = state_of(range(5))
    assert len(state.merge(state)) == 5


@pytest.mark.parametrize('changed', [0, 1, 2])
def test_the_first_of_two_different_rows_is_kept_with_a_warning(changed):
    state = state_of([3])
    row = list(ROWS[3])
    row[changed] = row[changed] + 1
    with pytest.warns(UserWarning, match="image '3' came twice with different values; the first is kept"):
        state.add(*row, image_id=3)
    identical(SPECS[0].results(state), SPECS[0].results(state_of([3])))


def test_counts_past_2_31_pixels():
    state = BoundaryState(2, distances=False)
    for i in range(3):
        state.add(np.array([[2**33 + i, 2**31, 0], [2**32, 0, 2**31]]), np.full((2, 3), np.nan), 1.0, image_id=i)
    tp = 3 * 2**33 + 3  # an int32 would have wrapped, a float32 would have dropped the 3
    got = state.results(BoundaryIoU(num_classes=2))
    assert got['BoundaryIoUD'] == pytest.approx((tp / (tp + 3 * 2**31) + 2 / 3) / 2, abs=1e-15)


@pytest.mark.parametrize('params', [dict(), dict(ignore_index=None, spacing=None, ratio=0.1), dict(distances=False)])
@pytest.mark.parametrize('image_ids', [['a', None, 'ü/1.png'], [None, None, None], [0, 1, 2]])
def test_arrays_round_trip_through_a_file(tmp_path, params, image_ids):
    state = BoundaryState(4, **{'spacing': SPACING, **params})
    for pred, target, image_id in zip(PREDS, TARGETS, image_ids):
        state.update(pred, target, image_id=image_id)
    np.savez(tmp_path / 'state.npz', **state.to_arrays())
    with np.load(tmp_path / 'state.npz', allow_pickle=False) as arrays:
        again = BoundaryState.from_arrays(arrays)
    want, got = state.to_arrays(), again.to_arrays()
    assert list(got) == list(want) and again.image_ids == state.image_ids == [
        i if i is None else str(i) for i in image_ids
    ]
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], err_msg=name, strict=True)
    assert want['counts'].dtype == np.int64 and want['distances'].dtype == want['diagonal'].dtype == np.float64
    assert np.isnan(want['distances']).all() == (params.get('distances') is False)
    again.merge(state)  # they measure the same


def test_an_empty_state_round_trips():
    assert len(BoundaryState.from_arrays(BoundaryState(3).to_arrays())) == 0


def test_per_class_are_the_terms_of_the_means():
    state = state_of(range(len(ROWS)))
    per_class = {k: v for spec in SPECS[0].specs for k, v in state.per_class(spec).items()}
    assert list(per_class) == ['BoundaryIoUD', 'BoundaryIoUC', 'HDC', 'HD95C', 'ASSDC']
    for name, values in per_class.items():
        assert values.shape == (4,)
        assert np.nanmean(values) == pytest.approx(WHOLE[0][name], abs=1e-12), name


def test_for_spec_measures_what_is_reported():
    state = BoundaryState.for_specs(*SPECS[0].specs)
    assert state.distances and state.to_arrays()['spacing'].tolist() == list(SPACING)
    state = BoundaryState.for_specs(BoundaryIoU(num_classes=3, ratio=0.3))
    assert not state.distances and state.to_arrays()['ratio'] == 0.3


def test_what_does_not_fit_is_refused():
    others = [BoundaryState(3), BoundaryState(4, 0), BoundaryState(4, ratio=0.1), BoundaryState(4, spacing=[1, 1])]
    for other in (*others, BoundaryState(4, distances=False)):
        with pytest.raises(ValueError, match='only states that measure the same can be merged, this one has'):
            BoundaryState(4).merge(other)
    for other in others:
        with pytest.raises(ValueError, match='BoundaryState: measures .*, asked for results with '):
            Both(num_classes=4).results(other)
    with pytest.raises(ValueError, match='measured no distances, asked for HD95'):
        BoundaryState(4, distances=False).results(SurfaceDistance(num_classes=4, metrics=['HD95']))
    nothing = np.full((3, 3), np.nan)
    for counts in (np.zeros((3, 2), int), np.zeros((3, 3)), -np.ones((3, 3), int)):
        with pytest.raises(ValueError, match=r'counts must be integers >= 0 of shape \(3, 3\)'):
            BoundaryState(3).add(counts, nothing, 1.0)
    for distances in (np.zeros((3, 2)), np.zeros((3, 3), int), -np.ones((3, 3))):
        with pytest.raises(ValueError, match=r'distances must be numbers >= 0 of shape \(3, 3\)'):
            BoundaryState(3).add(np.zeros((3, 3), int), distances, 1.0)
