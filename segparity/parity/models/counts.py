"""What is added up over the images of two models, one image at a time."""

import dataclasses
from collections import Counter
from typing import Any

import numpy as np

NEAR = 2  # pixels from a border between classes that count as near


@dataclasses.dataclass
class Counts:
    """Sums over images. Scores are compared as probabilities, of classes in the order of a; ids as they are."""

    channels: int
    pixels: int = 0
    not_numbers: list[int] = dataclasses.field(default_factory=lambda: [0, 0])
    largest_score: float = 0.0
    score_sum: float = 0.0
    centred: float = 0.0
    largest: float = 0.0
    total: float = 0.0
    agreeing: int = 0
    border: list[int] = dataclasses.field(default_factory=lambda: [0, 0])
    inside: list[int] = dataclasses.field(default_factory=lambda: [0, 0])
    border_sum: float = 0.0
    inside_sum: float = 0.0
    images: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    label_pairs: Counter[tuple[int, int]] = dataclasses.field(default_factory=Counter)

    def __post_init__(self) -> None:
        n = max(self.channels, 2)
        self.both, self.either = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.class_sum, self.class_bias = np.zeros(self.channels), np.zeros(self.channels)
        self.class_largest = np.zeros(self.channels)

    def add_scores(
        self, a: np.ndarray, b: np.ndarray, raw: tuple[np.ndarray, np.ndarray] | None, good: np.ndarray
    ) -> None:
        """Probabilities (C, H, W) of an image; raw: logits, where both are; good (H, W): whether both are numbers."""
        apart = np.where(good, b - a, 0)
        size = np.abs(apart)
        self.largest = max(self.largest, float(size.max()))
        self.total += float(size.mean(0).sum())
        self.class_sum += size.sum((1, 2))
        self.class_bias += apart.sum((1, 2))
        self.class_largest = np.maximum(self.class_largest, size.max((1, 2)))
        if raw is not None:
            difference = np.where(good, raw[1] - raw[0], 0)
            self.largest_score = max(self.largest_score, float(np.abs(difference).max()))
            self.score_sum += float(np.abs(difference).mean(0).sum())
            self.centred = max(self.centred, float(np.abs(difference - difference.mean(0)).max()))

    def add_ids(
        self, a: np.ndarray, b: np.ndarray, good: np.ndarray, near: np.ndarray, apart: np.ndarray | None
    ) -> None:
        """Predicted ids (H, W); near: whether a pixel is near a border; apart (H, W): difference of probabilities."""
        same = (a == b) & good
        self.pixels += int(good.sum())
        self.agreeing += int(same.sum())
        for where, sums in ((near & good, self.border), (~near & good, self.inside)):
            sums[0] += int((same & where).sum())
            sums[1] += int(where.sum())
        if apart is not None:
            self.border_sum += float(apart[near & good].sum())
            self.inside_sum += float(apart[~near & good].sum())
        top = len(self.both)
        inside = good & (a >= 0) & (b >= 0) & (a < top) & (b < top)
        in_a, in_b = (np.bincount(x[inside], minlength=top) for x in (a, b))
        both = np.bincount(a[inside & same], minlength=top)
        self.both += both
        self.either += in_a + in_b - both


def near_borders(ids: np.ndarray, width: int = NEAR) -> np.ndarray:
    """(H, W) whether a pixel lies within ``width`` pixels of one of another id, to the sides or diagonally."""
    found = np.zeros(ids.shape, bool)
    down, right = ids[1:] != ids[:-1], ids[:, 1:] != ids[:, :-1]
    found[1:] |= down
    found[:-1] |= down
    found[:, 1:] |= right
    found[:, :-1] |= right
    for _ in range(width - 1):
        wider = found.copy()
        wider[1:] |= found[:-1]
        wider[:-1] |= found[1:]
        both = wider.copy()
        both[:, 1:] |= wider[:, :-1]
        both[:, :-1] |= wider[:, 1:]
        found = both
    return found
