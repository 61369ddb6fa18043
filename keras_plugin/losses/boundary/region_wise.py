"""Region-wise loss: probabilities times a map of each region, rectified or signed distances."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_plugin.arithmetic import largest
from keras_plugin.distance import both_sides
from keras_plugin.losses.boundary.maps import MappedMean
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class RegionWiseLoss(MappedMean):
    """Region-wise loss: mean of p * map; 'rectified': -d / max d inside the class, +1 outside; 'boundary': d outside, -d inside.

    ``distance_map`` (N, *space, C) at the call, or packed with the labels, is the map; else the loss makes it from the
    labels. An absent class has the rectified map 1, the map 'boundary' 0; an ignored pixel counts nowhere, an empty batch
    gives 0. Parameters, call and errors: ``segparity show RegionWiseLoss``. Source: arXiv 2108.01405.
    """

    spec_class = LOSSES['RegionWiseLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        spacing: Sequence[float] | None = None,
        map: str = 'rectified',  # noqa: A002  # as the paper has it
        classes: str | Sequence[int] = 'all',
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def make_map(self, inside: Tensor, valid: Tensor, dtype: str) -> Tensor:
        depth, gap = both_sides(inside, valid, self.spec.spacing, dtype)
        if self.spec.map == 'boundary':
            return gap - depth
        deepest = largest(depth, axis=tuple(range(1, len(depth.shape) - 1)), keepdims=True)
        one = ops.ones_like(depth)
        share = ops.where(deepest > 0, depth / ops.where(deepest > 0, deepest, ops.ones_like(deepest)), one)
        return ops.where(inside, -share, one)
