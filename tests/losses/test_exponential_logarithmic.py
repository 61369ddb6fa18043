"""ExponentialLogarithmicLoss by hand, and as cross-entropy and Dice; on the reference."""

import math

import numpy as np
import pytest

from shared_spec import LOSSES
from tests.losses.by_hand import (
    DICE,
    DICE0,
    FALSE,
    FN,
    FP,
    LABEL,
    MISSED,
    PRED,
    TP,
    loss,
    loss_of_logits,
    random_logits,
    two_channels,
)
from tests.support.assertions import assert_same


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


def test_exponential_logarithmic_of_a_class_without_any_mass_has_the_dice_of_a_perfect_one():
    empty, label = np.zeros((1, 1, 4)), np.zeros((1, 4), int)
    params = dict(classes='all', smooth=0)
    got = loss('ExponentialLogarithmicLoss', empty, label, ce_weight=0, dice_weight=1, clip=1e-3, **params)
    assert_same(got, (-math.log(1 - 1e-3)) ** 0.3, 'float64')


def test_exponential_logarithmic_clips_probabilities_on_both_sides():
    pred, label = np.array([[[1.0, 1.0], [0.0, 0.0]]]), np.array([[0, 1]])
    params = dict(dice_weight=0, ce_weight=1, clip=0.01, gamma_ce=1, class_weight=None)
    want = (-math.log(1 - 0.01) - math.log(0.01)) / 2
    assert_same(loss('ExponentialLogarithmicLoss', pred, label, **params), want, 'float64')


@pytest.mark.parametrize('granularity', ['D', 'I', 'C'])
def test_exponential_logarithmic_of_powers_one_is_cross_entropy_and_log_dice(granularity):
    z, label = random_logits(4)
    params = dict(gamma_ce=1, gamma_dice=1, class_weight=None, granularity=granularity)
    ce = loss_of_logits('WeightedCrossEntropyLoss', z, label)
    dice = loss_of_logits('DiceSemimetricLoss', z, label, log_loss=True, granularity=granularity)
    only_ce = loss_of_logits('ExponentialLogarithmicLoss', z, label, dice_weight=0, **params)
    only_dice = loss_of_logits('ExponentialLogarithmicLoss', z, label, ce_weight=0, **params)
    assert_same(only_ce, 0.2 * ce, 'float64')
    assert_same(only_dice, 0.8 * dice, 'float64')
    assert_same(loss_of_logits('ExponentialLogarithmicLoss', z, label, **params), 0.2 * ce + 0.8 * dice, 'float64')


@pytest.mark.parametrize('class_weight', ['frequency', [0.4, 1.7], None])
def test_exponential_logarithmic_cross_entropy_of_one_channel_is_that_of_two(class_weight):
    z, label = random_logits(5, c=1)[0], random_logits(5, c=2)[1]
    params = dict(dice_weight=0, class_weight=class_weight)
    want = loss_of_logits('ExponentialLogarithmicLoss', two_channels(z), label, **params)
    assert_same(loss_of_logits('ExponentialLogarithmicLoss', z, label, **params), want, 'float64')


@pytest.mark.parametrize('class_weight', ['frequency', None])
def test_exponential_logarithmic_cross_entropy_of_sigmoid_channels_is_the_mean_of_each_alone(class_weight):
    z, label = random_logits(12)
    params = dict(dice_weight=0, class_weight=class_weight)
    alone = [
        loss_of_logits('ExponentialLogarithmicLoss', z[:, k : k + 1], (label == k).astype(int), **params)
        for k in range(3)
    ]
    got = loss_of_logits('ExponentialLogarithmicLoss', z, label, activation='sigmoid', **params)
    assert_same(got, sum(alone) / 3, 'float64')


@pytest.mark.parametrize('channels', [1, 2])
def test_exponential_logarithmic_refuses_a_list_of_another_length(channels):
    need = {1: '1 or 2', 2: '2'}[channels]
    spec = LOSSES['ExponentialLogarithmicLoss'](from_logits=False, class_weight=[1, 2, 3])
    with pytest.raises(ValueError, match=f'class_weight must have {need} entries, one for each class, got 3'):
        spec.reference(PRED[:, :channels], LABEL)
