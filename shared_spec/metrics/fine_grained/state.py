"""Mergeable counts: tp, fp, fn of every class of every image, and the fine-grained results that follow from them.

This is what the evaluators and the command line run. It shares nothing with the reference in ``spec.py``; the
tests hold the two together.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.metrics.fine_grained.spec import FineGrained
from shared_spec.metrics.image_state import ImageState, optional_from_array, optional_to_array
from shared_spec.metrics.label_maps import check_predicted, label_maps

TP, FP, FN = range(3)
CHUNK = 1 << 16  # pixels counted at a time, so that the temporaries stay in the cache


def image_counts(
    pred: ArrayLike,
    target: ArrayLike,
    num_classes: int,
    ignore_index: int | None = None,
    pixel_weight: ArrayLike | None = None,
) -> np.ndarray:
    """tp, fp, fn of one image's id maps -> int64 (num_classes, 3).

    The maps have any one shape and any integer dtype; a pixel counts where its label is not ``ignore_index`` and its
    weight, if given, is above 0. A label that is no class adds a false positive to the class predicted there, so the
    sum of tp and fp is the number of valid pixels, that of tp and fn the number of pixels labelled with a class. A
    prediction that is no class is a ValueError.
    """
    pred, target, weight = label_maps('image_counts', pred, target, pixel_weight)
    pred, target = pred.reshape(-1), target.reshape(-1)
    if weight is not None:
        keep = weight.reshape(-1) > 0
        pred, target = pred[keep], target[keep]

    # one row for every label below the limit; labels beyond it share the two rows after the classes
    rows = max(256, num_classes + 2)
    table: np.ndarray = np.zeros(rows * num_classes, np.int64)
    strange = np.zeros(num_classes, np.int64)  # predictions where the label is no class and has no row of its own
    step = max(CHUNK, 4 * table.size)
    index = np.empty(min(step, pred.size), np.int64)
    for start in range(0, pred.size, step):
        p, t = pred[start : start + step], target[start : start + step]
        if t.dtype.kind == 'b':
            t = t.astype(np.uint8)  # no view: the bytes of a bool may be 0 and 255, as in Pillow's 1-bit images
        outside = t.min() < 0 or t.max() >= rows
        if outside or p.min() < 0 or p.max() >= num_classes:
            if ignore_index is not None:
                keep = t != ignore_index
                p, t = p[keep], t[keep]
            check_predicted('image_counts', p, num_classes)
            keep = (t >= 0) & (t < rows)
            strange += np.bincount(p[~keep].astype(np.int64), minlength=num_classes)
            p, t = p[keep], t[keep]
        cell = index[: p.size]
        np.multiply(t, num_classes, out=cell, casting='unsafe', dtype=np.int64)
        np.add(cell, p, out=cell, casting='unsafe')
        table += np.bincount(cell, minlength=table.size)

    table = table.reshape(rows, num_classes)
    if ignore_index is not None and 0 <= ignore_index < rows:
        table[ignore_index] = 0
    counts = np.empty((num_classes, 3), np.int64)
    counts[:, TP] = np.diagonal(table)
    counts[:, FP] = table.sum(0) + strange - counts[:, TP]
    counts[:, FN] = table[:num_classes].sum(1) - counts[:, TP]
    return counts


class FineGrainedState(ImageState):
    """The counts of every image seen, as int64; ``update`` and ``merge`` add images, see ``ImageState``.

    The results do not depend on the order, to the last digit.
    """

    measured = 'num_classes', 'ignore_index'

    def __init__(self, num_classes: int, ignore_index: int | None = 255) -> None:
        spec = FineGrained(num_classes=num_classes, ignore_index=ignore_index)
        super().__init__()
        self.num_classes, self.ignore_index = spec.num_classes, spec.ignore_index

    @property
    def counts(self) -> np.ndarray:
        """int64 (images, classes, 3): tp, fp, fn."""
        return np.array(self._rows, np.int64).reshape(len(self), self.num_classes, 3)

    def update(
        self,
        pred: ArrayLike,
        target: ArrayLike,
        pixel_weight: ArrayLike | None = None,
        image_id: str | int | None = None,
    ) -> bool:
        """Adds one image's id maps, see ``image_counts``; says whether it was new."""
        return self.add(image_counts(pred, target, self.num_classes, self.ignore_index, pixel_weight), image_id)

    def add(self, counts: ArrayLike, image_id: str | int | None = None) -> bool:
        """Adds one image's tp, fp, fn, (num_classes, 3); says whether it was new."""
        counts = np.asarray(counts)
        if counts.shape != (self.num_classes, 3) or counts.dtype.kind not in 'iu' or (counts < 0).any():
            raise ValueError(
                f'FineGrainedState: counts must be integers >= 0 of shape ({self.num_classes}, 3), '
                f'got {counts.dtype} {counts.shape}'
            )
        return self._keep(counts.astype(np.int64), image_id)

    def results(self, spec: FineGrained) -> dict[str, float]:
        """Name -> fraction, the names and the order of ``spec.names()``; NaN where nothing is defined."""
        self._check_depends(spec, self.measured)
        counts = self._valid_images()
        tp, fp, fn = np.moveaxis(counts.sum(0), -1, 0).astype(np.float64)
        labelled = tp + fn
        found = {'aAcc': _divide(tp.sum(), labelled.sum())}
        found['FWIoU'] = _divide((labelled * np.nan_to_num(_divide(tp, tp + fp + fn))).sum(), labelled.sum())
        for metric in spec.metrics:
            if 'D' in spec.levels:
                found[metric + 'D'] = _nanmean(_over_data_set(spec, metric, counts), 0)
            if 'I' in spec.levels:
                values = _nanmean(_over_images(spec, metric, counts), 1)
                found.update((f'{metric}I{k}', v) for k, v in _lowest(values, spec.q).items())
            if 'C' in spec.levels:
                tails = _lowest(_over_images(spec, metric, counts), spec.q)
                found.update((f'{metric}C{k}', _nanmean(v, 0)) for k, v in tails.items())
        return {name: float(found[name]) for name in spec.names()}

    def per_class(self, spec: FineGrained) -> dict[str, np.ndarray]:
        """Name without its 'm' -> (num_classes,) fractions: the terms of the D results and of the C results."""
        self._check_depends(spec, self.measured)
        counts, found = self._valid_images(), {}
        for metric in spec.metrics:
            for level in spec.levels:
                if level == 'D':
                    found[metric[1:] + 'D'] = _over_data_set(spec, metric, counts)
                elif level == 'C':
                    tails = _lowest(_over_images(spec, metric, counts), spec.q)
                    found.update((f'{metric[1:]}C{k}', v) for k, v in tails.items())
        return found

    def cells(self, spec: FineGrained) -> dict[str, np.ndarray]:
        """(images, classes) arrays, an image without a valid pixel included: whether the cell is ``present`` (it counts
        under I and C), ``tp``, ``fp``, ``fn``, and each score without its 'm', NaN where it does not count."""
        self._check_depends(spec, self.measured)
        counts = self.counts
        has_pixel = counts.sum((1, 2)) > 0
        found: dict[str, Any] = dict(present=None, tp=counts[..., TP], fp=counts[..., FP], fn=counts[..., FN])
        for metric in spec.metrics:
            scores = _over_images(spec, metric, counts)
            scores[~has_pixel] = np.nan
            found[metric[1:]] = scores
        found['present'] = ~np.isnan(_over_images(spec, 'mIoU', counts)) & has_pixel[:, None]
        return found

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The state as arrays that ``numpy.savez`` keeps without pickles."""
        return dict(
            num_classes=np.array(self.num_classes),
            ignore_index=optional_to_array(self.ignore_index),
            counts=self.counts,
            **self._identities(),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The state that ``to_arrays`` wrote, given as a dict or as an opened .npz file."""
        state = cls(int(arrays['num_classes']), optional_from_array(arrays['ignore_index']))
        for counts, image_id in zip(arrays['counts'], cls._identities_of(arrays)):
            state.add(counts, image_id)
        return state

    def _valid_images(self) -> np.ndarray:
        counts = self.counts
        return counts[counts.sum((1, 2)) > 0]


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, NaN where below is 0."""
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(below > 0, np.divide(above, below), np.nan)


def _nanmean(values: np.ndarray, axis: int) -> np.ndarray:
    defined = ~np.isnan(values)
    return _divide(np.where(defined, values, 0).sum(axis), defined.sum(axis))


def _score(spec: FineGrained, metric: str, counts: np.ndarray) -> np.ndarray:
    """Scores of counts (..., 3), NaN where the denominator is 0."""
    tp, fp, fn = np.moveaxis(counts, -1, 0).astype(np.float64)
    if metric == 'mAcc':
        return _divide(tp, tp + fn)
    if metric == 'mPrecision':
        return _divide(tp, tp + fp)
    if metric == 'mIoU':
        return _divide(tp, tp + fp + fn)
    b2 = 1.0 if metric == 'mDice' else spec.beta**2
    return _divide((1 + b2) * tp, (1 + b2) * tp + b2 * fn + fp)


def _over_data_set(spec: FineGrained, metric: str, counts: np.ndarray) -> np.ndarray:
    """(classes,) scores of the summed counts; NaN where a class does not count."""
    scores = _score(spec, metric, counts.sum(0))
    if spec.binary:
        scores[0] = np.nan
    return scores


def _over_images(spec: FineGrained, metric: str, counts: np.ndarray) -> np.ndarray:
    """(images, classes) scores; NaN where a cell does not count."""
    scores = _score(spec, metric, counts)
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    if metric == 'mPrecision':
        scores[tp + fp == 0] = 0
    either = spec.binary or spec.present_in == 'either'
    scores[(tp + fn + (fp if either else 0)) == 0] = np.nan
    if spec.binary:
        scores[(tp + fp + fn) == 0] = 1
        scores[:, 0] = np.nan
    return scores


def _lowest(values: np.ndarray, q: Iterable[int]) -> dict[str, np.ndarray]:
    """'' -> mean over the first axis, and for each q the mean of the lowest values; 'Q' the mean over the deciles.

    Adds the values in ascending order, so the order of the images leaves no trace.
    """
    values = np.sort(np.concatenate([values, np.full_like(values[:1], np.nan, shape=(1, *values.shape[1:]))]), 0)
    n = (~np.isnan(values)).sum(0)
    sums = np.cumsum(np.nan_to_num(values), 0)

    def lowest(per_cent: int) -> np.ndarray:
        k = np.maximum(1, per_cent * n // 100)
        total = np.take_along_axis(sums, (k - 1)[None], 0)[0] if values.ndim > 1 else sums[k - 1]
        return np.where(n > 0, total / k, np.nan)

    means: dict[str, Any] = {'': lowest(100), **{str(p): lowest(p) for p in q}}
    if q:
        means['Q'] = sum(lowest(p) for p in range(10, 101, 10)) / 10
    return means
