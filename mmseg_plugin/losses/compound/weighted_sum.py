"""A weighted sum of losses on the same prediction."""

from mmseg.registry import MODELS
from torch import nn

from mmseg_plugin.losses.base import Loss
from shared_spec import LOSSES


@MODELS.register_module()
class WeightedSumLoss(Loss):
    """sum_i weights_i * loss_i; without losses 0.25 * WeightedCrossEntropyLoss + 0.75 * JaccardMetricLoss.

    ``losses`` are configurations such as ``dict(type='JaccardMetricLoss')``. A list in ``loss_decode`` does the same
    and logs each part. Parameters, call and errors: ``segparity show WeightedSumLoss``.
    """

    spec_class = LOSSES['WeightedSumLoss']

    def __init__(self, losses=None, *, weights=None, loss_weight=1.0, loss_name='loss_weighted_sum'):
        super().__init__(locals())
        self.parts = nn.ModuleList(MODELS.build(part.to_mmseg()) for part in self.spec.parts)

    def of_call(self, pred, target, weight, ignore_index, call, absent):
        """The weighted sum; every part receives the call's arguments as they are."""
        total = 0
        for share, part in zip(self.spec.shares, self.parts):
            if absent or share == 0:
                total = total + part.of_call(pred, target, weight, ignore_index, dict(call), absent=True)
            else:
                total = total + share * part(pred, target, weight, ignore_index, **call)
        return self.spec.loss_weight * total
