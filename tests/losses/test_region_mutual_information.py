"""RegionMutualInformationLoss by hand, and its laws; on the reference."""

import itertools
import math

import numpy as np
import pytest

from tests.losses.by_hand import LABEL, P1, PRED, loss, loss_of_logits, random_probabilities
from tests.support.assertions import assert_same


def rmi(p, y, **params):
    """Of one-channel maps (H, W) or (N, H, W), without cross-entropy and pooling unless told."""
    p, y = (np.asarray(x).reshape(-1, *np.shape(x)[-2:]) for x in (p, y))
    return loss('RegionMutualInformationLoss', p[:, None], y, **{**dict(pool='none', ce_weight=0), **params})


SQUARE, SQUARE_LABEL = P1.reshape(2, 2), LABEL.reshape(2, 2)
MEAN = 2.3 / 4
L_Y = 4 * 0.5**2
L_P = 0.2**2 + 0.4**2 + 0.7**2 + 1 - 4 * MEAN**2
L_YP = 0.7 + 1 - 4 * 0.5 * MEAN


def half_log(x):
    return math.log(math.sqrt(x) + 1e-8)


@pytest.mark.parametrize(
    ('params', 'scale'),
    [(dict(pool='none'), 1), (dict(pool='max', pool_size=2), 1), (dict(pool='avg', pool_size=2), 4)],
)
def test_region_mutual_information_of_single_pixels(params, scale):
    """A window of the pooled 2 x 2 image holds one pixel and three of padding, which divide its mean by 4."""
    l_y, l_p, l_yp = L_Y / scale**2, L_P / scale**2, L_YP / scale**2
    want = half_log(l_y - l_yp**2 / (l_p + 5e-4) + 5e-4)
    assert_same(rmi(SQUARE, SQUARE_LABEL, radius=1, **params), want, 'float64')


def test_region_mutual_information_of_two_regions():
    """The two 2 x 2 regions of a 2 x 3 image differ by one label, u, and by w: with a = 5e-4 the matrix is diagonal."""
    p, label = np.array([[0.1, 0.3, 0.9], [0.4, 0.2, 0.5]]), np.array([[0, 0, 1], [0, 0, 0]])
    u, w, a = 1, 0.2**2 + 0.6**2 + 0.2**2 + 0.3**2, 5e-4
    want = (3 * half_log(a) + half_log(a + u / 2 * a / (w / 2 + a))) / 2**2
    assert_same(rmi(p, label, radius=2, loss_weight=2), 2 * want, 'float64')


def test_region_mutual_information_cross_entropy_alone():
    nll = -math.log(0.8) - math.log(0.6) - math.log(0.7)
    assert_same(rmi(SQUARE, SQUARE_LABEL, radius=1, ce_weight=1), nll / (4 + 1), 'float64')
    two_channels = PRED.reshape(1, 2, 2, 2)
    params = dict(radius=1, pool='none', ce_weight=1)
    got = loss('RegionMutualInformationLoss', two_channels, SQUARE_LABEL[None], **params)
    assert_same(got, 2 * nll / (4 + 1), 'float64')
    z, label = np.random.default_rng(0).normal(0, 2, (2, 3, 4, 4)), random_probabilities(0, space=(4, 4))[1]
    got = loss_of_logits('RegionMutualInformationLoss', z, label, ce='softmax', **params)
    assert_same(got, loss_of_logits('WeightedCrossEntropyLoss', z, label), 'float64')


def test_region_mutual_information_mixes_its_parts_by_ce_weight():
    rng = np.random.default_rng(1)
    p, y = rng.random((4, 4)), rng.integers(0, 2, (4, 4))
    regions, ce = rmi(p, y, radius=2), rmi(p, y, radius=2, ce_weight=1)
    assert_same(rmi(p, y, radius=2, ce_weight=0.2), 0.2 * ce + 0.8 * regions, 'float64')


def test_region_mutual_information_adds_classes_and_averages_images():
    pred, label = random_probabilities(9, space=(5, 5))
    params = dict(radius=2, pool='none')
    one_hot = [np.where(label == k, 1, 0) for k in range(3)]
    channels = [rmi(pred[:, k], one_hot[k], radius=2, ce_weight=0.5) for k in range(3)]
    assert_same(loss('RegionMutualInformationLoss', pred, label, **params), sum(channels), 'float64')
    images = [rmi(pred[i, 0], one_hot[0][i], radius=2) for i in (0, 1)]
    assert_same(rmi(pred[:, 0], one_hot[0], radius=2), sum(images) / 2, 'float64')


