"""Cross-entropy of the hardest share of the pixels of a batch."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_plugin.arithmetic import ratio
from keras_plugin.kth_largest import kth_largest, number_of, share_of_number
from keras_plugin.losses.pixel.selection import Pixels, SelectedCrossEntropy
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class TopKCrossEntropyLoss(SelectedCrossEntropy):
    """Mean of the largest k per cent of the pixel losses of the batch, with class weights; softmax or sigmoid.

    Under ``sync`` the batch is that of all replicas. Equal losses share the places that are left. An ignored pixel counts
    nowhere, an empty batch gives 0. Parameters, call and errors: ``segparity show TopKCrossEntropyLoss``. Source: Wu
    et al., arXiv 1605.06885; nnU-Net.
    """

    spec_class = LOSSES['TopKCrossEntropyLoss']
    selects_by_weighted = True

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        k: float = 10.0,
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def share_of(self, keys: Tensor, pixels: Pixels, dtype: str) -> Tensor:
        share = self.spec.share
        places = share_of_number(number_of(pixels.counts), share.numerator, share.denominator)
        edge = kth_largest(*pixels, ops.where(places < 1, ops.ones_like(places), places))
        tied = ratio(ops.cast(edge.left, dtype), ops.cast(edge.tied, dtype), 0.0)
        return ops.where(keys == edge.key, tied, ops.cast(keys > edge.key, dtype))
