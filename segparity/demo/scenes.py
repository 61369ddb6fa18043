"""Scenes of real handwritten digits: scikit-learn's bundled 8x8 scans, enlarged, on textured paper.

A scene holds two to four digits of very different size. Its label map has the class of every pixel and an ignored rim
around each glyph, where nobody can say whether a pixel is ink or paper.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from PIL import Image

from segparity.demo.settings import DIGITS, IGNORE, Settings

SMALLEST, LARGEST = 10, 36
SHARE_FOR_TRAINING = 0.8
INK = 0.42  # where the enlarged scan counts as ink


@dataclasses.dataclass(frozen=True)
class Scene:
    """``image`` (S, S, 3) uint8, ``labels`` (S, S) uint8, ``glyphs``: (digit, size, top, left) of each."""

    image: np.ndarray
    labels: np.ndarray
    glyphs: tuple[tuple[int, int, int, int], ...]


def load_scans(split: str) -> dict[int, np.ndarray]:
    """The scans of a split, digit -> (n, 8, 8) in [0, 1]; no scan is in both splits."""
    from sklearn.datasets import load_digits

    bundled = load_digits()
    scans = {}
    for digit in DIGITS:
        found = bundled.images[bundled.target == digit] / 16.0
        cut = round(len(found) * SHARE_FOR_TRAINING)
        scans[digit] = found[:cut] if split == 'train' else found[cut:]
    return scans


def glyph(scan: np.ndarray, size: int) -> np.ndarray:
    """The scan enlarged so that its ink is ``size`` pixels high: coverage in [0, 1], cut to the ink's box."""
    rows, columns = np.flatnonzero((scan > 0.25).any(1)), np.flatnonzero((scan > 0.25).any(0))
    scan = scan[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scan = np.pad(scan, 1)
    scale = size / (scan.shape[0] - 2)
    shape = (round(scan.shape[1] * scale), round(scan.shape[0] * scale))
    smooth = np.asarray(Image.fromarray(scan.astype(np.float32)).resize(shape, Image.Resampling.BICUBIC))
    coverage = np.clip((smooth - INK) * max(1.0, scale / 1.5) + 0.5, 0, 1)
    rows, columns = np.flatnonzero((coverage >= 0.5).any(1)), np.flatnonzero((coverage >= 0.5).any(0))
    return coverage[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def paper(rng: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Uneven, grainy, tinted paper (S, S, 3) and the colour of a darker ink."""
    coarse = rng.normal(0, 12, (6, 6)).astype(np.float32)
    uneven = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    sheet = (
        rng.uniform(160, 215, 3)
        + uneven[..., None]
        + rng.normal(0, 7, (side, side, 1))
        + rng.normal(0, 3, (side, side, 3))
    )
    return sheet, rng.uniform(10, 85, 3)


def sizes(rng: np.random.Generator, count: int) -> list[int]:
    """Sizes of a scene's digits, largest first: one large, the others anything down to the smallest."""
    large = rng.integers(26, LARGEST + 1)
    others = np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST), count - 1)).round().astype(int)
    return sorted([int(large), *others.tolist()], reverse=True)


def free_place(
    rng: np.random.Generator, taken: np.ndarray, shape: tuple[int, ...], margin: int = 2
) -> tuple[int, int] | None:
    """The corner of a free box of this shape, or None when forty tries find none."""
    height, width = shape
    for _ in range(40):
        top = int(rng.integers(1, taken.shape[0] - height))
        left = int(rng.integers(1, taken.shape[1] - width))
        box = taken[max(top - margin, 0) : top + height + margin, max(left - margin, 0) : left + width + margin]
        if not box.any():
            return top, left
    return None


def rim(mask: np.ndarray) -> np.ndarray:
    """The pixels next to the mask, diagonals included, that are not in it."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    near = np.zeros_like(mask)
    for dy in range(3):
        for dx in range(3):
            near |= padded[dy : dy + height, dx : dx + width]
    return near & ~mask


def make_scene(rng: np.random.Generator, scans: Mapping[int, np.ndarray], side: int = 64) -> Scene:
    """One scene from a random generator: two to four digits, never overlapping."""
    sheet, ink_colour = paper(rng, side)
    labels = np.zeros((side, side), np.uint8)
    taken = np.zeros((side, side), bool)
    glyphs = []
    for size in sizes(rng, int(rng.integers(2, 5))):
        which = int(rng.integers(len(DIGITS)))
        stack = scans[DIGITS[which]]
        scan = stack[rng.integers(len(stack))]
        while True:
            coverage = glyph(scan, size)
            place = free_place(rng, taken, coverage.shape)
            if place or size == SMALLEST:
                break
            size = max(SMALLEST, int(size * 0.8))
        if place is None:
            continue
        top, left = place
        area = np.s_[top : top + coverage.shape[0], left : left + coverage.shape[1]]
        taken[area] = True
        strength = rng.uniform(0.75, 1.0) * coverage[..., None]
        sheet[area] = sheet[area] * (1 - strength) + (ink_colour + rng.normal(0, 6, (*coverage.shape, 1))) * strength
        mask = np.zeros((side, side), bool)
        mask[area] = coverage >= 0.5
        labels[mask] = which + 1
        labels[rim(mask) & (labels == 0)] = IGNORE
        glyphs.append((DIGITS[which], size, top, left))
    if len(glyphs) < 2:
        return make_scene(rng, scans, side)
    return Scene(sheet.round().clip(0, 255).astype(np.uint8), labels, tuple(glyphs))


def make_scenes(settings: Settings, split: str) -> list[Scene]:
    """Every scene of a split, the same for the same seed."""
    rng = np.random.default_rng([settings.seed, 0 if split == 'train' else 1])
    count = settings.train_scenes if split == 'train' else settings.val_scenes
    scans = load_scans(split)
    return [make_scene(rng, scans, settings.side) for _ in range(count)]
