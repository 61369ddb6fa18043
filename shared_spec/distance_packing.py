"""Labels and a map of distances in one array, where a host takes labels alone (Keras)."""

from typing import Any

import numpy as np

from shared_spec.distance import Mapped

MARK = -1.0  # in the first channel, which no one-hot label has there


def pack(labels: np.ndarray, distance_map: np.ndarray) -> np.ndarray:
    """(*space, 2 + K) float32: MARK, class ids (*space) and the map (K, *space) of one image."""
    parts = [np.full(labels.shape, MARK), labels, *distance_map]
    return np.stack(parts, -1).astype(np.float32)


def make_packed(spec: Mapped, labels: Any, num_classes: int) -> np.ndarray:
    """``pack`` of one image's class ids (*space) and the map that a loss makes of them.

    ValueError for a shape that is not one of class ids, and for ids that float32 would round.
    """
    labels = np.asarray(labels)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.dtype.kind not in 'iub' or (labels.size and abs(labels.astype(np.int64)).max() >= 2**24):
        raise ValueError(f'DistanceMaps: labels must be class ids (*space), integers below 2^24, got {labels.dtype}')
    return pack(labels, spec.distance_map(labels, num_classes))
