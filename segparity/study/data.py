"""What a network of the study learns from and is judged on: images with soft labels and class ids."""

import dataclasses
from collections.abc import Callable

import numpy as np

from segparity.study.settings import Settings

Augment = Callable[[np.random.Generator, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Split:
    """``images`` float32 (N, channels, H, W), about -1 to 1; ``soft`` float32 (N, C, H, W), which sum to 1; ``hard``
    int64 (N, H, W), the class ids to train on in place of ``soft`` and to judge by.
    """

    images: np.ndarray
    soft: np.ndarray
    hard: np.ndarray


@dataclasses.dataclass(frozen=True)
class StudyData:
    """One data set. ``augment(rng, image, soft)`` makes of a training image and its labels what a step sees."""

    title: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    augment: Augment

    @property
    def num_classes(self) -> int:
        return len(self.classes)


def load_data(name: str, settings: Settings) -> StudyData:
    """The data set of this name; StudyError where something that it needs is missing."""
    from segparity.study import brain, digits

    makers = {
        'digits-smoothed': digits.smoothed_digits,
        'digits-annotators': digits.drawn_digits,
        'brain': brain.brain_slices,
    }
    return makers[name](settings)


def unchanged(rng: np.random.Generator, image: np.ndarray, soft: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """No augmentation."""
    return image, soft
