"""Values by hand and laws of the combo, exponential logarithmic and unified focal losses."""

import math
import re

import numpy as np
import pytest

from shared_spec import LOSSES
from shared_spec.parameters import SpecError
from tests.support.same import assert_same

# two classes, four pixels, probabilities of class 1; labels 0 0 1 1
P1 = np.array([0.2, 0.4, 0.7, 1.0])
PRED = np.stack([1 - P1, P1])[None]
LABEL = np.array([[0, 0, 1, 1]])
TP, FP, FN = 0.7 + 1.0, 0.2 + 0.4, 0.3 + 0.0  # of class 1
TP0 = 0.8 + 0.6  # of class 0, whose false positives are the false negatives of class 1
DICE, DICE0 = TP / (TP + FP / 2 + FN / 2), TP0 / (TP0 + FP / 2 + FN / 2)
MISSED, FALSE = -math.log(0.7), -math.log(0.8) - math.log(0.6)  # cross-entropies of the foreground and the rest


def loss(name, pred=PRED, target=LABEL, pixel_weight=None, **params):
    return LOSSES[name](from_logits=False, **params).reference(pred, target, pixel_weight)


def of_logits(name, pred, target, pixel_weight=None, **params):
    return LOSSES[name](**params).reference(pred, target, pixel_weight)


def random_case(seed, n=2, c=3, space=(7,)):
    """(logits (n, c, *space), class ids (n, *space)), every class in every image."""
    rng = np.random.default_rng(seed)
    label = np.stack([rng.permutation(np.arange(math.prod(space)) % c).reshape(space) for _ in range(n)])
    return rng.normal(0, 2, (n, c, *space)), label


def two_channels(z):
    return np.concatenate([np.zeros_like(z), z], 1)


@pytest.mark.parametrize(
    ('params', 'want'),
    [
        (dict(smooth=0), (MISSED + FALSE) / 2 / 4 / 2 - DICE / 2),
        (dict(), (MISSED + FALSE) / 2 / 4 / 2 - (TP + 1e-3) / (TP + FP / 2 + FN / 2 + 1e-3) / 2),
        (dict(alpha=0.2, beta=0.9, smooth=0), 0.2 * (0.9 * MISSED + 0.1 * FALSE) / 4 - 0.8 * DICE),
        (dict(alpha=1, beta=1), MISSED / 4),
        (dict(alpha=1, beta=0), FALSE / 4),
        (dict(alpha=0, smooth=0, loss_weight=3), -3 * DICE),
    ],
)
@pytest.mark.parametrize('pred', [PRED, P1[None, None]], ids=['two_channels', 'one_channel'])
def test_combo(params, want, pred):
    assert_same(loss('ComboLoss', pred, classes=[1], **params), want, 'float64')


def test_combo_dice_is_the_mean_over_the_classes_that_count():
    assert_same(loss('ComboLoss', alpha=0, smooth=0), -(DICE + DICE0) / 2, 'float64')


@pytest.mark.parametrize('granularity', ['D', 'I', 'C'])
def test_combo_at_the_ends_of_alpha_is_dice_less_one_and_half_the_cross_entropy(granularity):
    z, label = random_case(0)
    params = dict(granularity=granularity, smooth=0.5)
    dice = of_logits('SoftDiceLoss', z, label, **params)
    assert_same(of_logits('ComboLoss', z, label, alpha=0, **params), dice - 1, 'float64')
    z, label = random_case(1, c=2)
    ce = of_logits('WeightedCrossEntropyLoss', z, label)
    assert_same(of_logits('ComboLoss', z, label, alpha=1, **params), ce / 2, 'float64')
    mixed = of_logits('ComboLoss', z, label, alpha=0.3, **params)
    dice = of_logits('SoftDiceLoss', z, label, **params)
    assert_same(mixed, 0.3 * ce / 2 + 0.7 * (dice - 1), 'float64')


def test_combo_of_a_perfect_prediction():
    perfect = np.stack([1 - LABEL, LABEL], 1).astype(float)
    assert_same(loss('ComboLoss', perfect, alpha=0.25), -0.75, 'float64')


