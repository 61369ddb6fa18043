"""Several annotators: agreement by hand in the reference, and what is refused."""

import numpy as np
import pytest

from shared_spec.annotators import SCORES, annotator_scores, majority_of_annotators, names_of_each
from shared_spec.soft_labels import average_annotators
from tests.metrics.boundary_rules import index
from tests.soft_labels.cases import published_average
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

# four pixels and four annotators, of whom three mark the first, two the second
RATERS = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 1]])
AVERAGE = np.array([0.75, 0.5, 0.0, 0.25])


def two(p):
    p = np.asarray(p, float)
    return np.stack([1 - p, p])


def test_majority_is_the_lowest_of_equally_many():
    assert majority_of_annotators(RATERS).tolist() == [1, 0, 0, 0]
    three = np.array([[2, 1, 0], [1, 1, 2], [0, 2, 2]])
    assert majority_of_annotators(three, num_classes=3).tolist() == [0, 1, 2]
    ignored = np.array([[255, 1], [1, 1]])
    assert majority_of_annotators(ignored, ignore_index=255).tolist() == [255, 1]


def test_by_hand():
    p = np.array([0.8, 0.6, 0.3, 0.1])
    found = annotator_scores(two(p), RATERS)
    assert list(found) == list(SCORES)
    assert found['DiceMajority'] == pytest.approx(2 * 1 / (2 + 1))  # two pixels are predicted, one is marked by most
    assert found['SoftDice'] == pytest.approx(2 * (0.75 + 0.5 + 0 + 0.1) / (p.sum() + AVERAGE.sum()))
    each = [2 * 2 / 4, 2 / 3, 2 / 3, 2 / 4]
    assert found['DiceAnnotators'] == pytest.approx(np.mean(each))
    assert (found['DiceAnnotatorsMin'], found['DiceAnnotatorsMax']) == pytest.approx((0.5, 1.0))
    ious = [2 / 2, 1 / 2, 1 / 2, 1 / 3]
    assert found['IoUAnnotators'] == pytest.approx(np.mean(ious))
    assert (found['IoUAnnotatorsMin'], found['IoUAnnotatorsMax']) == pytest.approx((1 / 3, 1.0))
    by_number = annotator_scores(two(p), RATERS, one_by_one=True)
    assert list(by_number) == [*SCORES, *names_of_each(range(4))] and found.items() <= by_number.items()
    assert [by_number[f'DiceAnnotator{k}'] for k in range(4)] == pytest.approx(each)
    assert [by_number[f'IoUAnnotator{k}'] for k in range(4)] == pytest.approx(ious)
    cut = []
    for level in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        x, y = p >= level - 1e-9, level - 1e-9 <= AVERAGE
        cut.append(2 * (x & y).sum() / (x.sum() + y.sum()) if (x | y).any() else 1.0)
    assert found['DiceThresholds'] == pytest.approx(np.mean(cut)) and 0.5 < np.mean(cut) < 1


def test_iou_of_many_classes_is_a_mean_over_classes():
    prob = np.eye(3)[[1, 1, 2, 0]].T
    found = annotator_scores(prob, [[1, 2, 2, 0], [0, 0, 0, 0]], one_by_one=True)
    assert (found['IoUAnnotator0'], found['DiceAnnotator0']) == pytest.approx(((1 / 2 + 1 / 2) / 2, 2 / 3))
    assert found['IoUAnnotator1'] == found['IoUAnnotatorsMin'] == 0
    nothing = annotator_scores(prob, [[0, 0, 0, 0]], one_by_one=True)
    assert nothing['IoUAnnotator0'] == 0 and len(nothing) == len(SCORES) + 2


def test_an_annotators_average_agrees_with_itself():
    found = annotator_scores(two(AVERAGE), RATERS)
    assert found['DiceThresholds'] == found['SoftDice'] == 1
    ten = np.array([[k < 3] for k in range(10)], int)  # 3 in 10 is 0.3, whatever the sum is rounded to
    assert annotator_scores(two([0.3]), ten)['DiceThresholds'] == 1


def test_ignored_pixels_and_empty_masks():
    some = np.concatenate([RATERS, np.full((4, 2), 255)], axis=1)
    p = np.array([0.8, 0.6, 0.3, 0.1])
    wild = two([*p, np.nan, 7.0])
    assert annotator_scores(wild, some, ignore_index=255) == annotator_scores(two(p), RATERS)
    nobody = annotator_scores(two(np.zeros(4)), np.zeros((3, 4), int), one_by_one=True)
    assert set(nobody.values()) == {1.0}
    unknown = annotator_scores(two([0.5, np.nan, 0, 0]), RATERS, one_by_one=True)
    assert len(unknown) == len(SCORES) + 8 and all(np.isnan(v) for v in unknown.values())


