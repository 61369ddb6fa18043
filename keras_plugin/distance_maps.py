"""Maps of distances made in the data pipeline and packed with the labels, for losses that take one."""

from typing import Any

import numpy as np

from keras_plugin.losses.boundary.maps import Mapped
from shared_spec.distance_packing import make_packed


class DistanceMaps:
    """Packs class ids with the map that a loss multiplies with: after the geometric augmentation, before batching.

    loss: a loss that takes a map, of which spacing, ``ignore_class`` and the rest are read; num_classes: the channels of
    the prediction. ``pack(labels)`` takes one image's ids (*space) of NumPy and gives (*space, 2 + K) float32, which the
    loss, and ``WeightedSumLoss`` with such a loss, takes for labels. ``dataset.map(maps)`` does it in tf.data.
    """

    def __init__(self, loss: Mapped, num_classes: int) -> None:
        if not isinstance(loss, Mapped):
            raise TypeError(f'DistanceMaps: loss must be one that takes distance_map, got {loss!r}')
        if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
            raise ValueError(f'DistanceMaps: num_classes must be an integer >= 1, got {num_classes!r}')
        self.spec, self.num_classes = loss.spec, num_classes

    def pack(self, labels: Any) -> np.ndarray:
        """(*space, 2 + K) float32 of one image's class ids (*space) or (*space, 1), integers. ValueError for others."""
        return make_packed(self.spec, labels, self.num_classes)

    def __call__(self, image: Any, labels: Any, *weight: Any) -> tuple[Any, ...]:
        """(image, packed labels) of an element of a ``tf.data.Dataset``, and its weight where there is one."""
        import tensorflow as tf

        packed = tf.numpy_function(self.pack, [labels], tf.float32)
        space = tuple(labels.shape)
        space = space[:-1] if len(space) > 1 and space[-1] == 1 else space
        packed.set_shape((*space, 2 + self.spec.map_channels(self.num_classes)))
        return (image, packed, *weight)