def test_combo_punishes_false_alarms_and_beta_above_a_half_missed_foreground():
    false_alarm, missed = np.array([[[0.9, 0.1, 0.9, 0.9]]]), np.array([[[0.1, 0.1, 0.1, 0.9]]])
    right = np.array([[[0.1, 0.1, 0.9, 0.9]]])
    for alpha in (0.3, 1):
        costs = [loss('ComboLoss', p, alpha=alpha, beta=0.8) for p in (right, false_alarm, missed)]
        assert costs[0] < costs[1] < costs[2]
    rise = math.log(9) / 4
    base = loss('ComboLoss', right, alpha=1, beta=0.8)
    assert_same(loss('ComboLoss', false_alarm, alpha=1, beta=0.8), base + 0.2 * rise, 'float64')
    assert_same(loss('ComboLoss', missed, alpha=1, beta=0.8), base + 0.8 * rise, 'float64')


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
def test_combo_cross_entropy_of_three_classes_is_the_mean_over_the_foreground_classes(activation):
    z, label = random_case(2)
    e = np.exp(z)
    p = e / e.sum(1, keepdims=True) if activation == 'softmax' else e / (1 + e)
    alone = [loss('ComboLoss', p[:, k : k + 1], (label == k).astype(int), alpha=1, beta=0.7) for k in (1, 2)]
    got = of_logits('ComboLoss', z, label, alpha=1, beta=0.7, activation=activation)
    assert_same(got, sum(alone) / 2, 'float64')


def test_combo_and_dice_part_of_exponential_logarithmic_of_one_channel_are_the_foreground_of_two():
    z, label = random_case(3, c=1)[0], random_case(3, c=2)[1]
    for name, params in (('ComboLoss', dict(beta=0.8)), ('ExponentialLogarithmicLoss', dict(ce_weight=0))):
        want = of_logits(name, two_channels(z), label, classes=[1], **params)
        assert_same(of_logits(name, z, label, **params), want, 'float64', name)


def power(*cross_entropies, gamma=0.3):
    return sum(ce**gamma for ce in cross_entropies)


CLIPPED = -math.log(1 - 1e-7)  # of the pixel whose probability is 1
OF_BACKGROUND = (-math.log(0.8), -math.log(0.6))
OF_FOREGROUND = (-math.log(0.7), CLIPPED)


@pytest.mark.parametrize(
    ('params', 'want'),
    [
        (dict(ce_weight=0, classes=[1]), 0.8 * (-math.log(DICE)) ** 0.3),
        (dict(ce_weight=0, dice_weight=2, gamma_dice=1, classes=[1], loss_weight=3), -6 * math.log(DICE)),
        (dict(ce_weight=0, dice_weight=1, gamma_dice=2), (math.log(DICE) ** 2 + math.log(DICE0) ** 2) / 2),
        (dict(dice_weight=0, class_weight=None), 0.2 * power(*OF_BACKGROUND, *OF_FOREGROUND) / 4),
        (dict(dice_weight=0), 0.2 * math.sqrt(2) * power(*OF_BACKGROUND, *OF_FOREGROUND) / 4),
        (
            dict(dice_weight=0, ce_weight=3, gamma_ce=2, class_weight=[2, 5]),
            3 * (2 * power(*OF_BACKGROUND, gamma=2) + 5 * power(*OF_FOREGROUND, gamma=2)) / 4,
        ),
        (dict(dice_weight=0, ce_weight=1, gamma_ce=1, class_weight=None), (FALSE + MISSED + CLIPPED) / 4),
    ],
)
def test_exponential_logarithmic(params, want):
    assert_same(loss('ExponentialLogarithmicLoss', smooth=0, **params), want, 'float64')


def test_exponential_logarithmic_adds_its_parts_and_smooth_acts_in_dice_alone():
    smoothed = (TP + 2) / (TP + FP / 2 + FN / 2 + 2)
    ce = math.sqrt(2) * power(*OF_BACKGROUND, *OF_FOREGROUND) / 4
    got = loss('ExponentialLogarithmicLoss', classes=[1], smooth=2)
    assert_same(got, 0.8 * (-math.log(smoothed)) ** 0.3 + 0.2 * ce, 'float64')


