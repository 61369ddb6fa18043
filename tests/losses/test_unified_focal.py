"""UnifiedFocalLoss by hand, and as cross-entropy, Dice and focal Tversky; on the reference."""

import math

import numpy as np
import pytest

from tests.losses.by_hand import Q1, Q, loss, loss_of_logits, random_logits
from tests.support.assertions import assert_same

QTP, QFP, QFN = 0.7 + 0.9, 0.2 + 0.4, 0.3 + 0.1  # of class 1
QTP0 = 0.8 + 0.6


def focal(gamma, *probabilities):
    return sum((1 - p) ** gamma * -math.log(p) for p in probabilities)


def tversky_loss(tp, fp, fn, delta):
    """Without smooth: delta weighs misses, the rest false alarms."""
    return 1 - tp / (tp + delta * fn + (1 - delta) * fp)


@pytest.mark.parametrize('pred', [Q, Q1[None, None]], ids=['two_channels', 'one_channel'])
@pytest.mark.parametrize(
    ('params', 'want'),
    [
        (dict(weight=1), (0.6 * focal(0.5, 0.7, 0.9) + 0.4 * focal(0.5, 0.8, 0.6)) / 4),
        (dict(weight=1, delta=0.9, gamma=0.2), (0.9 * focal(0.2, 0.7, 0.9) + 0.1 * focal(0.2, 0.8, 0.6)) / 4),
        (dict(weight=1, asymmetric=True), (0.6 * focal(0, 0.7, 0.9) + 0.4 * focal(0.5, 0.8, 0.6)) / 4),
        (
            dict(weight=0),
            (tversky_loss(QTP, QFP, QFN, 0.6) ** 0.5 + tversky_loss(QTP0, QFN, QFP, 0.6) ** 0.5) / 2,
        ),
        (
            dict(weight=0, delta=0.9, gamma=0.2),
            (tversky_loss(QTP, QFP, QFN, 0.9) ** 0.8 + tversky_loss(QTP0, QFN, QFP, 0.9) ** 0.8) / 2,
        ),
        (
            dict(weight=0, delta=0.9, gamma=0.2, asymmetric=True, loss_weight=3),
            3 * (tversky_loss(QTP, QFP, QFN, 0.9) ** 0.8 + tversky_loss(QTP0, QFN, QFP, 0.9)) / 2,
        ),
        (
            dict(weight=0.3, delta=0.5, gamma=0),
            0.3 * focal(0, 0.7, 0.9, 0.8, 0.6) / 2 / 4
            + 0.7 * (tversky_loss(QTP, QFP, QFN, 0.5) + tversky_loss(QTP0, QFN, QFP, 0.5)) / 2,
        ),
    ],
)
def test_unified_focal(params, want, pred):
    assert_same(loss('UnifiedFocalLoss', pred, smooth=0, **params), want, 'float64')


def test_unified_focal_of_three_classes_has_one_background():
    pred = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.2, 0.7]]).T[None]
    label = np.array([[0, 1, 2]])
    want = (0.2 * focal(0.5, 0.7) + 0.8 * focal(0.5, 0.4, 0.7)) / 3
    assert_same(loss('UnifiedFocalLoss', pred, label, weight=1, delta=0.8), want, 'float64')
    want = (0.2 * focal(0.5, 0.7) + 0.8 * focal(0, 0.4, 0.7)) / 3
    assert_same(loss('UnifiedFocalLoss', pred, label, weight=1, delta=0.8, asymmetric=True), want, 'float64')
    cells = [(0.7, 0.6, 0.3), (0.4, 0.4, 0.6), (0.7, 0.2, 0.3)]
    background, *foreground = (tversky_loss(*cell, 0.8) for cell in cells)
    want = (background + sum(math.sqrt(x) for x in foreground)) / 3
    assert_same(loss('UnifiedFocalLoss', pred, label, weight=0, delta=0.8, asymmetric=True, smooth=0), want, 'float64')


def test_unified_focal_is_half_of_each_part_by_default():
    z, label = random_logits(14)
    parts = [loss_of_logits('UnifiedFocalLoss', z, label, weight=weight) for weight in (0, 1)]
    assert_same(loss_of_logits('UnifiedFocalLoss', z, label), sum(parts) / 2, 'float64')


