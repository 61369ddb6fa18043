"""FocalTverskyLoss by hand, and as Tversky and Dice; on the reference."""

import math

import numpy as np
import pytest

from tests.losses.by_hand import FN, FP, TP, TP0, loss, random_probabilities
from tests.support.assertions import assert_same


@pytest.mark.parametrize(
    ('params', 'want'),
    [
        (dict(classes=[1]), ((0.3 * FP + 0.7 * FN) / (TP + 0.3 * FP + 0.7 * FN + 1e-3)) ** 0.75),
        (dict(classes=[1], alpha=2, beta=5, gamma=2, smooth=0), math.sqrt(1 - TP / (TP + 2 * FP + 5 * FN))),
        (dict(classes=[1], alpha=2, beta=5, gamma=0.5, smooth=3), (1 - (TP + 3) / (TP + 2 * FP + 5 * FN + 3)) ** 2),
        (dict(classes=[1], gamma=1, smooth=0, loss_weight=3), 3 * (1 - TP / (TP + 0.3 * FP + 0.7 * FN))),
    ],
)
def test_focal_tversky(params, want):
    assert_same(loss('FocalTverskyLoss', **params), want, 'float64')


def test_focal_tversky_takes_the_power_of_each_cell_before_the_mean():
    one, zero = (0.3 * FP + 0.7 * FN), (0.3 * FN + 0.7 * FP)
    want = (math.sqrt(one / (TP + one)) + math.sqrt(zero / (TP0 + zero))) / 2
    assert_same(loss('FocalTverskyLoss', gamma=2, smooth=0), want, 'float64')
    weighted = (7 * math.sqrt(one / (TP + one)) + 3 * math.sqrt(zero / (TP0 + zero))) / 2
    assert_same(loss('FocalTverskyLoss', gamma=2, smooth=0, class_weight=[3, 7]), weighted, 'float64')


@pytest.mark.parametrize('granularity', ['D', 'I', 'C'])
def test_focal_tversky_at_gamma_one_is_tversky_and_at_equal_halves_dice(granularity):
    pred, label = random_probabilities(1)
    params = dict(alpha=0.2, beta=1.4, granularity=granularity, class_weight=[1, 2, 4])
    tversky = loss('SoftTverskyLoss', pred, label, **params)
    assert_same(loss('FocalTverskyLoss', pred, label, gamma=1, **params), tversky, 'float64')
    params = dict(granularity=granularity, smooth=0.5)
    dice = loss('SoftDiceLoss', pred, label, **params)
    assert_same(loss('FocalTverskyLoss', pred, label, gamma=1, alpha=0.5, beta=0.5, **params), dice, 'float64')


def test_focal_tversky_of_no_mass_at_all_is_nothing():
    empty, label = np.zeros((1, 1, 4)), np.zeros((1, 4), int)
    assert loss('FocalTverskyLoss', empty, label, classes='all', smooth=0) == 0.0
    assert_same(loss('FocalTverskyLoss', empty + 0.5, label, classes='all', smooth=0), 1.0, 'float64')
