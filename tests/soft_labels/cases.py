"""Labels that every implementation of the soft-label functions meets: by hand, and against the NumPy definition."""

from typing import NamedTuple

import numpy as np

from tests.metrics.boundary_rules import arrays

X = 255  # ignored


class Case(NamedTuple):
    """A call; ``want`` (N, C, *space) by hand, or None where the NumPy function says it."""

    name: str
    function: str
    target: np.ndarray
    params: dict
    want: object = None
    class_axis: bool = False  # the labels also have a class axis of length 1
    as_list: bool = False


def random_specks(shape, classes=3, ignored=0.03, dtype=np.int64, seed=3):
    """Mostly class 0, with specks of the others and of ignored pixels."""
    rng = np.random.default_rng(seed)
    ids = (rng.random(shape) < 0.1) * rng.integers(0, classes, shape)
    return np.where(rng.random(shape) < ignored, X, ids).astype(dtype)


def crowd(annotators, shape, seed=4):
    """Masks of annotators who mostly agree, with ignored pixels."""
    rng = np.random.default_rng(seed)
    masks = (rng.random(shape) < 0.4) ^ (rng.random((annotators, *shape)) < 0.15)
    return np.where(rng.random(masks.shape) < 0.03, X, masks)


def with_absent(masks, missing):
    """The masks (R, N, *space), annotator 0 being absent from image 0, 1 and 2 from image 1, and all from the last."""
    found = masks.copy()
    for who, n in ((0, 0), ([1, 2], 1), (slice(None), -1)):
        found[who, n] = missing
    return found


def published_average(case_id):
    """(masks of annotators (R, H, W), their average by the agreement with most (2, H, W), which pixels the source keeps)."""
    case = arrays(case_id)
    masks, want, kept = case['raters'], case['expected_soft'], case['keep_mask'] == 1
    if case_id == 'raters_6_disjoint':  # the source gives weight 1 to who misses the majority, and 0 is meant here
        most = case['expected_majority']
        dice = np.array([2 * (mask & most).sum() / (mask.sum() + most.sum()) for mask in masks])
        assert (dice == 0).sum() == 1 and abs(want[1] - np.tensordot(dice, masks, 1) / dice.sum())[kept].max() > 0.1
        foreground = np.tensordot(dice, masks, 1) / dice.sum()
        want = np.stack([1 - foreground, foreground])
    return masks, want, kept


LINE = np.array([[0, 0, 0, 0, 1, 1, 1, X, 1, 1]])
TWO = dict(num_classes=2, ignore_index=X)
THREE = dict(num_classes=3, ignore_index=X)


def smooth_at(*pixels):
    """Soft labels of LINE with epsilon 0.4 at some pixels."""
    soft = np.where(np.array([[0], [1]]) == LINE, 1.0, 0.0)
    for x in pixels:
        soft[:, x] = 0.6 * soft[:, x] + 0.4 / 2
    return soft[None]


LOW, HIGH = 0.2 / 4, 1 - 0.2 + 0.2 / 4
# sizes 2, 2, 1 and 3; the majority (3 of 4; a tie is background) is pixel 0
RATERS = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0], [0, 1, 1, 1]])[:, None]
DICE = [2 / (2 + 1), 2 / (2 + 1), 2 / (1 + 1), 0]
BY_DICE = np.array([DICE[0] + DICE[1] + DICE[2], DICE[0], DICE[1], 0]) / sum(DICE)

