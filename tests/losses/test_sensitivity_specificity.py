"""SensitivitySpecificityLoss by hand, on the reference."""

import numpy as np

from tests.losses.by_hand import LABEL, P1, loss, random_probabilities
from tests.support.assertions import assert_same


def test_sensitivity_specificity():
    """Squared errors 0.04, 0.16 off the structure and 0.09, 0 on it, each over two pixels."""
    on, off = 0.09 / (2 + 1e-3), (0.04 + 0.16) / (2 + 1e-3)
    assert_same(loss('SensitivitySpecificityLoss', classes=[1]), 0.05 * on + 0.95 * off, 'float64')
    assert_same(loss('SensitivitySpecificityLoss', classes=[0]), 0.05 * off + 0.95 * on, 'float64')
    both = (3 * (0.05 * off + 0.95 * on) + 7 * (0.05 * on + 0.95 * off)) / 2
    assert_same(loss('SensitivitySpecificityLoss', class_weight=[3, 7]), both, 'float64')
    assert_same(
        loss('SensitivitySpecificityLoss', classes=[1], weight=0.25, smooth=1), (0.09 + 3 * 0.2) / 12, 'float64'
    )


def test_sensitivity_specificity_at_the_ends_is_the_squared_error_of_one_side_alone():
    label, params = np.array([[0, 1, 1, 1]]), dict(classes=[1], smooth=0)
    on, off = (0.6**2 + 0.3**2 + 0) / 3, 0.2**2
    assert_same(loss('SensitivitySpecificityLoss', target=label, weight=1, **params), on, 'float64')
    assert_same(loss('SensitivitySpecificityLoss', target=label, weight=0, **params), off, 'float64')


def test_sensitivity_specificity_of_a_perfect_prediction_is_nothing_whatever_smooth():
    perfect = np.stack([1 - LABEL, LABEL], 1).astype(float)
    assert loss('SensitivitySpecificityLoss', perfect, smooth=10) == 0.0
    all_wrong = loss('SensitivitySpecificityLoss', 1 - perfect, smooth=2)
    assert_same(all_wrong, 2 / (2 + 2), 'float64')


def test_sensitivity_specificity_granularity_and_soft_labels():
    pred, label = random_probabilities(8)
    cells = [
        [
            loss('SensitivitySpecificityLoss', pred[i : i + 1], label[i : i + 1], classes=[k], weight=0.3)
            for k in range(3)
        ]
        for i in range(2)
    ]
    got = loss('SensitivitySpecificityLoss', pred, label, granularity='I', weight=0.3)
    assert_same(got, np.mean(cells), 'float64')
    soft = np.array([[0.5, 0.0, 1.0, 0.25]])
    error = [0.3**2, 0.4**2, 0.3**2, 0.75**2]
    on, off = 0.5 * error[0] + error[2] + 0.25 * error[3], 0.5 * error[0] + error[1] + 0.75 * error[3]
    got = loss('SensitivitySpecificityLoss', P1[None, None], soft, weight=0.3, smooth=0)
    assert_same(got, 0.3 * on / 1.75 + 0.7 * off / 2.25, 'float64')
