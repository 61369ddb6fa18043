"""The JDT losses: Jaccard metric, Dice semimetric, compatible Tversky."""

from mmseg_plugin.losses.base import RegionLoss
from mmseg_plugin.overlap import metric_overlap, score
from mmseg_plugin.registry import register
from shared_spec import LOSSES
from shared_spec.losses.region.jdt import TINY


class JDT(RegionLoss):
    """What the three share."""

    def statistics(self, batch):
        return metric_overlap(batch, self.spec.norm)

    def cell_loss(self, tp, fp, fn):
        s = score(tp, fp, fn, *self.spec.tversky_weights, self.spec.smooth)
        loss = -s.clamp(min=TINY).log() if self.spec.log_loss else 1 - s
        return loss if self.spec.gamma == 1 else loss.clamp(min=0) ** self.spec.gamma


@register
class JaccardMetricLoss(JDT):
    """Jaccard loss that is a metric on soft labels too: 1 - (tp + smooth) / (tp + fp + fn + smooth), metric overlap.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show JaccardMetricLoss``. Source: arXiv 2302.05666, 2310.19252.
    """

    spec_class = LOSSES['JaccardMetricLoss']

    def __init__(
        self, *, activation='softmax', from_logits=True, ignore_index=None, sync=True, loss_weight=1.0,
        class_weight=None, granularity='D', classes='auto', presence_threshold=0.01, smooth=1e-3, norm=1,
        log_loss=False, gamma=1.0, loss_name='loss_jaccard_metric',
    ):  # fmt: skip
        super().__init__(locals())


@register
class DiceSemimetricLoss(JDT):
    """Dice loss that is a semimetric on soft labels too: 1 - (tp + smooth) / (tp + fp/2 + fn/2 + smooth).

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show DiceSemimetricLoss``. Source: arXiv 2303.16296.
    """

    spec_class = LOSSES['DiceSemimetricLoss']

    def __init__(
        self, *, activation='softmax', from_logits=True, ignore_index=None, sync=True, loss_weight=1.0,
        class_weight=None, granularity='D', classes='auto', presence_threshold=0.01, smooth=1e-3, norm=1,
        log_loss=False, gamma=1.0, loss_name='loss_dice_semimetric',
    ):  # fmt: skip
        super().__init__(locals())


@register
class CompatibleTverskyLoss(JDT):
    """Tversky loss, minimal at p = y on soft labels too: 1 - (tp + smooth) / (tp + alpha*fp + beta*fn + smooth).

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show CompatibleTverskyLoss``. Source: arXiv 2303.16296.
    """

    spec_class = LOSSES['CompatibleTverskyLoss']

    def __init__(
        self, *, activation='softmax', from_logits=True, ignore_index=None, sync=True, loss_weight=1.0,
        class_weight=None, granularity='D', classes='auto', presence_threshold=0.01, smooth=1e-3, norm=1,
        log_loss=False, gamma=1.0, alpha=0.5, beta=0.5, loss_name='loss_compatible_tversky',
    ):  # fmt: skip
        super().__init__(locals())
