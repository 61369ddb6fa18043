"""ComboLoss by hand, and as cross-entropy and Dice; on the reference."""

import math

import numpy as np
import pytest

from tests.losses.by_hand import (
    DICE,
    DICE0,
    FALSE,
    FN,
    FP,
    LABEL,
    MISSED,
    P1,
    PRED,
    TP,
    loss,
    loss_of_logits,
    random_logits,
)
from tests.support.assertions import assert_same


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
    z, label = random_logits(0)
    params = dict(granularity=granularity, smooth=0.5)
    dice = loss_of_logits('SoftDiceLoss', z, label, **params)
    assert_same(loss_of_logits('ComboLoss', z, label, alpha=0, **params), dice - 1, 'float64')
    z, label = random_logits(1, c=2)
    ce = loss_of_logits('WeightedCrossEntropyLoss', z, label)
    assert_same(loss_of_logits('ComboLoss', z, label, alpha=1, **params), ce / 2, 'float64')
    mixed = loss_of_logits('ComboLoss', z, label, alpha=0.3, **params)
    dice = loss_of_logits('SoftDiceLoss', z, label, **params)
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
    z, label = random_logits(2)
    e = np.exp(z)
    p = e / e.sum(1, keepdims=True) if activation == 'softmax' else e / (1 + e)
    alone = [loss('ComboLoss', p[:, k : k + 1], (label == k).astype(int), alpha=1, beta=0.7) for k in (1, 2)]
    got = loss_of_logits('ComboLoss', z, label, alpha=1, beta=0.7, activation=activation)
    assert_same(got, sum(alone) / 2, 'float64')


def test_combo_of_a_class_without_any_mass_has_the_dice_of_a_perfect_one():
    empty, label = np.zeros((1, 1, 4)), np.zeros((1, 4), int)
    params = dict(classes='all', smooth=0)
    assert_same(loss('ComboLoss', empty, label, alpha=0, **params), -1.0, 'float64')
