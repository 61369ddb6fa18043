"""Simulated annotators: each draws the contours of a label map a little too wide or too narrow, and with a tremor."""

import numpy as np
from scipy import ndimage

HABIT = 0.7  # pixels: how far the contours of one annotator lie outside or inside on average (standard deviation)
TREMOR, LENGTH = 1.0, 4.0  # pixels: how far one contour strays along its way, and over which length


def annotator_habits(rng: np.random.Generator, annotators: int) -> np.ndarray:
    """(R,) pixels by which each annotator draws everything too wide."""
    return rng.normal(0, HABIT, annotators)


def draw_labels(rng: np.random.Generator, labels: np.ndarray, habit: float) -> np.ndarray:
    """Class ids (H, W), 0 is background -> the same as an annotator draws them; a pixel beyond a contour gets the class
    of the nearest one."""
    foreground = labels > 0
    if not foreground.any() or foreground.all():
        return labels.copy()
    outside, nearest = ndimage.distance_transform_edt(~foreground, return_indices=True)
    signed = outside - ndimage.distance_transform_edt(foreground) + np.where(foreground, 0.5, -0.5)
    tremor = ndimage.gaussian_filter(rng.normal(0, 1, labels.shape), LENGTH)
    tremor *= TREMOR / tremor.std()
    return np.where(signed < habit + tremor, labels[tuple(nearest)], 0).astype(labels.dtype)


def drawn_maps(rng: np.random.Generator, labels: np.ndarray, habits: np.ndarray) -> np.ndarray:
    """Label maps (N, H, W) -> (R, N, H, W), one map for each annotator."""
    return np.stack([[draw_labels(rng, one, habit) for one in labels] for habit in habits])