BY_HAND = [
    Case(
        'smoothing_of_samples',
        'label_smoothing',
        np.array([0, 1, X, 3]),
        dict(epsilon=0.2, num_classes=4, ignore_index=X),
        [[HIGH, LOW, LOW, LOW], [LOW, HIGH, LOW, LOW], [0, 0, 0, 0], [LOW, LOW, LOW, HIGH]],
    ),
    Case(
        'smoothing',
        'label_smoothing',
        np.array([[0, 1, X, 3]]),
        dict(epsilon=0.2, num_classes=4, ignore_index=X),
        [[[HIGH, LOW, 0, LOW], [LOW, HIGH, 0, LOW], [LOW, LOW, 0, LOW], [LOW, LOW, 0, HIGH]]],
    ),
    Case('window_1', 'boundary_label_smoothing', LINE, dict(TWO, epsilon=0.4, window=1), smooth_at()),
    Case('window_3', 'boundary_label_smoothing', LINE, dict(TWO, epsilon=0.4), smooth_at(3, 4)),
    Case('window_5', 'boundary_label_smoothing', LINE, dict(TWO, epsilon=0.4, window=5), smooth_at(2, 3, 4)),
    Case('window_99', 'boundary_label_smoothing', LINE, dict(TWO, epsilon=0.4, window=99), smooth_at()),
    Case(
        'annotators',
        'average_annotators',
        RATERS,
        {},
        [[[1 / 4, 2 / 4, 2 / 4, 3 / 4], [3 / 4, 2 / 4, 2 / 4, 1 / 4]]],
    ),
    Case('annotators_dice', 'average_annotators', RATERS, dict(weighting='dice'), [[1 - BY_DICE, BY_DICE]]),
    Case(  # image 0: Dice 1, 1, 0 with pixel 0; image 1: nobody agrees, so the empty mask has Dice 1 and the others 0
        'annotators_by_image',
        'average_annotators',
        np.array([[[1, 0], [0, 0]], [[1, 0], [1, 0]], [[0, 1], [0, 1]]]),
        dict(weighting='dice'),
        [[[0, 1], [1, 0]], [[1, 1], [0, 0]]],
    ),
    Case(  # every Dice is 0
        'annotators_disagree',
        'average_annotators',
        np.array([[[1, 0]], [[0, 1]]]),
        dict(weighting='dice'),
        [[[1 / 2, 1 / 2], [1 / 2, 1 / 2]]],
    ),
    Case(
        'annotators_ignore',
        'average_annotators',
        np.array([[[0, 1, 2, X]], [[0, 2, 2, 1]]]),
        THREE,
        [[[1, 0, 0, 0], [0, 1 / 2, 0, 0], [0, 1 / 2, 1, 0]]],
    ),
    Case(  # two are there in image 0, one in image 1, nobody in image 2
        'annotators_absent',
        'average_annotators',
        np.array([[[1, 0], [-1, -1], [-1, -1]], [[1, 1], [-1, -1], [-1, -1]], [[-1, -1], [0, 1], [-1, -1]]]),
        dict(missing=-1),
        [[[0, 1 / 2], [1, 1 / 2]], [[1, 0], [0, 1]], [[0, 0], [0, 0]]],
    ),
    Case(  # image 0: pixel 0, which 2 of 3 mark, with Dice 1, 1 and 0; image 1: every Dice of two is 0
        'annotators_absent_dice',
        'average_annotators',
        np.array(
            [
                [[1, 0], [1, 0], [9, 9]],
                [[9, 9], [9, 9], [9, 9]],
                [[1, 0], [0, 1], [9, 9]],
                [[9, 9], [9, 9], [9, 9]],
                [[0, 1], [9, 9], [9, 9]],
            ]
        ),
        dict(weighting='dice', missing=9),
        [[[0, 1], [1, 0]], [[1 / 2, 1 / 2], [1 / 2, 1 / 2]], [[0, 0], [0, 0]]],
    ),
    Case(  # the last pixel, which two of them mark, has no part in the Dice either: 1, 2/3 and 1
        'annotators_dice_ignore',
        'average_annotators',
        np.array([[[1, 1, 0, X]], [[1, 0, 0, 1]], [[1, 1, 0, 1]]]),
        dict(weighting='dice', ignore_index=X),
        [[[0, (2 / 3) / (8 / 3), 1, 0], [1, 2 / (8 / 3), 0, 0]]],
    ),
]

