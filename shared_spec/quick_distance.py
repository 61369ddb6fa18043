"""The distances of ``shared_spec.distance`` as quickly as the CPU has them: by OpenCV in the plane, else by edt or SciPy.

For the losses and the data pipelines; the reference takes SciPy's alone.
"""

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from shared_spec.distance import MISSING

WHOLE = 512  # pixels a side up to which float32 knows the squares of distances as whole numbers


def quick_distance_to(mask: np.ndarray, spacing: Sequence[float] | None = None, dtype: Any = np.float32) -> np.ndarray:
    """(*space) the distance of every pixel to the nearest True of ``mask``, 0 everywhere where there is none.

    Exact; of equal spacing in the plane by OpenCV, else in float32 by edt, where they are installed. ImportError where
    SciPy is not either.
    """
    if not mask.any():
        return np.zeros(mask.shape, dtype)
    steps = tuple(spacing or (1.0,) * mask.ndim)
    precise = np.dtype(dtype) == np.float32 or max(mask.shape) <= WHOLE
    if mask.ndim == 2 and steps[0] == steps[1] and precise and importlib.util.find_spec('cv2') is not None:
        return by_opencv(~mask, steps[0], np.dtype(dtype))
    if np.dtype(dtype) == np.float32 and importlib.util.find_spec('edt') is not None:
        import edt

        return edt.edt(np.ascontiguousarray(~mask), anisotropy=steps, parallel=1)
    try:
        from scipy.ndimage import distance_transform_edt
    except ImportError:
        raise ImportError(MISSING) from None
    return distance_transform_edt(~mask, sampling=steps).astype(dtype)


def by_opencv(others: np.ndarray, step: float, dtype: np.dtype) -> np.ndarray:
    """(H, W) the distance of each True to the nearest False, of which there is one; in float64 as exact as its root."""
    import cv2

    given = np.ascontiguousarray(others, dtype=np.uint8)
    found: Any = cv2.distanceTransform(given, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    if dtype == np.float64:  # squares are whole numbers
        found = np.sqrt(np.rint(np.square(found, dtype=np.float64)))
    return (found if step == 1 else found * step).astype(dtype, copy=False)
