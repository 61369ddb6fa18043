"""Generalized Dice with weights that absent classes do not blow up and the image's size does not change."""

from collections.abc import Mapping, Sequence

import keras
from keras import backend, ops

from keras_plugin.arithmetic import largest, ratio
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import Loss
from keras_plugin.overlap import metric_overlap, product_overlap
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES, shapes
from shared_spec.granularity import as_weights
from shared_spec.losses.region.generalized_dice import EXPONENT


@keras.saving.register_keras_serializable(package='segparity')
class GeneralizedDiceLoss(Loss):
    """Generalized Dice: 1 - sum_c w_c*tp_c / sum_c w_c*(|p_c| + |y_c|)/2 with w_c = 1/|y_c|^2, scaled to sum 1.

    A class without a pixel weighs what ``absent`` says, an ignored pixel counts nowhere, an empty batch gives 0.
    Parameters, call and errors: ``segparity show GeneralizedDiceLoss``. Source: Sudre 2017, NiftyNet.
    """

    spec_class = LOSSES['GeneralizedDiceLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        smooth: float = 1e-3,
        granularity: str | Mapping[str, float] = 'D',
        classes: str | Sequence[int] = 'all',
        presence_threshold: float = 0.01,
        weighting: str = 'square',
        absent: str = 'max',
        overlap: str = 'product',
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def compute(self, batch: Batch) -> Tensor:
        spec, c = self.spec, batch.channels
        chosen = ops.convert_to_tensor(shapes.channel_indices(type(spec).__name__, spec.classes, c), dtype='int32')
        sums, size = product_overlap(batch) if spec.overlap == 'product' else metric_overlap(batch)
        sums = tuple(ops.take(s, chosen, axis=1) for s in sums)
        dtype = backend.standardize_dtype(sums[0].dtype)
        present = ops.take(batch.present(spec.presence_threshold, size), chosen, axis=1)
        levels = as_weights(spec.granularity)
        parts = {}
        if 'D' in levels:
            parts['D'] = ops.stack([ops.sum(s, axis=0) for s in (*sums, ops.cast(present, dtype))])
        if 'I' in levels:
            w = ops.cast(batch.image_weight, dtype) * ops.cast(batch.has_pixel, dtype)
            parts['I'] = ops.stack([ops.sum(w * self.ratio_loss(sums[0], sums[1], sums[2], present)), ops.sum(w)])

        parts = sum_over_replicas(parts, spec.sync)
        result = 0.0
        if 'D' in levels:
            tp, fp, fn, counts = (parts['D'][i] for i in range(4))
            result = result + levels['D'] * self.ratio_loss(tp, fp, fn, counts > 0)
        if 'I' in levels:
            result = result + levels['I'] * ratio(parts['I'][0], parts['I'][1], 0.0)
        return ops.cast(spec.loss_weight * result, batch.dtype)

    def ratio_loss(self, tp: Tensor, fp: Tensor, fn: Tensor, present: Tensor) -> Tensor:
        """1 - the weighted ratio over the last axis; 0 where no class is present."""
        size = ops.stop_gradient(tp + fn)
        none = ops.zeros_like(size)
        smallest = -largest(ops.where(present, -size, none - 1e30), axis=-1, keepdims=True, least=-1e30)
        w = ops.where(present, ratio(smallest + none, size) ** EXPONENT[self.spec.weighting], none)
        if self.spec.absent == 'max':
            w = ops.where(present, w, largest(w, axis=-1, keepdims=True) + none)
        w = ratio(w, ops.sum(w, axis=-1, keepdims=True) + none, 0.0)
        top = ops.sum(w * tp, axis=-1) + self.spec.smooth
        bottom = ops.sum(w * (tp + fp / 2 + fn / 2), axis=-1) + self.spec.smooth
        return ops.where(ops.any(present, axis=-1), 1 - ratio(top, bottom), ops.zeros_like(top))
