"""Cross-entropy that costs more near the border of a region, by a map of distances."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_plugin import hard_pixels
from keras_plugin.arithmetic import largest
from keras_plugin.distance import both_sides
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import PixelLoss
from keras_plugin.losses.boundary.maps import Mapped
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class DistanceMapCrossEntropyLoss(Mapped, PixelLoss):
    """(1 + Phi) * cross-entropy, Phi of a region = (max d - d) / max (max d - d), d the distance to the region's border.

    ``distance_map`` (N, *space) or (N, *space, 1) at the call, or packed with the labels, is Phi; else the loss makes it
    from the labels. Phi is 0 without a border; an ignored pixel counts nowhere, an empty batch gives 0. Parameters, call
    and errors: ``segparity show DistanceMapCrossEntropyLoss``. Source: Caliva 2019.
    """

    spec_class = LOSSES['DistanceMapCrossEntropyLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        spacing: Sequence[float] | None = None,
        regions: str = 'foreground',
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def compute(self, batch: Batch) -> Tensor:
        self.spec.check_activation(batch.channels)
        return self.reduce(batch, ((1 + batch.distance_map) * self.cross_entropy(batch))[..., 0])

    def cross_entropy(self, batch: Batch) -> Tensor:
        """(N, P, 1) that of each pixel."""
        if hard_pixels.takes(batch):
            return -ops.log_sigmoid(hard_pixels.own_margin(batch))[..., None]
        log_p, log_not_p = batch.log_prob
        if log_not_p is not None:
            return -ops.where(batch.target > 0.5, log_p, log_not_p)
        return -ops.sum(batch.times_log(batch.target, log_p), axis=-1, keepdims=True)

    def make_map(self, inside: Tensor, valid: Tensor, dtype: str) -> Tensor:
        if self.spec.regions == 'foreground' or inside.shape[-1] == 1:
            foreground = ops.any(inside[..., 1:], axis=-1, keepdims=True) if inside.shape[-1] > 1 else inside
            background = ops.logical_and(valid, ops.logical_not(foreground))
            inside = ops.concatenate([foreground, background], axis=-1)
        depth, _ = both_sides(inside, valid, self.spec.spacing, dtype)
        space = tuple(range(1, len(depth.shape) - 1))
        zero = ops.zeros_like(depth)
        penalty = ops.where(inside, largest(depth, axis=space, keepdims=True) - depth, zero)
        most = largest(penalty, axis=space, keepdims=True)
        share = ops.where(most > 0, penalty / ops.where(most > 0, most, ops.ones_like(most)), zero)
        return ops.sum(share, axis=-1, keepdims=True)
