"""LogCoshDiceLoss by hand, and as log cosh of Dice; on the reference."""

import math

import numpy as np
import pytest

from tests.losses.by_hand import FN, FP, LABEL, TP, TP0, loss, random_probabilities
from tests.support.assertions import assert_same


def test_log_cosh_dice():
    one, zero = (FP + FN) / (2 * TP + FP + FN), (FP + FN) / (2 * TP0 + FP + FN)
    assert_same(loss('LogCoshDiceLoss', classes=[1], smooth=0), math.log(math.cosh(one)), 'float64')
    assert_same(loss('LogCoshDiceLoss', smooth=0), math.log(math.cosh((one + zero) / 2)), 'float64')
    v_net = 1 - 2 * TP / (0.04 + 0.16 + 0.49 + 1 + 2)
    assert_same(loss('LogCoshDiceLoss', classes=[1], smooth=0, norm=2), math.log(math.cosh(v_net)), 'float64')


@pytest.mark.parametrize('granularity', ['D', 'I', 'C'])
@pytest.mark.parametrize('norm', [1, 2])
def test_log_cosh_dice_is_log_cosh_of_the_mean_dice_loss(norm, granularity):
    pred, label = random_probabilities(2)
    params = dict(norm=norm, granularity=granularity, smooth=0.25, class_weight=[5, 1, 2])
    dice = loss('SoftDiceLoss', pred, label, **params)
    got = loss('LogCoshDiceLoss', pred, label, loss_weight=3, **params)
    assert_same(got, 3 * math.log((math.exp(dice) + math.exp(-dice)) / 2), 'float64')


def test_log_cosh_dice_of_a_small_dice_loss_is_half_its_square():
    p = np.where(LABEL == 1, 1 - 1e-6, 1e-6)[:, None]
    dice = loss('SoftDiceLoss', p, LABEL)
    assert 0 < dice < 1e-5
    assert_same(loss('LogCoshDiceLoss', p, LABEL), dice**2 / 2, 'float64', scale=dice**2 / 2)
