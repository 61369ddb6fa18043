"""The reference and the mergeable state against by-hand rules, published numbers and identities."""

import math
import sys

import numpy as np
import pytest

from shared_spec.metrics.boundary import spec as reference
from shared_spec.metrics.boundary.state import BoundaryState, boundary_counts, surface_distances
from tests.metrics.boundary_rules import RULES, Both, arrays, index, random_pairs
from tests.metrics.compare import SAME, assert_agrees, assert_results

FLOAT32 = dict(rtol=2e-6, atol=1e-6)  # the tolerances of the golden distances, which are float32
DISTANCES = ('HD', 'HD95', 'ASSD')

pytest.importorskip('scipy', reason='SciPy is not installed: pip install scipy')


def by_reference(spec, preds, targets, weights=None):
    return spec.reference(preds, targets, weights)


def by_state(spec, preds, targets, weights=None):
    state = BoundaryState.for_specs(*spec.specs)
    for i in range(len(targets)):
        state.update(preds[i], targets[i], None if weights is None else weights[i])
    return spec.results(state)


both = pytest.mark.parametrize('results', [by_reference, by_state], ids=['reference', 'state'])


@both
@pytest.mark.parametrize('rule', RULES, ids=lambda rule: rule.name)
def test_by_hand(rule, results):
    spec = Both(**rule.params)
    got = results(spec, rule.preds, rule.targets, rule.weights)
    assert list(got) == spec.names()
    assert_agrees(got, rule.want, SAME, rule.name)


def distances_of_pair(pred, gt, spacing):
    """(reference, fast): HD, HD95, ASSD of two masks, each as one image of the binary problem."""
    spec = Both(num_classes=2, ignore_index=None, binary=True, spacing=spacing, metrics=DISTANCES, levels=['I'])
    found = spec.reference(pred[None], gt[None])
    slow = [found[metric + 'I'] for metric in DISTANCES]
    return slow, surface_distances(pred, gt, 2, spacing=spacing)[1].tolist()


@pytest.mark.parametrize('case_id', ['surf_monai_2d_spacing', 'surf_monai_3d_spacing'])
def test_published_by_monai(case_id):
    params, case = index('monai')[case_id]['params'], arrays(case_id)
    undecided = 0
    for i, name in enumerate(params['names']):
        want = [case[f'expected_{metric}'][i, 0] for metric in DISTANCES]
        if name in ('gt_empty', 'pred_empty'):  # MONAI's HD95 is undefined where HD is infinite; ours is infinite
            assert math.isnan(want[1])
            want[1] = math.inf
            undecided += 1
        for got in distances_of_pair(case['pred'][i], case['gt'][i], params['spacing']):
            np.testing.assert_allclose(got, want, **FLOAT32, err_msg=name)
    assert undecided >= 1


@pytest.mark.parametrize('case_id', ['surf_monai_2d_spacing', 'surf_monai_3d_spacing'])
def test_published_directed_distances(case_id):
    params, case = index('monai')[case_id]['params'], arrays(case_id)
    for i, (pred, gt) in enumerate(zip(case['pred'], case['gt'])):
        if pred.any() and gt.any():
            points, others = (reference.surface(mask > 0) for mask in (pred, gt))
            there = reference.directed_distances(points, others, np.array(params['spacing']))
            got = max(there), reference.quantile(0.95, there), sum(there) / len(there)
            want = [case[f'expected_{n}_directed'][i, 0] for n in ('HD', 'HD95', 'ASD')]
            np.testing.assert_allclose(got, want, **FLOAT32)


def test_published_by_monai_for_classes():
    params, case = index('monai')['surf_monai_multiclass']['params'], arrays('surf_monai_multiclass')
    preds, gts = case['pred'].argmax(1), case['gt'].argmax(1)
    want = np.stack([case[f'expected_{metric}'] for metric in DISTANCES], -1)
    want[..., 1] = np.where(np.isinf(want[..., 0]), np.inf, want[..., 1])
    got = [surface_distances(pred, gt, 4, spacing=params['spacing']) for pred, gt in zip(preds, gts)]
    np.testing.assert_allclose(got, want, **FLOAT32)
    spec = Both(num_classes=4, ignore_index=None, present_in='either', spacing=params['spacing'], metrics=DISTANCES)
    for pred, gt, rows in zip(preds, gts, want):
        expected = dict(zip(('HDI', 'HD95I', 'ASSDI'), np.nanmean(rows, 0)))
        assert_agrees(spec.reference(pred[None], gt[None]), expected, 1e-5)


@pytest.mark.parametrize('case_id', ['surf_torchmetrics_2d', 'surf_torchmetrics_2d_spacing'])
def test_published_by_torchmetrics(case_id):
    params, case = index('tmhd')[case_id]['params'], arrays(case_id)
    for pred, gt, want in zip(case['pred'], case['gt'], case['expected_HD']):
        for got in distances_of_pair(pred, gt, params['spacing']):
            np.testing.assert_allclose(got[0], want, **FLOAT32)


