"""Maps of distances made in the data pipeline and packed with the labels, for losses that take one."""

from typing import Any

import numpy as np

from keras_plugin.losses.boundary.maps import Mapped
from shared_spec.distance import check_num_classes
from shared_spec.distance_packing import image_shape, make_packed
from shared_spec.shapes import as_text


class DistanceMaps:
    """Packs class ids with the map that a loss multiplies with: after the geometric augmentation, before batching.

    loss: a loss that takes a map, of which spacing, ``ignore_class`` and the rest are read; num_classes: the channels of
    the prediction; dimensions: how many axes an image has, for labels of others to be refused here, not by the loss.
    ``pack(labels)`` takes one image's ids (*space) of NumPy and gives (*space, 2 + K) float32, which the loss, and
    ``WeightedSumLoss`` with such a loss, takes for labels. ``dataset.map(maps)`` does it in tf.data.
    """

    def __init__(self, loss: Mapped, num_classes: int, dimensions: int | None = None) -> None:
        if not isinstance(loss, Mapped):
            raise TypeError(f'DistanceMaps: loss must be one that takes distance_map, got {told(loss)}')
        loss.spec.check_takes_map('DistanceMaps')
        self.spec, self.num_classes = loss.spec, check_num_classes('DistanceMaps', num_classes)
        self.dimensions = self.spec.axes_of_image('DistanceMaps', dimensions)

    def pack(self, labels: Any) -> np.ndarray:
        """(*space, 2 + K) float32 of one image's class ids (*space) or (*space, 1), integers. ValueError for others."""
        return make_packed(self.spec, labels, self.num_classes, self.dimensions)

    def __call__(self, image: Any, labels: Any = None, *weight: Any) -> tuple[Any, ...]:
        """(image, packed labels) of an element of a ``tf.data.Dataset``, and its weight where there is one.

        TypeError for elements that are not (image, labels), ValueError for batches, as far as their shape shows it.
        """
        import tensorflow as tf

        if labels is None:
            raise TypeError(
                'DistanceMaps: takes elements (image, labels) of a dataset, got one value; of labels alone '
                'dataset.map(lambda labels: maps(labels, labels)[1]) packs them'
            )
        shape = tf.TensorShape(labels.shape)
        if shape.rank is None:
            raise ValueError('DistanceMaps: labels must have a known number of axes, which tf.ensure_shape gives them')
        packed = tf.numpy_function(self.pack, [labels], tf.float32)
        space = image_shape(tuple(shape), self.dimensions)
        if self.dimensions is None and len(space) == 3 and space[0] is None and None not in space[1:]:
            raise ValueError(
                f'DistanceMaps: labels of shape {as_text(tuple(shape))} look like batches of images; dataset.map(maps) stands '
                'before batch, and DistanceMaps(..., dimensions=3) says that they are volumes'
            )
        packed.set_shape((*space, 2 + self.spec.map_channels(self.num_classes)))
        return (image, packed, *weight)


def told(x: object) -> str:
    """What was given, in a few words."""
    if isinstance(x, type):
        return f'the class {x.__name__}, which is still to be called'
    return repr(x) if x is None or isinstance(x, (str, int, float)) else f'a {type(x).__name__}'
