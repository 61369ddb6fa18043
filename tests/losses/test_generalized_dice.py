"""GeneralizedDiceLoss by hand, on the reference."""

import numpy as np
import pytest

from tests.losses.by_hand import loss
from tests.support.assertions import assert_same


def test_generalized_dice_weights():
    """Class 0 has 6 pixels, class 1 has 2: weights 1/36 and 1/4."""
    p1 = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.8, 0.8])
    pred, label = np.stack([1 - p1, p1])[None], np.array([[0] * 6 + [1] * 2])
    top = 5.4 / 36 + 1.6 / 4
    bottom = (5.4 + 0.4 + 6) / 2 / 36 + (0.6 + 1.6 + 2) / 2 / 4
    assert_same(loss('GeneralizedDiceLoss', pred, label, smooth=0), 1 - top / bottom, 'float64')


@pytest.mark.parametrize('weighting', ['square', 'simple', 'uniform'])
def test_generalized_dice_does_not_depend_on_the_size_of_the_image(weighting):
    rng = np.random.default_rng(0)
    pred, label = np.moveaxis(rng.dirichlet([1, 1, 1], (1, 20)), -1, 1), rng.integers(0, 3, (1, 20))
    small = loss('GeneralizedDiceLoss', pred, label, weighting=weighting, smooth=0)
    large = loss('GeneralizedDiceLoss', np.tile(pred, 50), np.tile(label, 50), weighting=weighting, smooth=0)
    assert_same(large, small, 'float64')


def test_generalized_dice_absent_class():
    """Class 2 has no pixel and 0.4 of predicted mass; present classes have 2 and 2 pixels: weights 1/4, 1/4 and 1/4 or 0."""
    pred = np.array([[[0.9, 0.9, 0.1, 0.1], [0.0, 0.0, 0.8, 0.8], [0.1, 0.1, 0.1, 0.1]]])
    label = np.array([[0, 0, 1, 1]])
    top, drop, most = 1.8 + 1.6, (2.0 + 2) / 2 + (1.6 + 2) / 2, (2.0 + 2) / 2 + (1.6 + 2) / 2 + 0.4 / 2
    assert_same(loss('GeneralizedDiceLoss', pred, label, smooth=0, absent='drop'), 1 - top / drop, 'float64')
    assert_same(loss('GeneralizedDiceLoss', pred, label, smooth=0), 1 - top / most, 'float64')
    empty = np.full((1, 1, 4), 0.3)
    assert loss('GeneralizedDiceLoss', empty, np.zeros((1, 4), int)) == 0.0, 'no class at all'