def test_deepmind_measures_between_corners_and_differs_by_design():
    case = arrays('surf_deepmind_2d')
    got = np.array([distances_of_pair(p, g, None)[1] for p, g in zip(case['pred'], case['gt'])])
    names = index('deepmind')['surf_deepmind_2d']['params']['names']
    theirs = dict(zip(names, zip(case['expected_HD'], case['expected_HD95'])))
    ours = dict(zip(names, got[:, :2]))
    assert ours['border'][1] == pytest.approx(3.0) and theirs['border'][1] == pytest.approx(27.2, abs=0.01)
    different = [n for n in names if not np.allclose(ours[n], theirs[n], atol=0.01, equal_nan=True)]
    assert {'blob0', 'blob1', 'blob2', 'blob4', 'border', 'full_vs_box', 'line_vs_box', 'both_empty'} <= set(different)
    assert theirs['both_empty'] == (math.inf, math.inf) and np.isnan(ours['both_empty']).all()


@pytest.mark.parametrize('case_id', ['boundary_iou_r02', 'boundary_iou_r05', 'boundary_iou_r15'])
def test_published_boundaries(case_id):
    ratio, case = index('bi')[case_id]['params']['dilation_ratio'], arrays(case_id)
    spec = Both(num_classes=2, ignore_index=None, ratio=ratio, binary=True, metrics=['BoundaryIoU'])
    for i, (pred, gt, want) in enumerate(zip(case['pred'], case['gt'], case['expected_boundary_iou'])):
        b_pred, b_gt = case['expected_boundary_pred'][i] > 0, case['expected_boundary_gt'][i] > 0
        np.testing.assert_array_equal(reference.boundary(pred > 0, ratio), b_pred)
        np.testing.assert_array_equal(reference.boundary(gt > 0, ratio), b_gt)
        tp, fp, fn = boundary_counts(pred, gt, 2, ratio=ratio)[1]
        assert (tp, fp, fn) == ((b_pred & b_gt).sum(), (b_pred & ~b_gt).sum(), (~b_pred & b_gt).sum())
        for results in (by_reference, by_state):
            assert_agrees(results(spec, pred[None], gt[None]), {'BoundaryIoUD': want}, SAME)


@both
def test_published_boundary_means(results):
    entry, case = index('bimc')['boundary_iou_multiclass'], arrays('boundary_iou_multiclass')
    spec = Both(num_classes=4, ignore_index=None, ratio=entry['params']['dilation_ratio'], metrics=['BoundaryIoU'])
    got = results(spec, case['pred'], case['label'])
    want = {f'BoundaryIoU{k}': entry['expected'][f'mBoundaryIoU{k}'] / 100 for k in 'DIC'}
    assert_results(got, want, 1e-11)
    counts = np.stack(
        [boundary_counts(p, t, 4, ratio=entry['params']['dilation_ratio']) for p, t in zip(case['pred'], case['label'])]
    )
    np.testing.assert_array_equal(counts, np.stack([case[f'expected_{k}'] for k in ('tp', 'fp', 'fn')], -1))


@pytest.mark.parametrize(
    ('params', 'shape'),
    [
        (dict(), (9, 11)),
        (dict(ratio=0.2, spacing=[2, 0.3], empty='diagonal'), (9, 11)),
        (dict(present_in='either', empty='diagonal', ratio=0.1), (8, 7)),
        (dict(spacing=[3, 1, 0.8], empty='diagonal', ratio=0.15), (4, 6, 5)),
        (dict(present_in='either', ignore_index=1), (4, 5, 6)),
        (dict(num_classes=2, binary=True, empty='diagonal', ignore_index=None), (9, 11)),
        (dict(num_classes=2, binary=True, spacing=[0.5, 0.5], levels=['C']), (1, 11)),
    ],
)
def test_state_equals_reference(params, shape):
    spec = Both(**dict(dict(num_classes=4), **params))
    preds, targets = random_pairs(1, 12, spec.num_classes, shape, spec.ignore_index)
    weights = np.random.default_rng(2).choice([0.0, 0.5, 2.0], preds.shape, p=[0.05, 0.15, 0.8])
    for given in (None, weights):
        want = by_reference(spec, preds, targets, given)
        assert_results(by_state(spec, preds, targets, given), want, 1e-12)
    for pred, target in zip(preds, targets):  # every cell by itself, so that no inf hides another value
        assert_results(by_state(spec, [pred], [target]), by_reference(spec, [pred], [target]), 1e-12)


def test_random_pairs_hold_every_kind_of_cell():
    preds, targets = random_pairs(1, 12, 4)
    cells = [surface_distances(p, t, 4, 255)[:, 0] for p, t in zip(preds, targets)]
    assert np.isnan(cells).any() and np.isinf(cells).any() and (np.isfinite(cells) & (np.array(cells) > 0)).any()


