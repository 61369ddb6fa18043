"""The classic soft losses on the product overlap: Jaccard, Dice, Tversky."""

from mmseg_plugin.losses.base import RegionLoss
from mmseg_plugin.overlap import product_overlap, score
from mmseg_plugin.registry import register
from shared_spec import LOSSES


class SoftOverlap(RegionLoss):
    """What the three share."""

    def statistics(self, batch):
        return product_overlap(batch, self.spec.norm)

    def cell_loss(self, tp, fp, fn):
        return 1 - score(tp, fp, fn, *self.spec.tversky_weights, self.spec.smooth)


@register
class SoftJaccardLoss(SoftOverlap):
    """Soft Jaccard loss: 1 - (tp + smooth) / (tp + fp + fn + smooth), product overlap.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show SoftJaccardLoss``. Source: Rahman, Wang 2016.
    """

    spec_class = LOSSES['SoftJaccardLoss']

    def __init__(
        self, *, activation='softmax', from_logits=True, ignore_index=None, sync=True, loss_weight=1.0,
        class_weight=None, granularity='D', classes='auto', presence_threshold=0.01, smooth=1e-3, norm=1,
        loss_name='loss_soft_jaccard',
    ):  # fmt: skip
        super().__init__(locals())


@register
class SoftDiceLoss(SoftOverlap):
    """Soft Dice loss: 1 - (tp + smooth) / (tp + fp/2 + fn/2 + smooth), product overlap; ``norm=2`` is V-Net's.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show SoftDiceLoss``. Source: Milletari 2016.
    """

    spec_class = LOSSES['SoftDiceLoss']

    def __init__(
        self, *, activation='softmax', from_logits=True, ignore_index=None, sync=True, loss_weight=1.0,
        class_weight=None, granularity='D', classes='auto', presence_threshold=0.01, smooth=1e-3, norm=1,
        loss_name='loss_soft_dice',
    ):  # fmt: skip
        super().__init__(locals())


@register
class SoftTverskyLoss(SoftOverlap):
    """Soft Tversky loss: 1 - (tp + smooth) / (tp + alpha*fp + beta*fn + smooth), product overlap.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show SoftTverskyLoss``. Source: Salehi 2017.
    """

    spec_class = LOSSES['SoftTverskyLoss']

    def __init__(
        self, *, activation='softmax', from_logits=True, ignore_index=None, sync=True, loss_weight=1.0,
        class_weight=None, granularity='D', classes='auto', presence_threshold=0.01, smooth=1e-3, alpha=0.3, beta=0.7,
        loss_name='loss_soft_tversky',
    ):  # fmt: skip
        super().__init__(locals())
