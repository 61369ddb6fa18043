"""A weighted sum of losses on the same prediction."""

from torch import nn

from mmseg_plugin.losses.base import Loss
from mmseg_plugin.registry import build, register
from shared_spec import LOSSES


@register
class WeightedSumLoss(Loss):
    """sum_i weights_i * loss_i; without losses 0.25 * WeightedCrossEntropyLoss + 0.75 * JaccardMetricLoss.

    ``losses`` are configurations such as ``dict(type='JaccardMetricLoss')``. A list in ``loss_decode`` does the same
    and logs each part. Parameters, call and errors: ``segparity show WeightedSumLoss``.
    """

    spec_class = LOSSES['WeightedSumLoss']

    def __init__(self, losses=None, *, weights=None, loss_weight=1.0, loss_name='loss_weighted_sum'):
        super().__init__(locals())
        self.parts = nn.ModuleList(build(part.to_mmseg()) for part in self.spec.parts)

    def forward(self, pred, target, weight=None, ignore_index=None, avg_factor=None, reduction_override=None, **kwargs):
        """The weighted sum; every part receives the call's arguments as they are."""
        call = dict(avg_factor=avg_factor, reduction_override=reduction_override, **kwargs)
        losses = (part(pred, target, weight, ignore_index, **call) for part in self.parts)
        return self.spec.loss_weight * sum(w * loss for w, loss in zip(self.spec.shares, losses))
