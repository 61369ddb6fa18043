"""BoundaryDoULoss by hand, and as Dice and Jaccard; on the reference."""

import numpy as np
import pytest

from shared_spec import LOSSES
from shared_spec.losses.boundary.boundary_dou import boundary_of
from tests.losses.by_hand import loss, random_probabilities
from tests.support.assertions import assert_same

# a square of 3 x 3 pixels in 5 x 5: eight of its nine pixels are boundary
SQUARE = np.zeros((1, 5, 5), int)
SQUARE[0, 1:4, 1:4] = 1
P = np.where(SQUARE == 1, 0.75, 0.25)[:, None]
PAIR = np.concatenate([1 - P, P], 1)
DIFFERS, BOTH = 25 * 0.25**2, 9 * 0.75
ALPHA = 2 * (1 - 8 / 9) - 1


@pytest.mark.parametrize(
    ('params', 'want'),
    [
        (dict(smooth=0), DIFFERS / (DIFFERS + (1 - ALPHA) * BOTH)),
        (dict(smooth=0, max_alpha=-0.9), DIFFERS / (DIFFERS + 1.9 * BOTH)),
        (dict(smooth=3), (DIFFERS + 3) / (DIFFERS + 3 + (1 - (2 * (1 - 11 / 12) - 1)) * BOTH)),
        (dict(smooth=0, loss_weight=2.0, class_weight=[1, 5]), 10 * DIFFERS / (DIFFERS + (1 - ALPHA) * BOTH)),
    ],
)
def test_boundary_dou_of_a_square(params, want):
    assert_same(loss('BoundaryDoULoss', PAIR, SQUARE, classes=[1], **params), want, 'float64')


def test_boundary_dou_of_classes_is_their_mean():
    """Of the ring around the square all 16 pixels lie at the edge of the image or beside the square: its a is -1."""
    ring = DIFFERS / (DIFFERS + 2 * 16 * 0.75)
    square = DIFFERS / (DIFFERS + (1 - ALPHA) * BOTH)
    assert_same(loss('BoundaryDoULoss', PAIR, SQUARE, smooth=0), (ring + square) / 2, 'float64')
    both = loss('BoundaryDoULoss', np.tile(PAIR, (3, 1, 1, 1)), np.tile(SQUARE, (3, 1, 1)), smooth=0)
    assert_same(both, (ring + square) / 2, 'float64')  # over the batch


def test_boundary_dou_of_a_large_class_has_an_alpha_of_at_most_max_alpha():
    label = np.ones((1, 40, 40), int)
    pred = np.where(label == 1, 0.5, 0.5)[:, None]
    differs, both = 1600 * 0.25, 800
    got = loss('BoundaryDoULoss', pred, label, smooth=0)
    assert 2 * (1 - 156 / 1600) - 1 > 0.8
    assert_same(got, differs / (differs + 0.2 * both), 'float64')
    got = loss('BoundaryDoULoss', pred, label, smooth=0, max_alpha=0.9)
    assert_same(got, differs / (differs + (1 - (2 * (1 - 156 / 1600) - 1)) * both), 'float64')


@pytest.mark.parametrize('space', [(7,), (4, 5), (3, 4, 2)], ids=str)
def test_boundary_dou_at_alpha_minus_one_is_dice_and_at_zero_jaccard(space):
    """The law: between both, and beyond, the formula is that of Tversky with squares."""
    pred, label = random_probabilities(3, n=4, space=space)
    params = dict(smooth=0, classes='all', norm=2, granularity='D', class_weight=[1, 2, 4])
    got = loss('BoundaryDoULoss', pred, label, smooth=0, max_alpha=-1, class_weight=[1, 2, 4])
    assert_same(got, loss('SoftDiceLoss', pred, label, **params), 'float64')
    if len(space) == 2:  # blocks of whole images, whose classes have no boundary but the image's
        pred, label = np.ones((3, 3, 8, 8)) * np.array([0.5, 0.2, 0.3])[:, None, None], np.zeros((3, 8, 8), int)
        label += np.arange(3)[:, None, None]
        got = loss('BoundaryDoULoss', pred, label, smooth=0, max_alpha=0, class_weight=[1, 2, 4])
        assert_same(got, loss('SoftJaccardLoss', pred, label, **params), 'float64')


def test_boundary_dou_sees_an_ignored_pixel_as_outside():
    label = np.ones((1, 5, 5), int)
    label[0, 2, 2] = 255
    pred = np.full((1, 1, 5, 5), 0.5)
    got = loss('BoundaryDoULoss', pred, label, smooth=0, ignore_index=255)
    differs, both, boundary = 24 * 0.25, 12, 20  # the 16 of the edge and the 4 beside the hole
    assert_same(got, differs / (differs + 2 * boundary / 24 * both), 'float64')
    weight = np.ones((1, 5, 5))
    weight[0, 2, 2] = 0
    assert_same(loss('BoundaryDoULoss', pred, label * 0 + 1, weight, smooth=0), got, 'float64')
    corner = loss('BoundaryDoULoss', pred, label, smooth=0, ignore_index=255, max_alpha=-1)
    assert corner < got


def test_boundary_dou_of_an_absent_class_counts_as_classes_says():
    pred, label = random_probabilities(5, space=(6, 6))
    label[label == 2] = 0
    every, present = (loss('BoundaryDoULoss', pred, label, classes=k) for k in ('all', 'present'))
    assert_same(every, (2 * present + 1) / 3, 'float32')  # 1 but for smooth
    assert_same(loss('BoundaryDoULoss', pred, label, classes='auto'), present, 'float64')
    nothing = np.stack([np.ones((1, 4, 4)), np.zeros((1, 4, 4))], 1)
    assert_same(loss('BoundaryDoULoss', nothing, np.zeros((1, 4, 4), int), classes=[1]), 1.0, 'float64')
    assert loss('BoundaryDoULoss', nothing, np.zeros((1, 4, 4), int), classes=[1], smooth=0) == 0


def test_boundary_dou_of_soft_labels_is_lowest_at_the_label():
    pred, _ = random_probabilities(6, space=(6, 5))
    label, _ = random_probabilities(7, space=(6, 5))
    at = loss('BoundaryDoULoss', label, label, smooth=0)
    assert at == 0 and loss('BoundaryDoULoss', pred, label, smooth=0) > 0.1
    hard = random_probabilities(8, space=(6, 5))[1]
    maps = np.moveaxis(np.eye(3)[hard], -1, 1)
    assert_same(loss('BoundaryDoULoss', pred, maps), loss('BoundaryDoULoss', pred, hard), 'float64')


def test_boundary_dou_s_boundary_is_what_erosion_by_the_cross_leaves():
    ndimage = pytest.importorskip('scipy.ndimage', reason='needs SciPy')
    rng = np.random.default_rng(0)
    for space in ((9,), (8, 7), (5, 6, 4)):
        y = (rng.random((2, 3, *space)) < 0.7).astype(float)
        got = boundary_of(y.reshape(2, 3, -1), space).reshape(y.shape)
        cross = ndimage.generate_binary_structure(len(space), 1)
        want = [[m - ndimage.binary_erosion(m, cross) for m in image] for image in y]
        assert_same(got, np.array(want, float), 'float64')


def test_boundary_dou_refuses():
    for params in (dict(max_alpha=1), dict(max_alpha=-1.1), dict(smooth=-1), dict(granularity='I')):
        with pytest.raises(ValueError, match='BoundaryDoULoss: '):
            LOSSES['BoundaryDoULoss'](**params)
