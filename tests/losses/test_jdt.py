"""JaccardMetricLoss, DiceSemimetricLoss and CompatibleTverskyLoss by hand, on the reference; the parity tests do the rest."""

import math

import pytest

from tests.losses.by_hand import FN, FP, TP, loss
from tests.support.assertions import assert_same


@pytest.mark.parametrize(
    ('name', 'params', 'want'),
    [
        ('JaccardMetricLoss', {}, 1 - (TP + 1e-3) / (TP + FP + FN + 1e-3)),
        ('DiceSemimetricLoss', dict(smooth=0), 1 - TP / (TP + FP / 2 + FN / 2)),
        ('CompatibleTverskyLoss', dict(alpha=2, beta=3, smooth=0), 1 - TP / (TP + 2 * FP + 3 * FN)),
        ('JaccardMetricLoss', dict(smooth=0, log_loss=True), math.log((TP + FP + FN) / TP)),
        ('JaccardMetricLoss', dict(smooth=0, gamma=2), (1 - TP / (TP + FP + FN)) ** 2),
        ('JaccardMetricLoss', dict(smooth=0, loss_weight=3), 3 * (1 - TP / (TP + FP + FN))),
    ],
)
def test_overlap_losses(name, params, want):
    assert_same(loss(name, classes=[1], **params), want, 'float64')


def test_jaccard_metric_class_weights_multiply_and_do_not_join_the_divisor():
    one, two = (loss('JaccardMetricLoss', classes=[k]) for k in (0, 1))
    assert_same(loss('JaccardMetricLoss', class_weight=[3, 5]), (3 * one + 5 * two) / 2, 'float64')


def test_jaccard_metric_granularity_weights_are_not_normalised():
    d, i, c = (loss('JaccardMetricLoss', granularity=g) for g in 'DIC')
    assert_same(loss('JaccardMetricLoss', granularity={'D': 2, 'I': 3, 'C': 5}), 2 * d + 3 * i + 5 * c, 'float64')
