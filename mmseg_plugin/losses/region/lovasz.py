"""The Lovasz losses: Lovasz softmax on probabilities, Lovasz hinge on logits."""

from mmseg.registry import MODELS

from mmseg_plugin.losses.base import RegionLoss
from mmseg_plugin.lovasz_extension import lovasz_sums
from shared_spec import LOSSES, shapes


class Lovasz(RegionLoss):
    """What the two share: the sums of an (image, class) cell, whose means are those of the other region losses."""

    def statistics(self, batch):
        classes = shapes.chosen(type(self.spec).__name__, self.spec.classes, batch.channels)
        return (lovasz_sums(batch, self.hinge, self.spec, classes),)

    def cell_loss(self, sums):
        return sums


@MODELS.register_module()
class LovaszSoftmaxLoss(Lovasz):
    """Lovasz extension of the Jaccard loss: errors 1 - p_c at pixels of class c and p_c elsewhere, sorted.

    Forward and backward take 4 times the logits' memory at most at (2, 19, 512, 1024) on the CPU (benchmarks/lovasz.py),
    where float32 and pixels of equal weight are quickest. An absent class counts as ``classes`` says and then costs its
    largest error, an ignored pixel counts nowhere, an empty batch gives 0. No second derivatives.
    Parameters, call and errors: ``segparity show LovaszSoftmaxLoss``. Source: arXiv 1705.08790.
    """

    spec_class = LOSSES['LovaszSoftmaxLoss']
    hinge = False

    def __init__(
        self, *, activation='softmax', from_logits=True, ignore_index=None, sync=True, loss_weight=1.0,
        class_weight=None, per_image=False, classes='auto', loss_name='loss_lovasz_softmax',
    ):  # fmt: skip
        super().__init__(locals())


@MODELS.register_module()
class LovaszHingeLoss(Lovasz):
    """Lovasz extension of the Jaccard loss on hinge errors max(1 - z*(2*y - 1), 0); one channel of logits.

    An image without foreground costs its largest error, an ignored pixel counts nowhere, an empty batch gives 0. No
    second derivatives.
    Parameters, call and errors: ``segparity show LovaszHingeLoss``. Source: arXiv 1705.08790.
    """

    spec_class = LOSSES['LovaszHingeLoss']
    hinge = True

    def __init__(
        self, *, from_logits=True, ignore_index=None, sync=True, loss_weight=1.0, per_image=True,
        loss_name='loss_lovasz_hinge',
    ):  # fmt: skip
        super().__init__(locals())
