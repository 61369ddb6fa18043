"""Boundary difference over union: what differs of a class, over a union that counts its inside the less, the larger it is."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_plugin.arithmetic import ratio
from keras_plugin.boundaries import boundary_sizes
from keras_plugin.granularity import CellSums
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import RegionLoss
from keras_plugin.overlap import product_overlap
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class BoundaryDoULoss(RegionLoss):
    """Boundary difference over union: (Z - 2*I) / (Z - (1 + a)*I), I = sum p*y, Z = sum p^2 + sum y^2 over the batch.

    a grows with the share of a class that is no boundary. An absent class costs nearly 1 and counts as ``classes`` says,
    an ignored pixel counts nowhere and is outside, an empty batch gives 0. Parameters, call and errors:
    ``segparity show BoundaryDoULoss``. Source: arXiv 2308.00220.
    """

    spec_class = LOSSES['BoundaryDoULoss']

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
        classes: str | Sequence[int] = 'all',
        presence_threshold: float = 0.01,
        smooth: float = 1e-5,
        max_alpha: float = 0.8,
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def statistics(self, batch: Batch) -> CellSums:
        (tp, fp, fn), size = product_overlap(batch, 2)
        whole = ops.stop_gradient(batch.sum(batch.target)) if size is None else size
        sums = (tp, fp, fn, boundary_sizes(batch), whole)
        return CellSums(tuple(ops.cast(s, tp.dtype) for s in sums), size)

    def cell_loss(self, tp: Tensor, fp: Tensor, fn: Tensor, boundary: Tensor, size: Tensor) -> Tensor:
        smooth = self.spec.smooth
        alpha = 1 - 2 * ratio(boundary + smooth, size + smooth)
        alpha = ops.where(alpha > self.spec.max_alpha, self.spec.max_alpha * ops.ones_like(alpha), alpha)
        differs = fp + fn + smooth
        return ratio(differs, differs + (1 - alpha) * tp, 0.0)