@both
def test_a_swap_of_the_maps_changes_nothing_but_presence(results):
    spec = Both(num_classes=4, ignore_index=None, present_in='either', empty='diagonal')
    preds, targets = random_pairs(5, 6, 4, ignore_index=None)
    assert_results(results(spec, preds, targets), results(spec, targets, preds), SAME)


@both
def test_spacing_scales_distances_and_no_boundary(results):
    preds, targets = random_pairs(6, 5, 3)
    params = dict(num_classes=3, empty='diagonal')
    one, three = (results(Both(**params, spacing=spacing), preds, targets) for spacing in (None, [3, 3]))
    want = {name: value * (1 if name.startswith('B') else 3) for name, value in one.items()}
    assert_results(three, want, 1e-12)


@both
def test_ignored_pixels_may_hold_anything(results):
    preds, targets = random_pairs(7, 6, 4)
    want = results(Both(num_classes=4), preds, targets)
    anything = np.where(targets == 255, np.arange(11) * 37 - 90, preds)
    assert_results(results(Both(num_classes=4), anything, targets), want, 0)


def test_ignored_pixels_make_a_boundary_of_their_own():
    target = np.ones((5, 5), int)
    assert boundary_counts(target, target, 2).tolist() == [[0, 0, 0], [16, 0, 0]]
    target[2, 2] = 255
    assert boundary_counts(np.ones((5, 5), int), target, 2, 255).tolist() == [[0, 0, 0], [24, 0, 0]]


def test_the_width_is_rounded_to_the_even_half():
    for ratio, width in ((0.01, 1), (0.0375, 2), (0.0625, 2), (0.0875, 4)):  # times a diagonal of 40
        ones = np.ones((24, 32), int)
        frame = 24 * 32 - (24 - 2 * width) * (32 - 2 * width)
        assert boundary_counts(ones, ones, 2, ratio=ratio)[1, 0] == frame == reference.boundary(ones > 0, ratio).sum()


@pytest.mark.parametrize('dtypes', [('uint8', 'int64'), ('int64', 'uint8'), ('bool', 'uint16'), ('int32', 'bool')])
def test_every_dtype_and_view(dtypes):
    preds, targets = random_pairs(8, 2, 2, (10, 8), ignore_index=None)
    want = boundary_counts(preds[0].T, targets[0].T, 2), surface_distances(preds[0].T, targets[0].T, 2)
    pred, target = (x[0].astype(dtype).T for x, dtype in zip((preds, targets), dtypes))
    np.testing.assert_array_equal(boundary_counts(pred, target, 2), want[0])
    np.testing.assert_array_equal(surface_distances(pred, target, 2), want[1])


@both
def test_nothing_at_all(results):
    got = results(Both(num_classes=3), [], [])
    assert len(got) == 9 + 1 + 6 and all(np.isnan(v) for v in got.values())


@both
def test_refuses_maps_that_are_none(results):
    spec = Both(num_classes=3)
    zeros = np.zeros((1, 3, 3), int)
    with pytest.raises(TypeError, match='integer class ids, got float64'):
        results(spec, zeros * 1.0, zeros)
    with pytest.raises(ValueError, match='must have one shape'):
        results(spec, zeros, np.zeros((1, 3, 4), int))
    with pytest.raises(ValueError, match=r'must have 2 or 3 spatial axes, got shape \(3,\)'):
        results(spec, zeros[0], zeros[0])
    with pytest.raises(ValueError, match='predictions must be class ids below 3, got -1'):
        results(spec, zeros - 1, zeros)
    with pytest.raises(ValueError, match='one number for each of the 2 spatial axes, got 3'):
        results(Both(num_classes=3, spacing=[1, 1, 1]), zeros, zeros)


def test_distances_without_scipy_are_refused_and_boundaries_are_not(monkeypatch):
    monkeypatch.setitem(sys.modules, 'scipy.spatial', None)
    pred, target = RULES[0].preds[0], RULES[0].targets[0]
    with pytest.raises(ImportError, match='surface distances need SciPy: pip install scipy'):
        surface_distances(pred, target, 2)
    state = BoundaryState(2, distances=False)
    state.update(pred, target)
    spec = Both(num_classes=2, metrics=['BoundaryIoU'])
    assert_results(spec.results(state), spec.reference([pred], [target]), SAME)


def test_a_map_without_pixels_counts_nowhere():
    empty = np.zeros((0, 5), int)
    assert not boundary_counts(empty, empty, 2).any() and np.isnan(surface_distances(empty, empty, 2)).all()


def test_reference_refuses_unequal_numbers_of_images():
    with pytest.raises(ValueError, match='one map for each image, got 2, 3'):
        Both(num_classes=3).reference(np.zeros((2, 4, 4), int), np.zeros((3, 4, 4), int))