def test_unified_focal_smooth_is_one_pixel_in_ten_million():
    wrong, wrong0 = 0.6 * QFN + 0.4 * QFP, 0.6 * QFP + 0.4 * QFN
    want = (wrong / (QTP + wrong + 1e-7)) ** 0.5 / 2 + (wrong0 / (QTP0 + wrong0 + 1e-7)) ** 0.5 / 2
    assert_same(loss('UnifiedFocalLoss', Q, weight=0), want, 'float64')


@pytest.mark.parametrize('smooth', [1e-7, 2.0])
@pytest.mark.parametrize('granularity', ['D', 'I', 'C'])
@pytest.mark.parametrize('asymmetric', [False, True])
def test_unified_focal_of_equal_halves_without_focusing_is_cross_entropy_and_dice(asymmetric, granularity, smooth):
    z, label = random_logits(6)
    ce = loss_of_logits('WeightedCrossEntropyLoss', z, label)
    params = dict(granularity=granularity, classes='all', smooth=smooth)
    dice = loss_of_logits('SoftDiceLoss', z, label, **params)
    got = loss_of_logits('UnifiedFocalLoss', z, label, weight=0.3, delta=0.5, gamma=0, asymmetric=asymmetric, **params)
    assert_same(got, 0.3 * ce / 2 + 0.7 * dice, 'float64')


def test_unified_focal_tversky_part_is_focal_tversky_per_image():
    """With 1 - delta on false positives, delta on misses, and the power 1 - gamma where focal Tversky has 1/gamma."""
    z, label = random_logits(7)
    label[1] %= 2
    params = dict(granularity='I', classes='all', smooth=1e-7)
    want = loss_of_logits('FocalTverskyLoss', z, label, alpha=0.2, beta=0.8, gamma=4, **params)
    assert_same(loss_of_logits('UnifiedFocalLoss', z, label, weight=0, delta=0.8, gamma=0.75), want, 'float64')


def test_unified_focal_cross_entropy_of_swapped_classes_is_that_of_the_other_delta():
    z, label = random_logits(8, c=2)
    want = loss_of_logits('UnifiedFocalLoss', z, label, weight=1, delta=0.9)
    swapped = loss_of_logits('UnifiedFocalLoss', z[:, ::-1], 1 - label, weight=1, delta=0.1)
    assert_same(swapped, want, 'float64')
    assert abs(loss_of_logits('UnifiedFocalLoss', z[:, ::-1], 1 - label, weight=1, delta=0.9) - want) > 1e-3


@pytest.mark.parametrize('asymmetric', [False, True])
def test_unified_focal_of_sigmoid_channels_is_the_mean_of_each_channel_alone(asymmetric):
    z, label = random_logits(9)
    params = dict(asymmetric=asymmetric, delta=0.8)
    alone = [loss_of_logits('UnifiedFocalLoss', z[:, k : k + 1], (label == k).astype(int), **params) for k in range(3)]
    got = loss_of_logits('UnifiedFocalLoss', z, label, activation='sigmoid', **params)
    assert_same(got, sum(alone) / 3, 'float64')


def test_unified_focal_counts_listed_sigmoid_channels_with_their_backgrounds():
    z, label = random_logits(13)
    alone = [loss_of_logits('UnifiedFocalLoss', z[:, k : k + 1], (label == k).astype(int), weight=0) for k in (0, 2)]
    got = loss_of_logits('UnifiedFocalLoss', z, label, activation='sigmoid', weight=0, classes=[0, 2])
    assert_same(got, sum(alone) / 2, 'float64')


@pytest.mark.parametrize('pred', [Q, Q1[None, None]], ids=['two_channels', 'one_channel'])
def test_unified_focal_ignored_pixels_make_no_background_present(pred):
    label = np.array([[255, 255, 1, 1]])
    got = loss('UnifiedFocalLoss', pred, label, weight=0, classes='present', smooth=0, ignore_index=255)
    assert_same(got, tversky_loss(QTP, 0, QFN, 0.6) ** 0.5, 'float64')


def test_unified_focal_probabilities_are_clipped_to_1e_7():
    pred, label = np.array([[[1.0, 1.0], [0.0, 0.0]]]), np.array([[0, 1]])
    want = (0.4 * focal(0.5, 1 - 1e-7) + 0.6 * focal(0.5, 1e-7)) / 2
    assert_same(loss('UnifiedFocalLoss', pred, label, weight=1), want, 'float64')
