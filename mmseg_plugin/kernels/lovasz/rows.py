"""Rows of the Lovasz losses on the CPU, in float32: NumPy sorts whole 64-bit keys, several times faster than indices.

A key holds 32 bits of the error, one of the label and 31 of the position, so that nothing is looked up after the sort.
All else happens in pieces that stay in the cache: beside the logits and their slopes a row takes 9 bytes a pixel.
"""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

LONGEST = 2**31 - 1  # numbers between the first and the last pixel of a row in memory
LABEL = np.int32(-(2**31))  # its bit in the lower half of a key
LOW, HIGH = (0, 1) if sys.byteorder == 'little' else (1, 0)  # the halves of a key
PIECE = 2**16  # pixels that are looked at together
SMALL = 2**16  # pixels that are not worth a thread
LARGE = 2**20  # pixels that may be sorted at the same time, however small the logits

Piece = tuple[int, slice]  # image, pixels


class Workspace:
    """Arrays for rows of up to ``pixels`` pixels: fresh arrays for each row would cost as much as the sort."""

    def __init__(self, pixels: int, memory: np.ndarray) -> None:
        self.keys = memory[: 8 * pixels].view(np.int64)
        self.inside = memory[8 * pixels : 9 * pixels].view(bool)
        piece = min(pixels, PIECE)
        self.errors, self.increments, self.products = np.empty((3, piece), np.float32)
        self.bits, self.left, self.found = np.empty((3, piece), np.int32)
        self.union, self.ramp = np.empty(piece + 1, np.int32), np.arange(1, piece + 1, dtype=np.int32)
        self.flags = np.empty(piece, bool)

    @classmethod
    def several(cls, pixels: int, count: int) -> list[Workspace]:
        """``count`` of them, the large arrays in one piece of memory, which goes back to the system."""
        return [cls(pixels, memory) for memory in np.empty((count, 8 * (9 * pixels // 8 + 1)), np.uint8)]


class Row:
    """One row of pixels, whose positions are those of an array with ``step`` numbers from image to image.

    x (n, p): float32 probabilities, or logits for the hinge; inside (n, p) bool: which pixels are of the class; valid
    (n, p) bool, or None where every pixel counts: inside lies within. complement (n, p): 1 - x, where it is known
    better than that.
    """

    def __init__(
        self,
        x: np.ndarray,
        inside: np.ndarray,
        valid: np.ndarray | None,
        hinge: bool,
        step: int,
        complement: np.ndarray | None = None,
    ) -> None:
        self.x, self.inside, self.valid, self.hinge, self.step = x, inside, valid, hinge, step
        self.complement, self.total = complement, np.count_nonzero(inside)

    def pieces(self) -> Iterator[tuple[Piece, int]]:
        """Slices (image, pixels) of the row, and the position at which each begins."""
        n, p = self.x.shape
        for i in range(n):
            for a in range(0, p, PIECE):
                yield (i, slice(a, a + PIECE)), i * self.step + a

    def errors(self, piece: Piece, space: Workspace) -> np.ndarray:
        """(K,) errors of the pixels of a piece, in the workspace."""
        x, inside = self.x[piece], self.inside[piece]
        errors = space.errors[: len(x)]
        if self.complement is not None:
            return choose(inside, self.complement[piece], x, errors, space)
        np.copyto(errors, x)
        negate(errors, inside, space)
        if not self.hinge:
            return np.add(errors, inside, out=errors)
        errors += 1
        return np.maximum(errors, 0, out=errors)

    def least(self, space: Workspace) -> np.floating:
        """The error below which a pixel has no increment.

        Once all pixels of a class are wrong no other pixel adds anything: those below the smallest error of the class
        are not sorted. Of an absent class the largest error alone counts.
        """
        if self.total:
            return min_of(
                self.errors(piece, space)[self.inside[piece]].min(initial=np.inf) for piece, _ in self.pieces()
            )
        counted = (self.counted(self.errors(piece, space), piece) for piece, _ in self.pieces())
        return -min_of(-errors.max(initial=-np.inf) for errors in counted)

    def counted(self, errors: np.ndarray, piece: Piece) -> np.ndarray:
        return errors if self.valid is None else errors[self.valid[piece]]

    def candidates(self, errors: np.ndarray, piece: Piece, least: float | np.floating, space: Workspace) -> np.ndarray:
        """(K,) positions in the piece of the pixels that can have an increment; a hinge of 0 costs nothing."""
        if least == -np.inf and self.valid is not None and not self.hinge:  # all that count
            return np.flatnonzero(self.valid[piece])
        keep = np.less(errors, least, out=space.flags[: len(errors)])
        np.logical_not(keep, out=keep)  # an error that is no number stays
        if self.valid is not None:
            keep &= self.valid[piece]
        if self.hinge:
            keep &= errors != 0
        return np.flatnonzero(keep)


def min_of(numbers: Iterable[float]) -> np.floating:
    """The smallest, or what is no number."""
    return np.min(np.fromiter(numbers, np.float32))


def flip(bits: np.ndarray, out: np.ndarray) -> np.ndarray:
    """int32 patterns of float32 numbers as integers of the same order, and back."""
    np.right_shift(bits, 31, out=out)
    out &= LONGEST
    out ^= bits
    return out


def choose(mask: np.ndarray, x: np.ndarray, other: np.ndarray, out: np.ndarray, space: Workspace) -> np.ndarray:
    """x where the mask is, ``other`` elsewhere, to ``out``: arithmetic on bits, as masks that change often are slow."""
    bits, mine, others = out.view(np.int32), x.view(np.int32), other.view(np.int32)
    half = np.multiply(mask, np.int32(-1), out=space.bits[: len(out)])
    np.bitwise_xor(mine, others, out=bits)
    bits &= half
    bits ^= others
    return out


def negate(x: np.ndarray, mask: np.ndarray, space: Workspace) -> None:
    """x, float32, changes its sign where the mask is."""
    bits = x.view(np.int32)
    bits ^= np.multiply(mask, LABEL, out=space.bits[: len(x)])


def sorted_keys(row: Row, least: float | np.floating, space: Workspace) -> np.ndarray:
    """Keys of the pixels that can have an increment, by falling errors; not a number comes first (last if negative)."""
    filled = 0
    for piece, start in row.pieces():
        errors = row.errors(piece, space)
        position = row.candidates(errors, piece, least, space)
        kept = len(position)
        bits = np.take(errors, position, out=space.increments[:kept], mode='clip').view(np.int32)
        label = np.take(row.inside[piece], position, out=space.flags[:kept], mode='clip')
        keys = space.keys[filled : filled + kept]
        halves = keys.view(np.int32).reshape(-1, 2)
        half = flip(bits, space.bits[:kept])
        halves[:, HIGH] = np.invert(half, out=half)
        np.multiply(label, LABEL, out=half)
        position += start
        halves[:, LOW] = np.bitwise_or(half, position, out=half, casting='unsafe')
        filled += kept
    keys = space.keys[:filled]
    keys.sort()
    return keys


def unpack(keys: np.ndarray, space: Workspace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(errors, inside, position), each (K,), of at most ``PIECE`` keys; the last in the memory of the keys."""
    halves = keys.view(np.int32).reshape(-1, 2)
    inside = np.less(halves[:, LOW], 0, out=space.flags[: len(keys)])
    half = np.invert(halves[:, HIGH], out=space.bits[: len(keys)])
    errors = flip(half, space.errors.view(np.int32)[: len(keys)]).view(np.float32)
    keys &= LONGEST
    return errors, inside, keys


class Extension:
    """The Lovasz extension of one class: what its pixels add, by falling errors, piece by piece.

    total: pixels of the class; slope (n, p): where the derivatives go. ``left`` pixels of the class are right so far,
    ``union`` is that of the class and of what was taken for it.
    """

    def __init__(self, total: int | np.integer, slope: np.ndarray) -> None:
        self.left = self.union = self.total = total
        span = (len(slope) - 1) * (slope.strides[0] // slope.itemsize) + slope.shape[1]
        self.slope = np.lib.stride_tricks.as_strided(slope, (span,), (slope.itemsize,))
        self.loss = 0.0

    def add(
        self, errors: np.ndarray, inside: np.ndarray, found: np.ndarray, position: np.ndarray, space: Workspace
    ) -> None:
        """errors, inside, found, position (K,): of the next pixels, which all stay as they are.

        found: how many of these are of the class, up to each of them.
        """
        increments = self.jaccard_increments(inside, found, space)
        with np.errstate(invalid='ignore'):  # what is no number stays none
            self.loss += np.multiply(errors, increments, out=space.products[: len(errors)]).sum(dtype=np.float64)
        negate(increments, inside, space)
        self.slope[position] = increments

    def jaccard_increments(self, inside: np.ndarray, found: np.ndarray, space: Workspace) -> np.ndarray:
        """(K,) what each pixel adds to the Jaccard loss when pixels turn wrong one after the other.

        No two close numbers are subtracted: a pixel of the class adds 1/U, another one I/(U_before*U), the first of an
        absent class 1.
        """
        pixels = len(inside)
        result, left, union = space.increments[:pixels], space.left[:pixels], space.union[: pixels + 1]
        if self.total == 0:
            result[:] = 0
            result[:1], self.union = self.union == 0, 1
            return result
        union[0] = 0
        np.subtract(space.ramp[:pixels], found, out=union[1:])
        union += np.int32(self.union)
        np.subtract(np.int32(self.left), found, out=left)
        real: dict[str, Any] = dict(out=result, dtype=np.float32, casting='unsafe')
        np.divide(left, union[:-1], **real)
        ones = space.products[:pixels]
        np.copyto(ones, inside)
        np.maximum(result, ones, out=result)  # no I/U is above 1
        self.left, self.union = left[-1], union[-1]
        return np.divide(result, union[1:], **real)


def solve(row: Row, least: float | np.floating, extensions: Iterable[Extension], space: Workspace) -> None:
    """Adds the pixels of a row to the extension of its class, and to that of the pixels outside where there is a second."""
    keys = sorted_keys(row, least, space)
    for a in range(0, len(keys), PIECE):
        errors, inside, position = unpack(keys[a : a + PIECE], space)
        found = np.cumsum(inside, dtype=np.int32, out=space.found[: len(inside)])
        for k, extension in enumerate(extensions):
            if k:
                np.logical_not(inside, out=inside)
                np.subtract(space.ramp[: len(inside)], found, out=found)
            extension.add(errors, inside, found, position, space)


def solve_rows(
    x: np.ndarray,
    labels: Callable[[int, int], np.ndarray],
    valid: np.ndarray,
    hinge: bool,
    cells: Sequence[tuple[int, int]],
    present: bool,
    slope: np.ndarray,
    threads: int,
    opposites: bool = False,
) -> np.ndarray:
    """(G, C) float64 losses of the rows ``cells``, [(g, k)]; the derivatives go to ``slope``, both 0 elsewhere.

    x, slope (G, C, n, p) float32; labels(g, k) (n, p) bool; valid (G, n, p) bool; present: absent classes do not count;
    opposites: two classes whose x add up to 1 and of which each pixel has one, so that one sort serves both. Rows are
    solved by ``threads`` threads, but by no more than leaves their workspaces small beside the logits.
    """
    losses = np.zeros(x.shape[:2])
    shape, pixels = x.shape[2:], x.shape[2] * x.shape[3]
    step = slope.strides[2] // slope.itemsize
    counted = [np.count_nonzero(v) for v in valid]
    masks = [None if count == pixels else v for v, count in zip(valid, counted)]
    threads = min(threads, max(len(cells) // 4, LARGE // max(pixels, 1)), len(cells) * pixels // SMALL)
    spaces: queue.SimpleQueue[Workspace] = queue.SimpleQueue()
    for space in Workspace.several(pixels, max(threads, 1)):
        spaces.put(space)

    def row_of(g: int, k: int, space: Workspace) -> Row:
        inside = space.inside.reshape(shape)
        inside[:] = labels(g, k)
        if masks[g] is not None:
            inside &= masks[g]
        return Row(x[g, k], inside, masks[g], hinge, step)

    def solve_cells(cells: Sequence[tuple[int, int]]) -> None:
        space = spaces.get()
        try:
            for g, k in cells:
                row = row_of(g, k, space)
                if len(cells) == 2 and 0 < row.total < counted[g]:
                    row.complement = x[g, 1 - k]
                    both = Extension(row.total, slope[g, k]), Extension(counted[g] - row.total, slope[g, 1 - k])
                    solve(row, -np.inf, both, space)
                    losses[g, k], losses[g, 1 - k] = (extension.loss for extension in both)
                    return
                if row.total or not present:
                    extension = Extension(row.total, slope[g, k])
                    solve(row, row.least(space), [extension], space)
                    losses[g, k] = extension.loss
        finally:
            spaces.put(space)

    jobs = [cells[i : i + 2] for i in range(0, len(cells), 2)] if opposites else [[cell] for cell in cells]
    if pixels and threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(solve_cells, jobs))
    elif pixels:
        for job in jobs:
            solve_cells(job)
    return losses