def test_exponential_logarithmic_frequency_weights_are_roots_of_n_over_n_c():
    """One pixel of class 0 and three of class 1: roots of 4 and of 4/3; an ignored pixel joins neither count."""
    label = np.array([[0, 1, 1, 1]])
    of_one = power(-math.log(0.4), -math.log(0.7), CLIPPED)
    want = (2 * power(-math.log(0.8)) + math.sqrt(4 / 3) * of_one) / 4
    params = dict(dice_weight=0, ce_weight=1)
    assert_same(loss('ExponentialLogarithmicLoss', target=label, **params), want, 'float64')
    label = np.array([[0, 1, 1, 255]])
    want = (math.sqrt(3) * power(-math.log(0.8)) + math.sqrt(3 / 2) * power(-math.log(0.4), -math.log(0.7))) / 3
    got = loss('ExponentialLogarithmicLoss', target=label, ignore_index=255, **params)
    assert_same(got, want, 'float64')


def test_exponential_logarithmic_of_an_absent_class_that_counts_is_the_clip():
    label = np.zeros((1, 4), int)
    params = dict(smooth=0, ce_weight=0, dice_weight=1, clip=1e-3)
    got = loss('ExponentialLogarithmicLoss', target=label, classes=[1], **params)
    assert_same(got, (-math.log(1e-3)) ** 0.3, 'float64')
    perfect = np.stack([1 - LABEL, LABEL], 1).astype(float)
    got = loss('ExponentialLogarithmicLoss', perfect, **params)
    assert_same(got, (-math.log(1 - 1e-3)) ** 0.3, 'float64')


def test_a_class_without_any_mass_has_the_dice_of_a_perfect_one():
    empty, label = np.zeros((1, 1, 4)), np.zeros((1, 4), int)
    params = dict(classes='all', smooth=0)
    got = loss('ExponentialLogarithmicLoss', empty, label, ce_weight=0, dice_weight=1, clip=1e-3, **params)
    assert_same(got, (-math.log(1 - 1e-3)) ** 0.3, 'float64')
    assert_same(loss('ComboLoss', empty, label, alpha=0, **params), -1.0, 'float64')


@pytest.mark.parametrize('name', ['ComboLoss', 'ExponentialLogarithmicLoss', 'UnifiedFocalLoss'])
def test_nothing_valid_costs_nothing(name):
    assert loss(name, pixel_weight=np.zeros((1, 4))) == 0.0
    assert loss(name, target=np.full((1, 4), 255), ignore_index=255) == 0.0


@pytest.mark.parametrize('name', ['ComboLoss', 'ExponentialLogarithmicLoss', 'UnifiedFocalLoss'])
def test_an_ignored_pixel_is_as_if_deleted(name):
    pred, label = Q.copy(), LABEL.copy()
    want = loss(name, Q[:, :, 1:], LABEL[:, 1:])
    pred[:, :, 0], label[0, 0] = math.nan, 255
    assert_same(loss(name, pred, label, ignore_index=255), want, 'float64')


def test_exponential_logarithmic_clips_probabilities_on_both_sides():
    pred, label = np.array([[[1.0, 1.0], [0.0, 0.0]]]), np.array([[0, 1]])
    params = dict(dice_weight=0, ce_weight=1, clip=0.01, gamma_ce=1, class_weight=None)
    want = (-math.log(1 - 0.01) - math.log(0.01)) / 2
    assert_same(loss('ExponentialLogarithmicLoss', pred, label, **params), want, 'float64')


@pytest.mark.parametrize('granularity', ['D', 'I', 'C'])
def test_exponential_logarithmic_of_powers_one_is_cross_entropy_and_log_dice(granularity):
    z, label = random_case(4)
    params = dict(gamma_ce=1, gamma_dice=1, class_weight=None, granularity=granularity)
    ce = of_logits('WeightedCrossEntropyLoss', z, label)
    dice = of_logits('DiceSemimetricLoss', z, label, log_loss=True, granularity=granularity)
    only_ce = of_logits('ExponentialLogarithmicLoss', z, label, dice_weight=0, **params)
    only_dice = of_logits('ExponentialLogarithmicLoss', z, label, ce_weight=0, **params)
    assert_same(only_ce, 0.2 * ce, 'float64')
    assert_same(only_dice, 0.8 * dice, 'float64')
    assert_same(of_logits('ExponentialLogarithmicLoss', z, label, **params), 0.2 * ce + 0.8 * dice, 'float64')


