"""Which part of a picture shows a mistake: a tiny object is nothing in a thumbnail of a whole street."""

import numpy as np

LARGEST = 0.7  # of width and height; beyond it the whole picture is shown
SMALLEST, PIXELS = 1 / 6, 320  # share of the picture, or as many pixels where that is less: some pictures are maps
FEW = 0.03  # mistakes that spread beyond it, but fill no more than this, are shown where they are densest
Window = tuple[int, int, int, int]  # top, left, bottom, right


def window_of(mask: np.ndarray) -> Window | None:
    """(top, left, bottom, right) around the true pixels with the picture's own shape, or None for the whole picture."""
    height, width = mask.shape
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    least = max(min(SMALLEST, PIXELS / min(height, width)), min(1, 24 / min(height, width)))
    share = max(1.5 * (bottom - top) / height, 1.5 * (right - left) / width, least)
    if share > LARGEST:
        return None if mask.sum() > FEW * mask.size else densest(mask, max(1, height // 3), max(1, width // 3))
    return placed((top + bottom) / 2, (left + right) / 2, round(share * height), round(share * width), mask.shape)


def placed(row: float, column: float, high: int, wide: int, shape: tuple[int, ...]) -> Window:
    """The window of this size as near to the centre as the picture allows."""
    top = int(np.clip(round(row - high / 2), 0, shape[0] - high))
    left = int(np.clip(round(column - wide / 2), 0, shape[1] - wide))
    return top, left, top + high, left + wide


def densest(mask: np.ndarray, high: int, wide: int) -> Window:
    """The window of this size that holds the most true pixels, the upper left one of equals."""
    sums = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    held = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    top, left = np.unravel_index(held.argmax(), held.shape)
    return int(top), int(left), int(top) + high, int(left) + wide
