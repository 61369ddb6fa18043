"""WeightedSumLoss by hand, on the reference."""

import numpy as np

from shared_spec import LOSSES
from tests.losses.by_hand import LABEL, PRED, loss, loss_of_logits
from tests.support.assertions import assert_same


def test_weighted_sum():
    parts = [dict(type='WeightedCrossEntropyLoss', from_logits=False), dict(type='SoftDiceLoss', from_logits=False)]
    spec = LOSSES['WeightedSumLoss'](losses=parts, weights=[0.2, 3], loss_weight=2)
    assert LOSSES['WeightedSumLoss'](parts, weights=[0.2, 3], loss_weight=2) == spec  # the losses need no name
    want = 2 * (0.2 * loss('WeightedCrossEntropyLoss') + 3 * loss('SoftDiceLoss'))
    assert_same(spec.reference(PRED, LABEL), want, 'float64')


def test_weighted_sum_without_losses_is_a_quarter_of_cross_entropy_and_three_of_jaccard():
    z, y = np.log(PRED.clip(0.1, 0.9)), LABEL
    want = 0.25 * loss_of_logits('WeightedCrossEntropyLoss', z, y) + 0.75 * loss_of_logits('JaccardMetricLoss', z, y)
    assert_same(loss_of_logits('WeightedSumLoss', z, y), want, 'float64')