@pytest.mark.parametrize('class_weight', ['frequency', [0.4, 1.7], None])
def test_exponential_logarithmic_cross_entropy_of_one_channel_is_that_of_two(class_weight):
    z, label = random_case(5, c=1)[0], random_case(5, c=2)[1]
    params = dict(dice_weight=0, class_weight=class_weight)
    want = of_logits('ExponentialLogarithmicLoss', two_channels(z), label, **params)
    assert_same(of_logits('ExponentialLogarithmicLoss', z, label, **params), want, 'float64')


@pytest.mark.parametrize('class_weight', ['frequency', None])
def test_exponential_logarithmic_cross_entropy_of_sigmoid_channels_is_the_mean_of_each_alone(class_weight):
    z, label = random_case(12)
    params = dict(dice_weight=0, class_weight=class_weight)
    alone = [
        of_logits('ExponentialLogarithmicLoss', z[:, k : k + 1], (label == k).astype(int), **params) for k in range(3)
    ]
    got = of_logits('ExponentialLogarithmicLoss', z, label, activation='sigmoid', **params)
    assert_same(got, sum(alone) / 3, 'float64')


# probabilities of class 1 off 0 and 1; labels 0 0 1 1
Q1 = np.array([0.2, 0.4, 0.7, 0.9])
Q = np.stack([1 - Q1, Q1])[None]
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
    z, label = random_case(14)
    parts = [of_logits('UnifiedFocalLoss', z, label, weight=weight) for weight in (0, 1)]
    assert_same(of_logits('UnifiedFocalLoss', z, label), sum(parts) / 2, 'float64')


def test_unified_focal_smooth_is_one_pixel_in_ten_million():
    wrong, wrong0 = 0.6 * QFN + 0.4 * QFP, 0.6 * QFP + 0.4 * QFN
    want = (wrong / (QTP + wrong + 1e-7)) ** 0.5 / 2 + (wrong0 / (QTP0 + wrong0 + 1e-7)) ** 0.5 / 2
    assert_same(loss('UnifiedFocalLoss', Q, weight=0), want, 'float64')


@pytest.mark.parametrize('smooth', [1e-7, 2.0])
@pytest.mark.parametrize('granularity', ['D', 'I', 'C'])
@pytest.mark.parametrize('asymmetric', [False, True])
def test_unified_focal_of_equal_halves_without_focusing_is_cross_entropy_and_dice(asymmetric, granularity, smooth):
    z, label = random_case(6)
    ce = of_logits('WeightedCrossEntropyLoss', z, label)
    params = dict(granularity=granularity, classes='all', smooth=smooth)
    dice = of_logits('SoftDiceLoss', z, label, **params)
    got = of_logits('UnifiedFocalLoss', z, label, weight=0.3, delta=0.5, gamma=0, asymmetric=asymmetric, **params)
    assert_same(got, 0.3 * ce / 2 + 0.7 * dice, 'float64')


def test_unified_focal_tversky_part_is_focal_tversky_per_image():
    """With 1 - delta on false positives, delta on misses, and the power 1 - gamma where focal Tversky has 1/gamma."""
    z, label = random_case(7)
    label[1] %= 2
    params = dict(granularity='I', classes='all', smooth=1e-7)
    want = of_logits('FocalTverskyLoss', z, label, alpha=0.2, beta=0.8, gamma=4, **params)
    assert_same(of_logits('UnifiedFocalLoss', z, label, weight=0, delta=0.8, gamma=0.75), want, 'float64')


def test_unified_focal_cross_entropy_of_swapped_classes_is_that_of_the_other_delta():
    z, label = random_case(8, c=2)
    want = of_logits('UnifiedFocalLoss', z, label, weight=1, delta=0.9)
    swapped = of_logits('UnifiedFocalLoss', z[:, ::-1], 1 - label, weight=1, delta=0.1)
    assert_same(swapped, want, 'float64')
    assert abs(of_logits('UnifiedFocalLoss', z[:, ::-1], 1 - label, weight=1, delta=0.9) - want) > 1e-3


