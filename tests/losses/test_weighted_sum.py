"""WeightedSumLoss by hand, on the reference."""

from shared_spec import LOSSES
from tests.losses.by_hand import LABEL, PRED, loss
from tests.support.same import assert_same


def test_weighted_sum():
    parts = [dict(type='WeightedCrossEntropyLoss', from_logits=False), dict(type='SoftDiceLoss', from_logits=False)]
    spec = LOSSES['WeightedSumLoss'](losses=parts, weights=[0.2, 3], loss_weight=2)
    assert LOSSES['WeightedSumLoss'](parts, weights=[0.2, 3], loss_weight=2) == spec  # the losses need no name
    want = 2 * (0.2 * loss('WeightedCrossEntropyLoss') + 3 * loss('SoftDiceLoss'))
    assert_same(spec.reference(PRED, LABEL), want, 'float64')
