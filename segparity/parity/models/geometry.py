"""Whether one output is another one moved: by part of a pixel, by pixels, or stretched about the middle.

Networks resize their logits. Conventions differ in where the pixels of the small map lie in the large one: ``align_corners``
stretches it about the middle, by (f - 1) / 2 pixels at the border for a factor f; without half pixel centres it is moved
by (f - 1) / 2; 'same' padding at stride 2 moves it as well. Least squares (Gauss-Newton on the gradient of the map) finds
shift and stretch to a hundredth of a pixel, beside a factor and an offset of the values.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

STEPS, ENOUGH = 6, 5e-3  # pixels
MARGIN = 2  # pixels at the border that are left out
VISIBLE = 0.05  # pixels
SEEN = 1e-6  # of the variance: what float32 leaves
FACTORS = (2, 4, 8, 16, 32)

Pairs = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]


@dataclasses.dataclass(frozen=True)
class Motion:
    """What is at (y, x) in a is at about (y + dy + ey * t, x + dx + ex * s) in b, factor times as large plus offset.

    Positive is down and to the right, for a stretch away from the middle; t and s go from -1 to 1 over the image.

    explained: the share of the squared difference that shift and stretch explain, beyond factor and offset; left: the
    share of the variance of b that factor and offset alone leave.
    """

    dy: float
    dx: float
    ey: float
    ex: float
    factor: float
    offset: float
    explained: float
    left: float

    @property
    def moved(self) -> bool:
        """Whether shift or stretch can be seen and explain most of what differs."""
        return (
            self.left > SEEN and self.explained > 0.5 and max(map(abs, (self.dy, self.dx, self.ey, self.ex))) > VISIBLE
        )


def motion(pairs: Pairs) -> Motion:
    """The motion between pairs (C, H, W) of the same size, which are gone through several times."""
    at = np.zeros(4)
    best: tuple[float, np.ndarray, tuple[float, float]] = np.inf, at, (1.0, 0.0)
    start = np.nan
    for _ in range(STEPS):
        step, left, values, size = one_step(pairs, at)
        if np.isnan(start):
            start = left
        if not left < best[0]:
            break
        best = left, at, values
        at = at + np.clip(step, -2, 2)
        if np.abs(step).max() < ENOUGH or 8 * np.abs(at).max() > size:
            break  # found, or so far away that little of the image would be left
    left, at, (factor, offset) = best
    dy, dx, ey, ex = (0.0 - float(x) for x in at)  # b is read from a at the places ``at``: it is moved the other way
    explained = 1 - left / start if start > 0 else 0.0
    return Motion(dy, dx, ey, ex, factor, offset, float(explained), float(start))


def one_step(pairs: Pairs, at: np.ndarray) -> tuple[np.ndarray, float, tuple[float, float], int]:
    """(step, the share of b's variance that factor and offset leave, these two, rows or columns) at a motion."""
    normal, right, squares, size = np.zeros((6, 6)), np.zeros(6), 0.0, 0
    for a, b in ((x[None], y[None]) for one, two in pairs() for x, y in zip(one, two)):  # a channel at a time
        columns, target = design(a, b, at)
        normal += columns @ columns.T
        right += columns @ target
        squares += float(target @ target)
        size = min(a.shape[1:])
    values = np.linalg.lstsq(normal[4:, 4:], right[4:], rcond=None)[0]
    found = float(values[0]), float(values[1])
    variance = squares - float(right[5] ** 2 / normal[5, 5]) if normal[5, 5] else 0.0
    rest = squares - float(values @ right[4:])
    if variance <= 1e-13 * squares or rest <= 1e-13 * squares or abs(found[0]) < 1e-12:  # constant, the same, unrelated
        return np.zeros(4), max(rest / variance, 0.0) if variance > 1e-13 * squares else 0.0, found, size
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    solved = np.linalg.lstsq(normal / np.outer(scale, scale), right / scale, rcond=1e-10)[0] / scale
    return solved[:4] / found[0], rest / variance, found, size


def design(a: np.ndarray, b: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns (6, P) of shift, stretch, value and constant at a motion of ``a``, and ``b`` (P,); pixels at the border left out."""
    _, h, w = a.shape
    t, s = np.linspace(-1, 1, h), np.linspace(-1, 1, w)
    moved = resampled(a, np.arange(h) + at[0] + at[2] * t, np.arange(w) + at[1] + at[3] * s)
    keep = MARGIN + int(np.ceil(np.abs(at).max() * 2))
    inner = (slice(None), slice(keep, h - keep), slice(keep, w - keep))
    gy, gx = (np.gradient(moved, axis=axis)[inner] for axis in (1, 2))
    t, s = t[keep : h - keep, None], s[None, keep : w - keep]
    good = np.isfinite(moved[inner]) & np.isfinite(b[inner]) & np.isfinite(gy) & np.isfinite(gx)
    columns = [gy, gx, gy * t, gx * s, moved[inner], np.ones_like(gy)]
    return np.stack([column[good] for column in columns]), b[inner][good]


def resampled(a: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(C, H, W) at other rows and columns, linearly; beyond the border the border."""
    return _along(_along(a, rows, 1), columns, 2)


def _along(a: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    places = np.clip(places, 0, a.shape[axis] - 1)
    low = np.minimum(places.astype(int), a.shape[axis] - 1)
    high = np.minimum(low + 1, a.shape[axis] - 1)
    share = (places - low).reshape([-1 if k == axis else 1 for k in range(a.ndim)])
    lower = np.take(a, low, axis)
    return np.where(share > 0, lower * (1 - share) + np.take(a, high, axis) * share, lower)


def places(convention: str, small: int, large: int) -> np.ndarray:
    """Where the pixels of a large map lie in the small one that it was resized from."""
    x, factor = np.arange(large), large / small
    if convention == 'align_corners':
        return x * (small - 1) / max(large - 1, 1)
    if convention == 'half pixel centres':
        return (x + 0.5) / factor - 0.5
    if convention == 'nearest':
        return np.floor((x + 0.5) / factor)
    return x / factor  # no half pixel centres


RESIZES = ('half pixel centres', 'align_corners', 'no half pixel centres', 'nearest')


def resized(a: np.ndarray, size: tuple[int, int], convention: str) -> np.ndarray:
    """(C, h, w) enlarged."""
    return resampled(a, places(convention, a.shape[1], size[0]), places(convention, a.shape[2], size[1]))


def blocks(a: np.ndarray) -> int:
    """The side of the blocks in which a map is constant, as enlarged by nearest; 1 where it is not."""
    for factor in FACTORS[::-1]:
        if a.shape[-1] % factor == 0 and a.shape[-2] % factor == 0 and min(a.shape[-2:]) > factor:
            if np.array_equal(a, a[..., ::factor, ::factor].repeat(factor, -1).repeat(factor, -2), equal_nan=True):
                return factor
    return 1


def in_words(found: Motion, size: tuple[int, int]) -> list[str]:
    """What the motion is likely to be."""
    told = []
    stretch = max(abs(found.ey), abs(found.ex))
    shift = max(abs(found.dy), abs(found.dx))
    if stretch > VISIBLE:
        likely = ''
        if found.ey * found.ex > 0 and abs(abs(found.ey) - abs(found.ex)) < 0.2 * stretch:
            edge = (abs(found.ey) + abs(found.ex)) / 2
            factor = min(FACTORS, key=lambda f: abs(align_corners_edge(f, size) - edge))
            if abs(align_corners_edge(factor, size) - edge) < 0.2 * edge:
                aligned = 'b' if found.ey > 0 else 'a'
                likely = f'; that is what a resize by {factor} with align_corners=True in {aligned} and False in the other does'
        told.append(
            f'b is a stretched about the middle by {signed(found.ey)} rows and {signed(found.ex)} columns at the border{likely}'
        )
    if shift > VISIBLE:
        told.append(
            f'b is a moved by {signed(found.dy)} rows and {signed(found.dx)} columns'
            f'{direction(found.dy, found.dx)}{likely_shift(found.dy, found.dx)}'
        )
    if told:
        told[-1] += f' (explains {100 * found.explained:.0f} % of the squared difference)'
    return told


def signed(value: float) -> str:
    """With two digits and a sign, which zero has not."""
    return f'{value:+.2f}' if abs(value) >= 0.005 else '0.00'


def direction(dy: float, dx: float, visible: float = VISIBLE) -> str:
    """Where content goes: ' (down and to the right)'."""
    told = []
    if abs(dy) > visible:
        told.append('down' if dy > 0 else 'up')
    if abs(dx) > visible:
        told.append('to the right' if dx > 0 else 'to the left')
    return f' ({" and ".join(told)})' if told else ''


def align_corners_edge(factor: int, size: tuple[int, int]) -> float:
    """By how many pixels ``align_corners`` stretches an image at its border, against half pixel centres."""
    n = min(size)
    return (factor - 1) / 2 * (n - 1) / max(n - factor, 1)


def likely_shift(dy: float, dx: float) -> str:
    """What moves a map so far."""
    if abs(abs(dy) - abs(dx)) > 0.15:
        return ''
    size = (abs(dy) + abs(dx)) / 2
    for factor in FACTORS:
        if abs(size - (factor - 1) / 2) < 0.08:
            more = ', or padding on the other side of a convolution of stride 2' if factor == 2 else ''
            return f'; that is a resize by {factor} with and without half pixel centres{more}'
    if abs(size - round(size)) < 0.1:
        return '; whole pixels: padding or a crop on another side ("same" padding at stride 2)'
    return ''
