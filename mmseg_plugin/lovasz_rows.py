"""Rows of the Lovasz losses on the CPU, in float32: NumPy sorts whole 64-bit keys, several times faster than indices.

A key holds 32 bits of the error, one of the label and 31 of the position, so that nothing is looked up after the sort.
"""

import queue
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

LONGEST = 2**31 - 1  # pixels of a row
LABEL = np.int32(-(2**31))  # its bit in the lower half of a key
LOW, HIGH = (0, 1) if sys.byteorder == 'little' else (1, 0)  # the halves of a key
SMALL = 2**16  # pixels that are not worth a thread
LARGE = 2**20  # pixels that may be sorted at the same time, however small the logits


class Workspace:
    """Arrays for rows of up to ``pixels`` pixels in ``memory``: fresh arrays for each row would cost as much as the sort."""

    def __init__(self, pixels, memory):
        self.keys = memory[: 8 * pixels].view(np.int64)
        self.spare = memory[8 * pixels : 16 * pixels + 8].view(np.int64)
        self.errors, self.increments = memory[16 * pixels + 8 : 24 * pixels + 8].view(np.float32).reshape(2, -1)
        self.inside, self.sorted_inside = memory[24 * pixels + 8 : 26 * pixels + 8].view(bool).reshape(2, -1)

    @classmethod
    def several(cls, pixels, count):
        """``count`` of them in one piece of memory, which goes back to the system when it is large."""
        return [cls(pixels, memory) for memory in np.empty((count, 8 * (26 * pixels // 8 + 2)), np.uint8)]


def flip(bits, out):
    """int32 patterns of float32 numbers as integers of the same order, and back."""
    np.right_shift(bits, 31, out=out)
    out &= LONGEST
    out ^= bits
    return out


def candidates(errors, inside, present, valid, hinge):
    """(P,) which pixels can have an increment.

    Once all pixels of a class are wrong no other pixel adds anything: those below the smallest error of the class are
    not sorted. Of an absent class the largest error alone counts. A hinge of 0 costs nothing and has no slope.
    """
    if present:
        least = errors[inside].min()
    else:
        least = (errors if valid is None else errors[valid]).max(initial=-np.inf)
    keep = errors < least
    np.logical_not(keep, out=keep)  # an error that is no number stays
    if valid is not None:
        keep &= valid
    if hinge:
        keep &= errors != 0
    return keep


def sort_falling(errors, inside, position, space):
    """(K,) keys of the pixels at ``position`` (K,) by falling errors; not a number comes first (last if negative)."""
    kept = len(position)
    bits = np.take(errors, position, out=space.increments[:kept], mode='clip').view(np.int32)
    label = np.take(inside, position, out=space.sorted_inside[:kept], mode='clip')
    keys = space.keys[:kept]
    halves = keys.view(np.int32).reshape(-1, 2)
    half = flip(bits, space.spare.view(np.int32)[:kept])
    halves[:, HIGH] = np.invert(half, out=half)
    np.multiply(label, LABEL, out=half)
    halves[:, LOW] = np.bitwise_or(half, position, out=half, casting='unsafe')
    keys.sort()
    return keys


def unpack(keys, space):
    """(errors, inside, position), each (K,); the last in the memory of the keys."""
    halves = keys.view(np.int32).reshape(-1, 2)
    inside = np.less(halves[:, LOW], 0, out=space.sorted_inside[: len(keys)])
    half = np.invert(halves[:, HIGH], out=space.spare.view(np.int32)[: len(keys)])
    errors = flip(half, space.errors.view(np.int32)[: len(keys)]).view(np.float32)
    keys &= LONGEST
    return errors, inside, keys


def jaccard_increments(inside, total, space):
    """(P,) what each pixel adds to the Jaccard loss when pixels turn wrong one after the other.

    inside (P,) bool; total: pixels of the class. No two close numbers are subtracted: a pixel of the class adds 1/U,
    another one I/(U_before*U), the first of an absent class 1.
    """
    pixels = len(inside)
    result = space.increments[:pixels]
    if total == 0:
        result[:] = 0
        result[:1] = 1
        return result
    counts = space.spare.view(np.int32)
    left, union = counts[:pixels], counts[pixels : 2 * pixels + 1]
    np.cumsum(~inside, dtype=np.int32, out=union[1:])
    union[0] = 0
    union += total
    np.cumsum(inside, dtype=np.int32, out=left)
    np.subtract(total, left, out=left)
    real = dict(out=result, dtype=np.float32, casting='unsafe')
    np.divide(left, union[:-1], **real)
    np.copyto(result, 1, where=inside)
    return np.divide(result, union[1:], **real)


def solve(x, inside, valid, hinge, slope, space):
    """The Lovasz extension of one row of pixels; its derivative by each of them goes to ``slope``.

    x, slope (n, p): float32 probabilities, or logits for the hinge; inside (n*p,): which pixels are of the class, none
    of them where ``valid`` (n*p,) is False.
    """
    errors = space.errors[: x.size]
    errors.reshape(x.shape)[:] = x
    np.negative(errors, out=errors, where=inside)
    if hinge:
        errors += 1
        np.maximum(errors, 0, out=errors)
    else:
        errors += inside
    total = np.int32(np.count_nonzero(inside))
    position = np.flatnonzero(candidates(errors, inside, total > 0, valid, hinge))
    keys = sort_falling(errors, inside, position, space)
    del position
    sorted_errors, inside, position = unpack(keys, space)
    increments = jaccard_increments(inside, total, space)
    with np.errstate(invalid='ignore'):  # what is no number stays none
        sorted_errors *= increments
        loss = sorted_errors.sum(dtype=np.float64)
    np.negative(increments, out=increments, where=inside)
    errors[:] = 0
    errors[position] = increments
    slope[:] = errors.reshape(x.shape)
    return loss


def solve_rows(x, labels, valid, hinge, cells, present, slope, threads):
    """(G, C) float64 losses of the rows ``cells``, [(g, k)]; the derivatives go to ``slope``, both 0 elsewhere.

    x, slope (G, C, n, p) float32; labels(g, k) (n, p) bool; valid (G, n, p) bool; present: absent classes do not count.
    Rows are solved by ``threads`` threads, but by no more than leaves their workspaces small beside the logits.
    """
    losses = np.zeros(x.shape[:2])
    shape, pixels = x.shape[2:], x.shape[2] * x.shape[3]
    valid = [None if v.all() else v.reshape(-1) for v in valid]
    threads = min(threads, max(len(cells) // 8, LARGE // max(pixels, 1)), len(cells) * pixels // SMALL)
    spaces = queue.SimpleQueue()
    for space in Workspace.several(pixels, max(threads, 1)):
        spaces.put(space)

    def row(cell):
        g, k = cell
        space = spaces.get()
        try:
            inside = space.inside
            inside.reshape(shape)[:] = labels(g, k)
            if valid[g] is not None:
                inside &= valid[g]
            if inside.any() or not present:
                losses[cell] = solve(x[cell], inside, valid[g], hinge, slope[cell], space)
        finally:
            spaces.put(space)

    if pixels and threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(row, cells))
    elif pixels:
        for cell in cells:
            row(cell)
    return losses
