"""Embeddings of earlier calls of ``PixelContrastLoss``, as a layer: a model saves the variables of its layers."""

import inspect
from typing import Any

import keras
from keras import ops

from keras_plugin.embeddings import ranks_within
from keras_plugin.typing import DType, Tensor
from shared_spec.checks import Integer
from shared_spec.parameters import check_parameter
from shared_spec.typing import Shape


@keras.saving.register_keras_serializable(package='segparity')
class EmbeddingBank(keras.layers.Layer):
    """Hands an embedding (N, *space, depth) on unchanged and keeps up to memory_size embeddings of each class.

    ``bank = EmbeddingBank(19, 64, 100)`` on the embedding of a model, ``PixelContrastLoss(memory_size=100)``, and at the
    call ``bank=bank``. A call puts its samples in, in place of those that are there for longest, unless the layer is
    frozen: ``bank.trainable = False``. No weight of it is trained.
    """

    built: bool

    def __init__(
        self,
        num_classes: int,
        depth: int,
        memory_size: int,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype, autocast=False)
        self.sizes = {
            key: check_parameter('EmbeddingBank', key, Integer(low=1), value)
            for key, value in dict(num_classes=num_classes, depth=depth, memory_size=memory_size).items()
        }
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        classes, depth, size = self.sizes.values()
        known = inspect.signature(self.add_weight).parameters  # older Keras has no aggregation
        once: dict[str, Any] = dict(aggregation='only_first_replica') if 'aggregation' in known else {}
        shared: dict[str, Any] = dict(initializer='zeros', trainable=False, autocast=False, **once)
        dtype = 'float64' if self.variable_dtype == 'float64' else 'float32'
        self.embeddings = self.add_weight(shape=(classes, size, depth), dtype=dtype, name='embeddings', **shared)
        self.pushed = self.add_weight(shape=(classes,), dtype='int32', name='pushed', **shared)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.sizes}

    def check(self, owner: str, wanted: dict[str, int]) -> None:
        """ValueError where a loss needs a bank of other sizes, or one that a model has called."""
        if not self.built:
            self.build(())
            self.built = True
        if self.sizes != wanted:
            raise ValueError(f'{owner}: bank must have {wanted}, got {self.sizes}')

    def others(self, dtype: str) -> tuple[Tensor, Tensor, Tensor]:
        """The embeddings (B, depth), their classes, and whether there are any there."""
        classes, depth, size = self.sizes.values()
        there = ops.arange(size, dtype='int32') < ops.convert_to_tensor(self.pushed)[:, None]
        owners = ops.repeat(ops.arange(classes, dtype='int32'), size)
        found = ops.reshape(ops.convert_to_tensor(self.embeddings), (-1, depth))
        return ops.cast(found, dtype), owners, ops.reshape(there, (-1,))

    def push(self, x: Tensor, labels: Tensor, valid: Tensor) -> None:
        """Puts samples (S, depth) in, up to ``memory_size`` of a class."""
        if not self.trainable:
            return
        classes, depth, size = self.sizes.values()
        groups = ops.where(valid, labels, classes * ops.ones_like(labels))
        rank, sizes = ranks_within(groups[None], classes + 1)
        kept = ops.logical_and(valid, rank[0] < size)
        pushed = ops.convert_to_tensor(self.pushed)
        start = ops.take(pushed, ops.where(valid, labels, ops.zeros_like(labels)))
        place = labels * size + (start + rank[0]) % size
        place = ops.where(kept, place, classes * size * ops.ones_like(place))  # beyond the bank: dropped
        old = ops.reshape(ops.convert_to_tensor(self.embeddings), (-1, depth))
        new = ops.concatenate([old, ops.zeros((1, depth), dtype=old.dtype)])
        new = ops.scatter_update(new, place[:, None], ops.cast(x, old.dtype))[:-1]
        self.embeddings.assign(ops.reshape(new, self.embeddings.shape))
        self.pushed.assign(pushed + ops.minimum(sizes[0, :-1], size))