AS_DEFINED = [
    Case('line', 'boundary_label_smoothing', random_specks((3, 9)), THREE),
    Case('image', 'boundary_label_smoothing', random_specks((2, 7, 6)), dict(THREE, epsilon=0.3)),
    Case('image_window_5', 'boundary_label_smoothing', random_specks((2, 7, 6)), dict(THREE, window=5)),
    Case('volume', 'boundary_label_smoothing', random_specks((2, 4, 3, 5)), THREE),
    Case('class_axis', 'boundary_label_smoothing', random_specks((2, 7, 6), dtype=np.uint8), THREE, class_axis=True),
    Case('volume_class_axis', 'boundary_label_smoothing', random_specks((2, 4, 3, 5)), THREE, class_axis=True),
    Case('negative_ignored', 'boundary_label_smoothing', np.where((a := random_specks((2, 7, 6))) == X, -1, a), dict(THREE, ignore_index=-1)),
    Case('nothing_ignored', 'boundary_label_smoothing', random_specks((2, 7, 6), ignored=0), dict(num_classes=3)),
    Case('ignored_class', 'boundary_label_smoothing', random_specks((2, 7, 6), ignored=0), dict(num_classes=3, ignore_index=2)),
    Case('all_ignored', 'boundary_label_smoothing', np.full((2, 3, 4), X), THREE),
    Case('booleans', 'label_smoothing', random_specks((2, 7, 6), 2, ignored=0).astype(bool), dict(num_classes=2, epsilon=0.1)),
    Case('one_class', 'label_smoothing', np.zeros((1, 3), np.int32), dict(num_classes=1, epsilon=0.1)),
    Case('smoothed_volume', 'label_smoothing', random_specks((2, 4, 3, 5), dtype=np.int16), dict(THREE, epsilon=1)),
    Case('annotators_volume', 'average_annotators', crowd(4, (2, 4, 3, 5)), dict(TWO, weighting='dice')),
    Case('annotators_absent_volume', 'average_annotators', with_absent(crowd(4, (4, 4, 3, 5)), -1), dict(TWO, weighting='dice', missing=-1)),
    Case('annotators_absent_of_many_classes', 'average_annotators', with_absent(random_specks((3, 4, 7, 6), dtype=np.uint8), 254), dict(THREE, missing=254)),
    Case('annotators_absent_class_axis', 'average_annotators', with_absent(random_specks((3, 4, 7, 6)), -1), dict(THREE, missing=-1), class_axis=True),
    Case('annotators_class_axis', 'average_annotators', random_specks((3, 2, 7, 6)), THREE, class_axis=True),
    Case('annotators_list', 'average_annotators', random_specks((3, 2, 7, 6)), THREE, as_list=True),
]  # fmt: skip

# (function, parameters, change of the labels [[0, 1, 1]]); each is refused, everywhere in the same words
REFUSED = {
    'epsilon_above_1': ('label_smoothing', dict(epsilon=1.5, num_classes=2), None),
    'epsilon_true': ('label_smoothing', dict(epsilon=True, num_classes=2), None),
    'no_classes': ('label_smoothing', dict(epsilon=0.1, num_classes=0), None),
    'ignore': ('label_smoothing', dict(epsilon=0.1, num_classes=2, ignore_index='x'), None),
    'floats': ('label_smoothing', dict(epsilon=0.1, num_classes=2), lambda y: y * 1.0),
    'no_batch': ('boundary_label_smoothing', dict(num_classes=2), lambda y: y[0]),
    'four_axes': ('boundary_label_smoothing', dict(num_classes=2), lambda y: np.stack([y[None, None, None]] * 2, 1)),
    'even': ('boundary_label_smoothing', dict(num_classes=2, window=4), None),
    'no_window': ('boundary_label_smoothing', dict(num_classes=2, window=0), None),
    'fraction': ('boundary_label_smoothing', dict(num_classes=2, window=2.5), None),
    'weighting': ('average_annotators', dict(weighting='median'), lambda y: y[None]),
    'dice_of_three': ('average_annotators', dict(weighting='dice', num_classes=3), lambda y: y[None]),
    'one_annotator': ('average_annotators', {}, None),
    'no_annotator': ('average_annotators', {}, lambda y: y[None][:0]),
    'missing_is_a_class': ('average_annotators', dict(missing=1), lambda y: y[None]),
    'missing_is_ignored': ('average_annotators', dict(missing=-1, ignore_index=-1), lambda y: y[None]),
    'missing_is_no_integer': ('average_annotators', dict(missing=0.5), lambda y: y[None]),
    'missing_is_too_large': ('average_annotators', dict(missing=2**32), lambda y: y[None]),
    'missing_in_part': ('average_annotators', dict(missing=-1), lambda y: np.where(y[None] > 0, -1, 0)),
    'float_annotators': ('average_annotators', {}, lambda y: y[None] * 1.0),
}
