"""clDice: whether the centre lines of prediction and label lie in each other, beside Dice."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.granularity import CellSums
from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import RegionLoss
from mmseg_plugin.overlap import product_overlap, score
from mmseg_plugin.registry import register
from mmseg_plugin.skeletons import skeleton_sums
from shared_spec import LOSSES


@register
class CenterlineDiceLoss(RegionLoss):
    """(1 - alpha) * (1 - Dice) + alpha * (1 - clDice), clDice of soft skeletons by the least and largest of windows.

    2-D and 3-D. An absent class counts as ``classes`` says, an ignored pixel nowhere, as if cut out of the picture, an
    empty batch gives 0. Parameters, call and errors: ``segparity show CenterlineDiceLoss``. Source: arXiv 2003.07311.
    """

    spec_class = LOSSES['CenterlineDiceLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        normalize_class_weight: bool = False,
        granularity: str | Mapping[str, float] = 'D',
        classes: str | Sequence[int] = 'all',
        presence_threshold: float = 0.01,
        smooth: float = 1.0,
        iterations: int = 10,
        alpha: float = 0.5,
        reduction: str = 'mean',
        loss_name: str = 'loss_centerline_dice',
    ) -> None:
        super().__init__(locals())

    def statistics(self, batch: Batch) -> CellSums:
        sums, size = product_overlap(batch)
        lines = (x.to(sums.dtype) for x in skeleton_sums(batch, self.spec.iterations))
        return CellSums.stack(*sums, *lines, size=size)

    def cell_loss(self, tp: Tensor, fp: Tensor, fn: Tensor, *lines: Tensor) -> Tensor:
        smooth, alpha = self.spec.smooth, self.spec.alpha
        hit, predicted, found, labelled = lines
        a, b = ratio(hit + smooth, predicted + smooth), ratio(found + smooth, labelled + smooth)
        both = ratio(2 * a * b, a + b, 0.0)
        return (1 - alpha) * (1 - score(tp, fp, fn, 0.5, 0.5, smooth)) + alpha * (1 - both)
