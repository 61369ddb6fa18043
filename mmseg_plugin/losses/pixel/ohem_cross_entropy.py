"""Cross-entropy of hard pixels: those whose class is not probable enough, or less than that of most others."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_plugin.kernels.kth_largest import FLOATS, keys_of, kth_largest
from mmseg_plugin.losses.pixel.selection import SelectedCrossEntropy
from mmseg_plugin.registry import register
from shared_spec import LOSSES


@register
class OhemCrossEntropyLoss(SelectedCrossEntropy):
    """Mean over the pixels whose label has a probability below ``thresh``, or below that of the ``min_kept`` hardest.

    Under ``sync`` these are among the pixels of all ranks. An ignored pixel counts nowhere; an empty batch, or one
    without a hard pixel, gives 0. Parameters, call and errors: ``segparity show OhemCrossEntropyLoss``. Source:
    Shrivastava et al., arXiv 1604.03540; PaddleSeg.
    """

    spec_class = LOSSES['OhemCrossEntropyLoss']
    selects_by_weighted = False

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        thresh: float = 0.7,
        min_kept: int = 10000,
        reduction: str = 'mean',
        loss_name: str = 'loss_ohem_cross_entropy',
    ) -> None:
        super().__init__(locals())

    def share_of(self, keys: Tensor, counts: Tensor) -> Tensor:
        spec = self.spec
        limit = keys_of(torch.full((), spec.least_loss, dtype=FLOATS[keys.dtype], device=keys.device))
        if spec.min_kept > 0:
            edge = kth_largest(keys, counts, lambda n: n.clamp(max=spec.min_kept), spec.sync)
            limit = torch.where(edge.of > spec.min_kept, torch.minimum(limit, edge.key), torch.iinfo(keys.dtype).min)
        return keys > limit