@pytest.mark.parametrize(('side', 'size', 'cuts'), [(3, 2, (0, 1, 3)), (4, 3, (0, 2, 4)), (7, 3, (0, 2, 5, 7))])
def test_region_mutual_information_pools_windows_padded_by_zeros(side, size, cuts):
    """Windows begin size // 2 pixels before the image; the mean divides by all of a window, p + 1e-6 is pooled."""
    rng = np.random.default_rng(5)
    p, y = rng.random((side, side)), rng.integers(0, 2, (side, side))
    parts = [slice(*pair) for pair in itertools.pairwise(cuts)]

    def pooled(x, function):
        return np.array([[function(x[rows, columns]) for columns in parts] for rows in parts], float)

    def mean(window):
        return window.sum() / size**2

    want = rmi(pooled(p, np.max), pooled(y, np.max), radius=1)
    assert_same(rmi(p, y, radius=1, pool='max', pool_size=size), want, 'float64')
    want = rmi(pooled(p + 1e-6, mean), pooled(y, mean), radius=1)
    assert_same(rmi(p, y, radius=1, pool='avg', pool_size=size), want, 'float64')


def test_region_mutual_information_of_one_region_is_that_of_the_diagonal():
    """An image of 7 x 7 pixels holds one region by default, from which its mean leaves nothing."""
    z, label = np.zeros((1, 1, 7, 7)), np.ones((1, 7, 7), int)
    ce = 49 * math.log(2) / (49 + 1)
    assert_same(loss_of_logits('RegionMutualInformationLoss', z, label), ce / 2 + half_log(5e-4) / 2, 'float64')


@pytest.mark.parametrize('ce', ['sigmoid', 'softmax'])
def test_region_mutual_information_compares_sigmoids_of_logits(ce):
    """Under softmax they are at least 1e-6."""
    z, label = np.random.default_rng(6).normal(0, 2, (1, 3, 4, 4)), random_probabilities(6, n=1, space=(4, 4))[1]
    z[0, :, 1, 2] = -20
    p = 1 / (1 + np.exp(-z[0]))
    p = np.maximum(p, 1e-6) if ce == 'softmax' else p
    want = sum(rmi(p[k], np.where(label == k, 1, 0), radius=2) for k in range(3))
    params = dict(radius=2, pool='none', ce_weight=0, ce=ce)
    assert_same(loss_of_logits('RegionMutualInformationLoss', z, label, **params), want, 'float64')


def test_region_mutual_information_interpolates_between_corners_and_takes_nearest_labels():
    rng = np.random.default_rng(2)
    p, y = rng.random((4, 6)), rng.integers(0, 2, (4, 6))
    columns = np.stack([p[:, 0], (p[:, 2] + p[:, 3]) / 2, p[:, 5]], 1)
    want = rmi(columns[[0, 3]], y[::2, ::2], radius=1)
    assert_same(rmi(p, y, radius=1, pool='interpolate', pool_size=2), want, 'float64')


@pytest.mark.parametrize('pool', ['none', 'max', 'avg'])
def test_region_mutual_information_does_not_change_in_a_mirror(pool):
    """To 1e-6: the 1e-8 added to the Cholesky factor depends on the order of a region's pixels."""
    rng = np.random.default_rng(3)
    p, y = rng.random((10, 10)), rng.integers(0, 2, (10, 10))
    params = dict(radius=2, pool=pool, pool_size=3)
    want = rmi(p, y, **params)
    assert_same(rmi(p[:, ::-1], y[:, ::-1], **params), want, 'float32')
    assert_same(rmi(p.T, y.T, **params), want, 'float32')
    assert abs(rmi(p[:, ::-1], y, **params) - want) > 1e-3


@pytest.mark.parametrize('seed', range(3))
def test_region_mutual_information_prefers_the_right_prediction(seed):
    rng = np.random.default_rng(seed)
    y = (rng.random((12, 12)) < 0.4).astype(int)
    right = 0.1 + 0.8 * y
    shuffled = rng.permutation(right.ravel()).reshape(right.shape)
    assert rmi(right, y, radius=2) < rmi(shuffled, y, radius=2) - 0.5
    assert rmi(right, y, radius=2) < rmi(right * 0 + 0.5, y, radius=2) - 0.5
    assert_same(rmi(1 - right, y, radius=2), rmi(right, y, radius=2), 'float64')


def test_region_mutual_information_of_ignored_pixels_is_that_of_zeros():
    rng = np.random.default_rng(4)
    p, y = rng.random((4, 5)), rng.integers(0, 2, (4, 5))
    ignored = np.where(np.arange(5) == 2, 255, y)
    zeros = rmi(p * (ignored != 255), y * (ignored != 255), radius=2)
    assert_same(rmi(p, ignored, radius=2, ignore_index=255), zeros, 'float64')
    kept = ignored != 255
    nll = -np.log(np.where(y == 1, p, 1 - p))[kept].sum()
    assert_same(rmi(p, ignored, radius=2, ce_weight=1, ignore_index=255), nll / (16 + 1), 'float64')
