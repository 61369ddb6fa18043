"""Mergeable calibration: what every bin of every image holds, as integers, and the errors that follow from it.

This is what the evaluators run. It shares nothing with the reference in ``spec.py``; the tests hold the two
together.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from shared_spec.metrics.calibration.spec import Calibration
from shared_spec.metrics.image_state import ImageState, exact_mean, optional_from_array, optional_to_array
from shared_spec.metrics.label_maps import check_ids, valid_pixels
from shared_spec.values import TOLERANCE

CELL, PIXELS, LABELLED, RIGHT, CONFIDENCE = range(5)  # the columns of an image's table
ONE = 1 << 30  # a confidence is a multiple of 1 / ONE: an image of 2^33 pixels still fits into int64
UNKNOWN = -1  # the sum of confidences of an image one of whose probabilities is no number
CHUNK = 1 << 18  # cells counted at a time: the temporaries stay in the cache, float64 sums of units exact


def image_cells(
    prob: ArrayLike,
    target: ArrayLike,
    num_classes: int,
    bins: int = 10,
    ignore_index: int | None = None,
    pixel_weight: ArrayLike | None = None,
) -> np.ndarray:
    """What the bins of one image hold -> int64 (cells, 5), one row for each bin with a pixel, in ascending order.

    Columns: the cell, class * bins + bin, where class ``num_classes`` stands for the most probable one; its pixels;
    those labelled with the class (for the most probable one: those it is right on); those of them where it is also the
    argmax; the sum of confidences in units of 2^-30. Every confidence is rounded to a unit before it is added, so no
    order of pixels or images can change a sum; a float32 above 1/128 is such a multiple anyway.

    ``prob`` is (C, *space), or (1, *space) or (*space) for the second of two classes; ``target`` (*space) integer. A
    pixel counts where its label is not ``ignore_index`` and its weight, if given, is above 0. Where a probability that
    counts is NaN or +inf the table is ``unknown_cells``.
    """
    prob, target = np.asarray(prob), np.asarray(target)
    weight = None if pixel_weight is None else np.asarray(pixel_weight)
    check_image(prob, target, weight, num_classes)
    channels = num_classes if prob.shape == (num_classes, *target.shape) else 1
    prob, target = prob.reshape(channels, target.size), target.reshape(-1)
    keep = valid_pixels(target, None if weight is None else weight.reshape(-1), ignore_index)
    return count_cells(lambda part: prob[:, part], prob.dtype, channels, target, keep, num_classes, bins)


def count_cells(
    parts: Callable[[slice], np.ndarray],
    dtype: DTypeLike,
    channels: int,
    target: np.ndarray,
    keep: np.ndarray,
    num_classes: int,
    bins: int,
) -> np.ndarray:
    """``image_cells`` of an image whose probabilities may not all be there at once.

    parts: the pixels of a slice -> (channels, pixels) probabilities of ``dtype``; target and keep (pixels,), the latter
    bool: what counts.
    """
    kind = np.float32 if channels > 1 and dtype in (np.float16, np.float32) else np.float64
    edge = second_bin(kind, bins)
    pixels = np.zeros((num_classes + 1, 3), np.int64)  # not labelled so; labelled; labelled and argmax
    units = np.zeros(num_classes + 1, np.int64)  # of confidence
    counts = np.zeros((num_classes + 1, 3, bins), np.int64)  # the same of the cells that are looked at one by one
    sums = np.zeros((num_classes + 1, bins), np.int64)
    step = max(1, CHUNK // num_classes)
    room, wide_room = (np.empty(num_classes * min(step, target.size), dtype) for dtype in (kind, np.float64))
    for start in range(0, target.size, step):
        part = slice(start, start + step)
        t, valid = target[part].astype(np.intp), keep[part]
        p = room[: channels * t.size].reshape(channels, t.size)  # a new array each time would cost more than the rest
        np.copyto(p, parts(part))
        counted = int(np.count_nonzero(valid))
        if counted < t.size:  # left where they are: the rest would have to be moved
            np.copyto(p, 0, where=~valid)
            t = np.where(valid, t, -1)
        low, high = float(p.min()), float(p.max())
        if not high < math.inf:
            return unknown_cells(np.count_nonzero(keep))
        check_range(low, high)
        if low < 0 or high > 1:
            np.clip(p, 0, 1, out=p)
        if channels == 1:
            p = np.concatenate([np.where(valid, 1 - p, 0), p])
        highest = p.max(0)
        right = t == best_of(p, t, highest, counted)
        in_class = t[(t >= 0) & (t < num_classes)]
        labelled = np.append(np.bincount(in_class, minlength=num_classes), np.count_nonzero(right))
        hits = np.append(np.bincount(t[right], minlength=num_classes), labelled[-1])
        pixels += np.stack([counted - labelled, labelled - hits, hits], 1)
        # most cells are in the first bin: those beyond it are at most bins for each pixel, and one more
        beyond = np.flatnonzero(p >= edge)
        c = beyond // t.size
        pixel = beyond - c * t.size
        top = np.flatnonzero(highest >= edge)
        exact = np.concatenate([p.reshape(-1)[beyond], highest[top]]).astype(np.float64)
        hit = np.concatenate([t[pixel] == c, right[top]])
        c, pixel = np.concatenate([c, np.full(top.size, num_classes)]), np.concatenate([pixel, top])
        cell = c * bins + np.minimum((exact * bins).astype(np.intp), bins - 1)
        kinds = hit.astype(np.intp) + (hit & right[pixel])
        counts += np.bincount(cell + kinds * sums.size, minlength=counts.size).reshape(3, -1, bins).swapaxes(0, 1)
        sums += np.bincount(cell, np.rint(exact * ONE), sums.size).astype(np.int64).reshape(sums.shape)
        units[:-1] += sum_of_units(p, wide_room[: p.size].reshape(p.shape))
        units[-1:] += sum_of_units(highest[None], np.empty((1, t.size)))
    counts[..., 0] += pixels - counts.sum(2)
    sums[:, 0] += units - sums.sum(1)
    return cells_of(counts.reshape(num_classes + 1, -1), sums)


def second_bin(kind: type[np.floating], bins: int) -> np.floating:
    """The smallest number of a kind that is not in the first bin: whose float64 product with ``bins`` is 1 or more."""
    found = kind(1 / bins)
    while np.float64(found) * bins < 1:
        found = np.nextafter(found, kind(2))
    while np.float64(np.nextafter(found, kind(0))) * bins >= 1:
        found = np.nextafter(found, kind(0))
    return found


def best_of(p: np.ndarray, t: np.ndarray, highest: np.ndarray, counted: int) -> np.ndarray:
    """(pixels,) the first class of the highest probability (C, pixels) wherever that is the label ``t``, else others."""
    if np.count_nonzero(p == highest) > counted + len(p) * (t.size - counted):  # some are equal
        return p.argmax(0)
    own = t.clip(0, len(p) - 1)
    return np.where(p[own, np.arange(t.size)] == highest, own, -2)


def sum_of_units(p: np.ndarray, room: np.ndarray) -> np.ndarray:
    """int64 (C,): the sums of probabilities (C, pixels), each rounded to a multiple of 1 / ONE, in these.

    room: float64 of the shape of ``p``, which is overwritten.
    """
    np.multiply(p, ONE, out=room, dtype=np.float64)
    return np.rint(room, out=room).sum(1).astype(np.int64)


def check_image(prob: np.ndarray, target: np.ndarray, weight: np.ndarray | None, num_classes: int) -> None:
    """Refuses what is no image: dtypes and shapes, of NumPy arrays."""
    if prob.dtype.kind != 'f':
        raise TypeError(f'image_cells: prob must hold floating-point probabilities, got {prob.dtype}')
    check_ids('image_cells', 'target', target)
    if weight is not None and weight.shape != target.shape:
        raise ValueError(f'image_cells: weight must have the shape {target.shape} of target, got {weight.shape}')
    check_shape(prob.shape, target.shape, num_classes)


def check_shape(prob: tuple[int, ...], target: tuple[int, ...], num_classes: int) -> None:
    """Refuses the shape of probabilities that do not belong to labels of the shape ``target``."""
    if prob != (num_classes, *target) and not (num_classes == 2 and prob in (target, (1, *target))):
        raise ValueError(
            f'image_cells: prob must be (C, *space) = {(num_classes, *target)} to match target {target}, got {prob}'
        )


def check_range(low: float, high: float) -> None:
    """Refuses what is no probability."""
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise ValueError(f'image_cells: probabilities must be in [0, 1], got {low if low < -TOLERANCE else high:g}')


def unknown_cells(pixels: int | np.integer) -> np.ndarray:
    """The table of an image that makes every result NaN: one of its probabilities is no number."""
    return np.array([[0, pixels, 0, 0, UNKNOWN]], np.int64)


def is_unknown(cells: np.ndarray) -> bool:
    return len(cells) == 1 and np.array_equal(cells, unknown_cells(cells[0, PIXELS]))


def cells_of(counts: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """The table of an image from counts (classes + 1, 3 * bins) and sums of confidence (classes + 1, bins)."""
    other, labelled, right = np.moveaxis(counts.reshape(len(counts), 3, -1), 1, 0).reshape(3, -1)
    table = np.stack([np.arange(other.size), other + labelled + right, labelled + right, right, sums.reshape(-1)], 1)
    return table[table[:, PIXELS] > 0]


class CalibrationState(ImageState):
    """The bins of every image seen, as int64; ``update`` and ``merge`` add images, see ``ImageState``.

    The results do not depend on the order, to the last digit. An image takes 40 bytes for each bin with a pixel: a few
    kB for 19 classes.
    """

    measured = 'num_classes', 'ignore_index', 'bins'

    def __init__(self, num_classes: int, ignore_index: int | None = 255, bins: int = 10) -> None:
        super().__init__()
        spec = Calibration(num_classes=num_classes, ignore_index=ignore_index, bins=bins)
        self.num_classes, self.ignore_index, self.bins = spec.num_classes, spec.ignore_index, spec.bins

    def update(
        self,
        prob: ArrayLike,
        target: ArrayLike,
        pixel_weight: ArrayLike | None = None,
        image_id: str | int | None = None,
    ) -> bool:
        """Adds one image's probabilities and labels, see ``image_cells``; says whether it was new."""
        return self.add(
            image_cells(prob, target, self.num_classes, self.bins, self.ignore_index, pixel_weight), image_id
        )

    def add(self, cells: ArrayLike, image_id: str | int | None = None) -> bool:
        """Adds one image's table (cells, 5), as ``image_cells`` gives it; says whether it was new."""
        cells = np.asarray(cells)
        self._check_cells(cells)
        return self._keep(cells.astype(np.int64), image_id)

    def _same(self, row: np.ndarray, other: np.ndarray) -> bool:
        # a GPU may give the same image another last digit, which is no other image
        mine, others = (cells[:, PIXELS:].sum(0, dtype=np.float64) for cells in (row, other))
        return np.allclose(mine, others, rtol=1e-3)

    def results(self, spec: Calibration) -> dict[str, float]:
        """Name -> fraction, the names and the order of ``spec.names()``; NaN where nothing is defined."""
        self._check_depends(spec, self.measured)
        if any(map(is_unknown, self._rows)):
            return dict.fromkeys(spec.names(), math.nan)
        found: dict[str, Any] = {}
        if 'D' in spec.levels:
            errors = self._errors(spec, self._rows)
            found.update(ECED=errors[-1], SCED=exact_mean(errors[:-1]))
        if 'I' in spec.levels:
            images = [self._errors(spec, [row]) for row in self._rows]
            found.update(ECEI=exact_mean(e[-1] for e in images), SCEI=exact_mean(exact_mean(e[:-1]) for e in images))
        return {name: float(found[name]) for name in spec.names()}

    def per_class(self, spec: Calibration) -> dict[str, np.ndarray]:
        """'SCED' -> (num_classes,) fractions, the terms of its mean; empty where SCED is no result of ``spec``."""
        self._check_depends(spec, self.measured)
        return {'SCED': self._errors(spec, self._rows)[:-1]} if 'SCED' in spec.names() else {}

    def cells(self, spec: Calibration) -> dict[str, np.ndarray]:
        """'SCE' -> (images, classes) and 'ECE' -> (images,), those of ``spec.metrics``; NaN where nothing is defined."""
        self._check_depends(spec, self.measured)
        errors = np.array([self._errors(spec, [row]) for row in self._rows]).reshape(len(self), self.num_classes + 1)
        found = {'ECE': errors[:, -1], 'SCE': errors[:, :-1]}
        return {name: found[name] for name in spec.metrics}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The state as arrays that ``numpy.savez`` keeps without pickles."""
        return dict(
            num_classes=np.array(self.num_classes),
            ignore_index=optional_to_array(self.ignore_index),
            bins=np.array(self.bins),
            cells=np.concatenate([np.zeros((0, 5), np.int64), *self._rows]),
            cells_of_image=np.array([len(row) for row in self._rows], np.int64),
            **self._identities(),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The state that ``to_arrays`` wrote, given as a dict or as an opened .npz file."""
        state = cls(int(arrays['num_classes']), optional_from_array(arrays['ignore_index']), int(arrays['bins']))
        rows = np.split(arrays['cells'], np.cumsum(arrays['cells_of_image']))[:-1]  # the last is what lies behind: none
        for cells, image_id in zip(rows, cls._identities_of(arrays)):
            state.add(cells, image_id)
        return state

    def _errors(self, spec: Calibration, rows: Iterable[np.ndarray]) -> np.ndarray:
        """(num_classes + 1,) errors of the pixels of ``rows``: SCE of each class, NaN where it does not count; ECE."""
        total = np.zeros(((self.num_classes + 1) * self.bins, 5), np.int64)
        for row in rows:
            if is_unknown(row):
                return np.full(self.num_classes + 1, np.nan)
            _, pixels, labelled, right, confidence = row.T
            # whole units and the rest apart: sums over images fit whatever their number
            total[row[:, CELL]] += np.stack([pixels, labelled, right, confidence // ONE, confidence % ONE], 1)
        pixels, labelled, right, whole, rest = np.moveaxis(total.reshape(self.num_classes + 1, self.bins, 5), -1, 0)
        hits = labelled if spec.hit == 'label' else right
        gaps = np.abs((hits - whole) - rest / ONE).sum(1)
        valid = pixels[-1].sum()
        errors = gaps / valid if valid else np.full(self.num_classes + 1, np.nan)
        if spec.binary:
            errors[0] = np.nan
        else:
            errors[:-1][labelled[:-1].sum(1) == 0] = np.nan
        return errors

    def _check_cells(self, cells: np.ndarray) -> None:
        limit = (self.num_classes + 1) * self.bins
        good = cells.ndim == 2 and cells.shape[1] == 5 and cells.dtype.kind in 'iu'
        good = good and (is_unknown(cells) or (cells >= 0).all())
        if good and len(cells):
            ascending = (cells[1:, CELL] > cells[:-1, CELL]).all() and cells[-1, CELL] < limit
            nested = (cells[:, RIGHT] <= cells[:, LABELLED]) & (cells[:, LABELLED] <= cells[:, PIXELS])
            good = ascending and nested.all()
        if not good:
            raise ValueError(
                f'CalibrationState: cells must be integers >= 0 of shape (cells, 5) with ascending cells below {limit} '
                f'and right <= labelled <= pixels, got {cells.dtype} {cells.shape}'
            )
