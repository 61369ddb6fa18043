"""The classic soft losses on the product overlap: Jaccard, Dice, Tversky."""

from collections.abc import Mapping, Sequence

import keras

from keras_plugin.granularity import CellSums, pool
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import RegionLoss
from keras_plugin.overlap import product_overlap, score
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES, shapes


class SoftOverlap(RegionLoss):
    """What the three share."""

    def statistics(self, batch: Batch) -> CellSums:
        cells = product_overlap(batch, self.spec.norm)
        if not self.spec.pooled:
            return cells
        return pool(cells, shapes.channel_indices(type(self.spec).__name__, self.spec.classes, batch.channels))

    def cell_loss(self, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
        alpha, beta = self.spec.tversky_weights
        return 1 - score(tp, fp, fn, alpha, beta, self.spec.smooth)


@keras.saving.register_keras_serializable(package='segparity')
class SoftJaccardLoss(SoftOverlap):
    """Soft Jaccard loss: 1 - (tp + smooth) / (tp + fp + fn + smooth), product overlap.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show SoftJaccardLoss``. Source: Rahman, Wang 2016.
    """

    spec_class = LOSSES['SoftJaccardLoss']

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
        pooled: bool = False,
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())


@keras.saving.register_keras_serializable(package='segparity')
class SoftDiceLoss(SoftOverlap):
    """Soft Dice loss: 1 - (tp + smooth) / (tp + fp/2 + fn/2 + smooth), product overlap; ``norm=2`` is V-Net's.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show SoftDiceLoss``. Source: Milletari 2016.
    """

    spec_class = LOSSES['SoftDiceLoss']

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
        pooled: bool = False,
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())


@keras.saving.register_keras_serializable(package='segparity')
class SoftTverskyLoss(SoftOverlap):
    """Soft Tversky loss: 1 - (tp + smooth) / (tp + alpha*fp + beta*fn + smooth), product overlap.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show SoftTverskyLoss``. Source: Salehi 2017.
    """

    spec_class = LOSSES['SoftTverskyLoss']

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
        alpha: float = 0.3,
        beta: float = 0.7,
        pooled: bool = False,
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())