def test_an_image_that_all_ignore_says_nothing():
    assert all(np.isnan(v) for v in annotator_scores(two(np.ones(4)), np.full((2, 4), 255), ignore_index=255).values())


@pytest.mark.parametrize('thresholds', [[], [30], [-1], [np.nan], [0], 0.5])
def test_thresholds_are_probabilities(thresholds):
    with pytest.raises(ValueError, match='annotator_scores: thresholds must be'):
        annotator_scores(two(AVERAGE), RATERS, thresholds=thresholds)


def test_annotators_who_agree_with_most_count_more():
    uniform, weighted = (annotator_scores(two(AVERAGE), RATERS, weighting=w)['SoftDice'] for w in ('uniform', 'dice'))
    assert weighted < uniform


@pytest.mark.parametrize(
    ('prob', 'targets', 'words'),
    [
        (np.ones((1, 4)), RATERS, 'prob must be (C, *space) of two classes or more'),
        (two(np.ones(3)), RATERS, 'targets must be (3,) as prob is, got (4,)'),
        (np.full((2, 4), 0.7), RATERS, 'sum to 1 in a pixel, got 1.4'),
        (np.array([[-1.0] * 4, [2.0] * 4]), RATERS, 'prob must be probabilities'),
        (two(np.ones(4)), RATERS + 1, 'must be below 2'),
        (two(np.ones(4)), [], 'annotator'),
        (two(np.ones(4)), None, 'annotator_scores: targets must have a label map for each annotator, got None'),
        (two(np.ones(4)), 3, 'annotator_scores: targets must have a label map for each annotator, got 3'),
        (two(np.ones(4)), [None, RATERS[0]], 'for each annotator, got None as number 0'),
        (two(np.ones(4)), [RATERS[0], RATERS[0][:2]], ''),
    ],
)
def test_what_is_refused(prob, targets, words):
    with pytest.raises((ValueError, TypeError)) as caught:
        annotator_scores(prob, targets)
    assert words in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_batches_for_fit(framework, worker):
    (order, history), found = worker.call('tests.soft_labels.keras_annotators:batches')
    assert sorted(order[:5]) == sorted(order[5:]) == [0, 1, 2, 3, 4] and order[:5] != order[5:]
    assert history[-1] < history[0]
    rng = np.random.default_rng(0)
    images = rng.normal(size=(5, 6, 7, 3)).astype(np.float32)
    np.testing.assert_array_equal(found['second'], images[order[5:]])
    for k in range(5):
        maps = np.stack([rng.integers(0, 2, (6, 7)) for _ in range(1 + k % 3)])
        if k == 0:
            maps[0][:2] = 255
        want = average_annotators(maps[:, None], ignore_index=255)[0]
        np.testing.assert_array_equal(found[f'soft.{k}'], np.moveaxis(want, 0, -1).astype(np.float32))
        np.testing.assert_array_equal(found[f'weight.{k}'], want.sum(0) > 0)


@pytest.mark.slow_on('keras_torch')
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
@pytest.mark.parametrize('case_id', index('raters'))
def test_published_averages_in_batches(case_id, framework, worker):
    masks, want, kept = published_average(case_id)
    _, found = worker.call('tests.soft_labels.keras_annotators:batch', dict(masks=masks))
    got = np.moveaxis(found['soft'], -1, 1)
    assert got.shape == (2, *want.shape) and got.dtype == np.float32 and 0.1 < kept.mean() < 1
    assert_same(got[0][:, kept], want[:, kept].astype(np.float32), 'float32')
    assert_same(got[1], got[0][..., ::-1], 'float32')
    assert (found['weight'] == 1).all()


@pytest.mark.parametrize('framework', axis('keras_torch'))
def test_what_is_no_data_set_is_refused(framework, worker):
    found, _ = worker.call('tests.soft_labels.keras_annotators:refusals')
    for name, words in {
        'nobody': 'image 1 must have the map of one annotator, got none',
        'size': 'the maps of image 1 must be (6, 7) as it is, got (2, 2)',
        'number': 'annotators must have a list for each of 2 images, got 1',
        'class': 'must be below 2, got 255',
        'batch_size': 'batch_size must be an integer >= 1, got 0',
        'weighting': 'weighting',
    }.items():
        assert words in found[name] and 'AnnotatorDataset' in found[name] and '\n' not in found[name], found[name]
