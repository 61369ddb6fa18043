"""Topology-aware focal loss: focal cross-entropy and how far the components and holes of a prediction are from the labels'."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_plugin.arithmetic import ratio
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.host_callback import call_on_host
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import Loss
from keras_plugin.losses.boundary.maps import in_space
from keras_plugin.losses.pixel.focal_cross_entropy import pixel_losses
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES, shapes
from shared_spec.quick_topology import terms_and_slopes


@keras.saving.register_keras_serializable(package='segparity')
class TopologyAwareFocalLoss(Loss):
    """Focal cross-entropy, and the squared Wasserstein distance between the persistence diagrams of 1 - p and 1 - y.

    The mean of the first is over pixels, of the second over images and classes. The diagrams are made on the CPU, by GUDHI:
    on TensorFlow compile the model with jit_compile=False. An ignored pixel is outside every class and an empty batch
    gives 0. Parameters, call and errors: ``segparity show TopologyAwareFocalLoss``. Source: arXiv 2304.12223.
    """

    spec_class = LOSSES['TopologyAwareFocalLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        gamma: float = 2.0,
        topology_weight: float = 0.1,
        classes: str | Sequence[int] = 'all',
        dimensions: Sequence[int] | None = None,
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def compute(self, batch: Batch) -> Tensor:
        spec = self.spec
        dimensions, cells = spec.dimensions_of(len(batch.space)), self.counted_cells(batch)
        focal = ops.sum(batch.sum(pixel_losses(batch, spec.gamma, None)[..., None]))
        parts = dict(focal=focal, mass=ops.sum(batch.sum(ops.ones_like(batch.weight)[..., None])))
        if spec.topology_weight > 0:
            share = ops.cast(batch.image_weight[:, None] * ops.cast(cells, batch.dtype), focal.dtype)
            terms = ops.cast(self.terms(batch, cells, dimensions), focal.dtype)
            terms = ops.where(cells, share * terms, ops.zeros_like(terms))
            parts |= dict(topology=ops.sum(terms), share=ops.sum(share))
        parts = sum_over_replicas(parts, spec.sync)
        loss = ratio(parts['focal'], parts['mass'], 0.0)
        if spec.topology_weight > 0:
            loss = loss + spec.topology_weight * ratio(parts['topology'], parts['share'], 0.0)
        return ops.cast(spec.loss_weight * loss, batch.dtype)

    def counted_cells(self, batch: Batch) -> Tensor:
        """(N, C) bool: whose topology counts."""
        classes = self.spec.classes
        chosen = shapes.channel_indices(type(self).__name__, classes, batch.channels)
        listed = np.array([[k in chosen for k in range(batch.channels)]])
        cells = ops.logical_and(batch.has_pixel[:, None], ops.convert_to_tensor(listed))
        return ops.logical_and(cells, batch.present(0.5)) if classes in ('auto', 'present') else cells

    def terms(self, batch: Batch, cells: Tensor, dimensions: Sequence[int]) -> Tensor:
        """(N, C) the topological term of each cell, whose gradient by p is that of the births and deaths at hand."""
        prob = in_space(batch, batch.prob)
        inputs = prob, in_space(batch, batch.target), in_space(batch, batch.counted_pixels), cells

        def on_arrays(prob: np.ndarray, target: np.ndarray, counts: np.ndarray, cells: np.ndarray) -> list[np.ndarray]:
            prob, target = np.moveaxis(prob, -1, 1), np.moveaxis(target, -1, 1)
            terms, slopes = terms_and_slopes(prob, target, counts[..., 0], cells, dimensions)
            return [terms, np.moveaxis(slopes, 1, -1)]

        why = 'the topological term'
        shape = tuple(prob.shape)
        terms, slopes = call_on_host(
            on_arrays, inputs, [(shape[0], shape[-1]), shape], batch.dtype, type(self).__name__, why
        )
        moved = (prob - ops.stop_gradient(prob)) * slopes
        return terms + ops.sum(moved, axis=tuple(range(1, len(shape) - 1)))
