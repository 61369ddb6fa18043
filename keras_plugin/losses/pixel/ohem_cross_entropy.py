"""Cross-entropy of hard pixels: those whose class is not probable enough, or less than that of most others."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_plugin.kth_largest import constant, keys_of, kth_largest, limits_of, number_of
from keras_plugin.losses.pixel.selection import Pixels, SelectedCrossEntropy
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class OhemCrossEntropyLoss(SelectedCrossEntropy):
    """Mean over the pixels whose label has a probability below ``thresh``, or below that of the ``min_kept`` hardest.

    Under ``sync`` these are among the pixels of all replicas. An ignored pixel counts nowhere; an empty batch, or one
    without a hard pixel, gives 0. Parameters, call and errors: ``segparity show OhemCrossEntropyLoss``. Source:
    Shrivastava et al., arXiv 1604.03540; PaddleSeg.
    """

    spec_class = LOSSES['OhemCrossEntropyLoss']
    selects_by_weighted = False

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        thresh: float = 0.7,
        min_kept: int = 10000,
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def share_of(self, keys: Tensor, pixels: Pixels, dtype: str) -> Tensor:
        spec = self.spec
        limit = keys_of(ops.convert_to_tensor(spec.least_loss, dtype=dtype))
        if spec.min_kept > 0:
            number = number_of(pixels.counts)
            kept = ops.where(number < spec.min_kept, number, spec.min_kept * ops.ones_like(number))
            edge = kth_largest(*pixels, kept).key
            least = constant(limits_of(keys)[0], keys)
            limit = ops.where(number > spec.min_kept, ops.where(edge < limit, edge, limit), least)
        return ops.cast(keys > limit, dtype)
