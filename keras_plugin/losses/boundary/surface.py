"""The boundary loss of Kervadec: probabilities times the signed distance to the boundary of their class."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_plugin.distance import both_sides
from keras_plugin.losses.boundary.maps import MappedMean
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class SurfaceLoss(MappedMean):
    """Boundary loss: mean of p * phi; phi = d outside the class, -(d - 1) inside, d the distance to the other side.

    ``distance_map`` (N, *space, C) at the call, or packed with the labels, is phi; else the loss makes it from the labels.
    A class without an inside or an outside has phi 0, an ignored pixel counts nowhere, an empty batch gives 0.
    Parameters, call and errors: ``segparity show SurfaceLoss``. Source: Kervadec 2019.
    """

    spec_class = LOSSES['SurfaceLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        spacing: Sequence[float] | None = None,
        classes: str | Sequence[int] = 'all',
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def make_map(self, inside: Tensor, valid: Tensor, dtype: str) -> Tensor:
        depth, gap = both_sides(inside, valid, self.spec.spacing, dtype)
        return gap - ops.where(depth > 0, depth - 1, ops.zeros_like(depth))
