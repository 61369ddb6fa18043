"""Labels and a map of distances in one array, where a host takes labels alone (Keras)."""

import zlib
from typing import Any

import numpy as np

from shared_spec.distance import Mapped

MARK = -1.0  # in the first channel, which no one-hot label has there: of a map that does not say what it is
LEAST_MARK = -2.0  # which mark_of never reaches, but for rounding


def mark_of(spec: Mapped, axes: int) -> float:
    """What stands in the first channel beside a loss's map of so many axes: another number for each map, in (-2, -1).

    A number of float32, of which half precision keeps the first digits.
    """
    return -1 - (zlib.crc32(f'{axes} {spec.map_field}'.encode()) % (2**23 - 1) + 1) / 2**23


def pack(labels: np.ndarray, distance_map: np.ndarray, mark: float) -> np.ndarray:
    """(*space, 2 + K) float32: mark, class ids (*space) and the map (K, *space) of one image."""
    parts = [np.full(labels.shape, mark), labels, *distance_map]
    return np.stack(parts, -1).astype(np.float32)


def make_packed(spec: Mapped, labels: Any, num_classes: int, dimensions: int | None = None) -> np.ndarray:
    """``pack`` of one image's class ids (*space) and the map that a loss makes of them.

    ValueError for a shape that is not one of class ids, and for ids that float32 would round. Without ``dimensions``, or
    spacing, labels of three axes are a volume: the mark says so, and losses of images refuse it.
    """
    labels = np.asarray(labels)
    axes = spec.axes_of_image('DistanceMaps', dimensions)
    labels = labels.reshape(image_shape(labels.shape, axes))
    if labels.dtype.kind not in 'iub' or (labels.size and abs(labels.astype(np.int64)).max() >= 2**24):
        raise ValueError(f'DistanceMaps: labels must be class ids (*space), integers below 2^24, got {labels.dtype}')
    axes = 3 if axes is None and labels.ndim == 3 else axes
    found = spec.distance_map(labels, num_classes, dimensions=axes, ignore='ignore_class')
    return pack(labels, found, mark_of(spec, labels.ndim))


def image_shape(shape: tuple[Any, ...], axes: int | None) -> tuple[Any, ...]:
    """The shape of an image without the axis of its one channel, if it has one."""
    has_channel = len(shape) > 1 and shape[-1] == 1 and axes in (None, len(shape) - 1)
    return shape[:-1] if has_channel else shape