@pytest.mark.parametrize('asymmetric', [False, True])
def test_unified_focal_of_sigmoid_channels_is_the_mean_of_each_channel_alone(asymmetric):
    z, label = random_case(9)
    params = dict(asymmetric=asymmetric, delta=0.8)
    alone = [of_logits('UnifiedFocalLoss', z[:, k : k + 1], (label == k).astype(int), **params) for k in range(3)]
    got = of_logits('UnifiedFocalLoss', z, label, activation='sigmoid', **params)
    assert_same(got, sum(alone) / 3, 'float64')


def test_unified_focal_counts_listed_sigmoid_channels_with_their_backgrounds():
    z, label = random_case(13)
    alone = [of_logits('UnifiedFocalLoss', z[:, k : k + 1], (label == k).astype(int), weight=0) for k in (0, 2)]
    got = of_logits('UnifiedFocalLoss', z, label, activation='sigmoid', weight=0, classes=[0, 2])
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


@pytest.mark.parametrize('name', ['ComboLoss', 'ExponentialLogarithmicLoss', 'UnifiedFocalLoss'])
def test_a_pixel_of_weight_two_is_two_pixels(name):
    z, label = random_case(10)
    weight = np.ones((2, 7))
    weight[:, 4] = 2
    want = of_logits(name, np.concatenate([z, z[:, :, 4:5]], 2), np.concatenate([label, label[:, 4:5]], 1))
    assert_same(of_logits(name, z, label, weight), want, 'float64')
    assert abs(of_logits(name, z, label) - want) > 1e-6


@pytest.mark.parametrize('name', ['ComboLoss', 'ExponentialLogarithmicLoss', 'UnifiedFocalLoss'])
def test_hard_labels_cost_as_one_hot_ones(name):
    z, label = random_case(11)
    one_hot = np.moveaxis(np.eye(3)[label], -1, 1)
    assert_same(of_logits(name, z, one_hot), of_logits(name, z, label), 'float64')


@pytest.mark.parametrize(
    ('name', 'params', 'sentence'),
    [
        ('ComboLoss', dict(alpha=1.5), 'ComboLoss: alpha must be a number >= 0 and <= 1, got 1.5'),
        ('ComboLoss', dict(beta=-0.1), 'ComboLoss: beta must be a number >= 0 and <= 1, got -0.1'),
        ('ComboLoss', dict(class_weight=[1, 2]), "ComboLoss: unknown parameter 'class_weight'"),
        ('ExponentialLogarithmicLoss', dict(clip=0.5), 'clip must be a number > 0 and < 0.5, got 0.5'),
        ('ExponentialLogarithmicLoss', dict(gamma_ce=0), 'gamma_ce must be a number > 0, got 0'),
        ('ExponentialLogarithmicLoss', dict(gamma_dice=0), 'gamma_dice must be a number > 0, got 0'),
        ('ExponentialLogarithmicLoss', dict(dice_weight=-1), 'dice_weight must be a number >= 0, got -1'),
        (
            'ExponentialLogarithmicLoss',
            dict(class_weight='balanced'),
            'ExponentialLogarithmicLoss: class_weight must be ',
        ),
        ('ExponentialLogarithmicLoss', dict(gamma=2), "ExponentialLogarithmicLoss: unknown parameter 'gamma'"),
        ('UnifiedFocalLoss', dict(gamma=1), 'UnifiedFocalLoss: gamma must be a number >= 0 and < 1, got 1'),
        ('UnifiedFocalLoss', dict(delta=1.1), 'UnifiedFocalLoss: delta must be a number >= 0 and <= 1, got 1.1'),
        ('UnifiedFocalLoss', dict(weight=2), 'UnifiedFocalLoss: weight must be a number >= 0 and <= 1, got 2'),
        ('UnifiedFocalLoss', dict(asymetric=True), "unknown parameter 'asymetric', did you mean 'asymmetric'?"),
    ],
)
def test_refuses_a_parameter(name, params, sentence):
    with pytest.raises(SpecError, match=re.escape(sentence)):
        LOSSES[name](**params)


@pytest.mark.parametrize('channels', [1, 2])
def test_exponential_logarithmic_refuses_a_list_of_another_length(channels):
    need = {1: '1 or 2', 2: '2'}[channels]
    spec = LOSSES['ExponentialLogarithmicLoss'](from_logits=False, class_weight=[1, 2, 3])
    with pytest.raises(ValueError, match=f'class_weight must have {need} entries, one for each class, got 3'):
        spec.reference(PRED[:, :channels], LABEL)
