"""Cross-entropy of the hardest share of the pixels of a batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_plugin.arithmetic import ratio
from mmseg_plugin.kernels.kth_largest import FLOATS, kth_largest
from mmseg_plugin.losses.pixel.selection import SelectedCrossEntropy
from mmseg_plugin.registry import register
from shared_spec import LOSSES


@register
class TopKCrossEntropyLoss(SelectedCrossEntropy):
    """Mean of the largest k per cent of the pixel losses of the batch, with class weights; softmax or sigmoid.

    Under ``sync`` the batch is that of all ranks. Equal losses share the places that are left. An ignored pixel counts
    nowhere, an empty batch gives 0. Parameters, call and errors: ``segparity show TopKCrossEntropyLoss``. Source: Wu
    et al., arXiv 1605.06885; nnU-Net.
    """

    spec_class = LOSSES['TopKCrossEntropyLoss']
    selects_by_weighted = True

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        k: float = 10.0,
        reduction: str = 'mean',
        loss_name: str = 'loss_top_k_cross_entropy',
    ) -> None:
        super().__init__(locals())

    def share_of(self, keys: Tensor, counts: Tensor) -> Tensor:
        share = self.spec.share
        edge = kth_largest(
            keys, counts, lambda n: (n * share.numerator // share.denominator).clamp(min=1), self.spec.sync
        )
        dtype = FLOATS[keys.dtype]
        tied = ratio(edge.left.to(dtype), edge.tied.to(dtype), 0.0)
        return torch.where(keys == edge.key, tied, (keys > edge.key).to(tied.dtype))
