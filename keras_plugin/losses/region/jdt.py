"""The JDT losses: Jaccard metric, Dice semimetric, compatible Tversky."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from keras_plugin.arithmetic import at_least
from keras_plugin.granularity import CellSums
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import RegionLoss
from keras_plugin.overlap import metric_overlap, score
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES
from shared_spec.losses.region.jdt import TINY


class JDT(RegionLoss):
    """What the three share."""

    def statistics(self, batch: Batch) -> CellSums:
        return metric_overlap(batch, self.spec.norm)

    def cell_loss(self, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
        alpha, beta = self.spec.tversky_weights
        s = score(tp, fp, fn, alpha, beta, self.spec.smooth)
        loss = -ops.log(at_least(s, TINY)) if self.spec.log_loss else 1 - s
        return loss if self.spec.gamma == 1 else at_least(loss, 0.0) ** self.spec.gamma


@keras.saving.register_keras_serializable(package='segparity')
class JaccardMetricLoss(JDT):
    """Jaccard loss that is a metric on soft labels too: 1 - (tp + smooth) / (tp + fp + fn + smooth), metric overlap.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show JaccardMetricLoss``. Source: arXiv 2302.05666, 2310.19252.
    """

    spec_class = LOSSES['JaccardMetricLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        normalize_class_weight: bool = False,
        granularity: str | Mapping[str, float] = 'D',
        classes: str | Sequence[int] = 'auto',
        presence_threshold: float = 0.01,
        smooth: float = 1e-3,
        norm: int = 1,
        log_loss: bool = False,
        gamma: float = 1.0,
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())


@keras.saving.register_keras_serializable(package='segparity')
class DiceSemimetricLoss(JDT):
    """Dice loss that is a semimetric on soft labels too: 1 - (tp + smooth) / (tp + fp/2 + fn/2 + smooth).

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show DiceSemimetricLoss``. Source: arXiv 2303.16296.
    """

    spec_class = LOSSES['DiceSemimetricLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        normalize_class_weight: bool = False,
        granularity: str | Mapping[str, float] = 'D',
        classes: str | Sequence[int] = 'auto',
        presence_threshold: float = 0.01,
        smooth: float = 1e-3,
        norm: int = 1,
        log_loss: bool = False,
        gamma: float = 1.0,
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())


@keras.saving.register_keras_serializable(package='segparity')
class CompatibleTverskyLoss(JDT):
    """Tversky loss, minimal at p = y on soft labels too: 1 - (tp + smooth) / (tp + alpha*fp + beta*fn + smooth).

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show CompatibleTverskyLoss``. Source: arXiv 2303.16296.
    """

    spec_class = LOSSES['CompatibleTverskyLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        normalize_class_weight: bool = False,
        granularity: str | Mapping[str, float] = 'D',
        classes: str | Sequence[int] = 'auto',
        presence_threshold: float = 0.01,
        smooth: float = 1e-3,
        norm: int = 1,
        log_loss: bool = False,
        gamma: float = 1.0,
        alpha: float = 0.5,
        beta: float = 0.5,
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())
