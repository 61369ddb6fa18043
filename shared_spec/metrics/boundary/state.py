"""Mergeable boundary metrics: boundary counts and surface distances of every image, and the results that follow.

This is what the evaluators run. It shares nothing with the reference in ``spec.py``; the tests hold the two
together. Boundary counts need NumPy alone, distances need SciPy, which is loaded when the first is measured.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.metrics.boundary.spec import DISTANCES, BoundaryIoU, BoundarySpec, SurfaceDistance, boundary_width
from shared_spec.metrics.image_state import ImageState, exact_mean, optional_from_array, optional_to_array
from shared_spec.metrics.label_maps import check_predicted, label_maps, valid_pixels

TP, FP, FN = range(3)
MEASURED = 'num_classes', 'ignore_index', 'ratio', 'spacing'  # the parameters that a state's rows depend on
DEPENDS: dict[type[BoundarySpec], tuple[str, ...]] = {  # and the results of a spec
    BoundaryIoU: MEASURED[:3],
    SurfaceDistance: (*MEASURED[:2], 'spacing'),
}
OUTSIDE = -1  # in a label map: beyond the image, or ignored


def boundary_counts(
    pred: ArrayLike,
    target: ArrayLike,
    num_classes: int,
    ignore_index: int | None = None,
    pixel_weight: ArrayLike | None = None,
    ratio: float = 0.02,
) -> np.ndarray:
    """tp, fp, fn of the boundaries of one image's id maps -> int64 (num_classes, 3).

    The maps have one shape (H, W) or (D, H, W) and integer dtypes; a pixel counts where its label is not
    ``ignore_index`` and its weight, if given, is above 0, and is outside every mask elsewhere. A class has
    tp + fn > 0 exactly where the label has it, tp + fp > 0 exactly where the prediction has it.
    """
    maps = small_maps('boundary_counts', pred, target, num_classes, ignore_index, pixel_weight)
    return _counts(*maps, num_classes, ratio)


def surface_distances(
    pred: ArrayLike,
    target: ArrayLike,
    num_classes: int,
    ignore_index: int | None = None,
    pixel_weight: ArrayLike | None = None,
    spacing: Sequence[float] | None = None,
) -> np.ndarray:
    """HD, HD95 and ASSD of one image's id maps -> float64 (num_classes, 3), in units of ``spacing``.

    Inputs as for ``boundary_counts``. NaN for a class that is in neither map, inf for one that is in one of them only.
    """
    maps = small_maps('surface_distances', pred, target, num_classes, ignore_index, pixel_weight)
    return _distances(*maps, num_classes, _pixel_size('surface_distances', spacing, maps[0].ndim))


class BoundaryState(ImageState):
    """Boundary counts (int64) and distances of every image seen; ``update`` and ``merge`` add images, see ``ImageState``.

    The results do not depend on the order, to the last digit. ``distances=False`` measures none.
    """

    measured = *MEASURED, 'distances'

    def __init__(
        self,
        num_classes: int,
        ignore_index: int | None = 255,
        ratio: float = 0.02,
        spacing: Sequence[float] | None = None,
        distances: bool = True,
    ) -> None:
        super().__init__()
        common = dict(num_classes=num_classes, ignore_index=ignore_index)
        boundary, surface = BoundaryIoU(**common, ratio=ratio), SurfaceDistance(**common, spacing=spacing)
        self.num_classes, self.ignore_index = boundary.num_classes, boundary.ignore_index
        self.ratio, self.spacing, self.distances = boundary.ratio, surface.spacing, bool(distances)

    @classmethod
    def for_specs(cls, *specs: BoundarySpec) -> Self:
        """The state that measures what these ``BoundaryIoU`` and ``SurfaceDistance`` report."""
        measured = {name: getattr(spec, name) for spec in specs for name in DEPENDS[type(spec)]}
        return cls(**measured, distances=any(isinstance(spec, SurfaceDistance) for spec in specs))

    def update(
        self,
        pred: ArrayLike,
        target: ArrayLike,
        pixel_weight: ArrayLike | None = None,
        image_id: str | int | None = None,
    ) -> bool:
        """Adds one image's id maps, see ``boundary_counts``; says whether it was new."""
        return self.add(*self.row(pred, target, pixel_weight), image_id)

    def row(
        self, pred: ArrayLike, target: ArrayLike, pixel_weight: ArrayLike | None = None
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """What ``add`` takes of one image: (boundary counts, distances, diagonal in units of spacing); adds nothing.

        The distances are NaN where the state measures none: they take the most time.
        """
        owner = type(self).__name__
        maps = small_maps(owner, pred, target, self.num_classes, self.ignore_index, pixel_weight)
        spacing = _pixel_size(owner, self.spacing, maps[0].ndim)
        distances = np.full((self.num_classes, 3), np.nan)
        if self.distances:
            distances = _distances(*maps, self.num_classes, spacing)
        return _counts(*maps, self.num_classes, self.ratio), distances, math.hypot(*(spacing * maps[0].shape))

    def add(self, counts: ArrayLike, distances: ArrayLike, diagonal: float, image_id: str | int | None = None) -> bool:
        """Adds one image as ``row`` gives it: (classes, 3) counts, (classes, 3) distances, diagonal.

        Says whether it was new.
        """
        counts, distances = np.asarray(counts), np.asarray(distances)
        if counts.shape != (self.num_classes, 3) or counts.dtype.kind not in 'iu' or (counts < 0).any():
            raise ValueError(
                f'BoundaryState: counts must be integers >= 0 of shape ({self.num_classes}, 3), '
                f'got {counts.dtype} {counts.shape}'
            )
        if distances.shape != (self.num_classes, 3) or distances.dtype.kind != 'f' or (distances < 0).any():
            raise ValueError(
                f'BoundaryState: distances must be numbers >= 0 of shape ({self.num_classes}, 3), '
                f'got {distances.dtype} {distances.shape}'
            )
        return self._keep((counts.astype(np.int64), distances.astype(np.float64), float(diagonal)), image_id)

    def _same(self, row: tuple[ArrayLike, ...], other: tuple[ArrayLike, ...]) -> bool:
        return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(row, other))

    def results(self, spec: BoundarySpec) -> dict[str, float]:
        """Name -> value, the names and the order of ``spec.names()``; NaN where nothing is defined."""
        self._check(spec)
        found = {}
        for metric in spec.metrics:
            cells = self._cells(spec, metric)
            if metric == 'BoundaryIoU':
                found[metric + 'D'] = exact_mean(self._over_data_set(spec))
            found.update(_over_images(metric, cells))
            found.update((name + '_rest', value) for name, value in _over_images(metric, _finite(cells)).items())
        if 'missed' in spec.names():
            missed, of = (counts.sum() for counts in self.missed_counts(spec))
            found['missed'] = float(missed / of) if of else math.nan
        return {name: found[name] for name in spec.names()}

    def missed_counts(self, spec: BoundarySpec) -> tuple[np.ndarray, np.ndarray]:
        """(classes,) in how many images one mask of the class is empty and the other not, and in how many it counts."""
        self._check(spec)
        counts, present = self._arrays()[0], ~np.isnan(self._cells(spec, spec.metrics[0]))
        in_target, in_pred = (counts[..., [TP, other]].sum(-1) > 0 for other in (FN, FP))
        return (present & (in_target != in_pred)).sum(0), present.sum(0)

    def cells(self, spec: BoundarySpec) -> dict[str, np.ndarray]:
        """Score -> (images, classes) values, NaN where a cell does not count."""
        self._check(spec)
        return {metric: self._cells(spec, metric) for metric in spec.metrics}

    def per_class(self, spec: BoundarySpec) -> dict[str, np.ndarray]:
        """Name -> (num_classes,) values: the terms of the D results and of the C results."""
        self._check(spec)
        found = {}
        for name in spec.names():
            if name[-1] == 'D':
                found[name] = self._over_data_set(spec)
            elif name[-1] == 'C':
                found[name] = np.array([exact_mean(column) for column in self._cells(spec, name[:-1]).T])
            elif name.endswith('C_rest'):
                cells = _finite(self._cells(spec, name.removesuffix('C_rest')))
                found[name] = np.array([exact_mean(column) for column in cells.T])
            elif name == 'missed':
                missed, of = self.missed_counts(spec)
                found[name] = np.where(of > 0, missed / np.maximum(of, 1), np.nan)
        return found

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The state as arrays that ``numpy.savez`` keeps without pickles."""
        counts, distances, diagonals = self._arrays()
        return dict(
            num_classes=np.array(self.num_classes),
            ignore_index=optional_to_array(self.ignore_index),
            ratio=np.array(self.ratio),
            spacing=np.array(self.spacing or [], np.float64),
            with_distances=np.array(self.distances),
            counts=counts,
            distances=distances,
            diagonal=diagonals,
            **self._identities(),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The state that ``to_arrays`` wrote, given as a dict or as an opened .npz file."""
        spacing = np.asarray(arrays['spacing'])
        state = cls(
            int(arrays['num_classes']),
            optional_from_array(arrays['ignore_index']),
            float(arrays['ratio']),
            spacing.tolist() if spacing.size else None,
            bool(arrays['with_distances']),
        )
        rows = zip(arrays['counts'], arrays['distances'], arrays['diagonal'])
        for row, image_id in zip(rows, cls._identities_of(arrays)):
            state.add(*row, image_id)
        return state

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Counts (images, classes, 3), distances of that shape, diagonals (images,)."""
        shape = len(self), self.num_classes, 3
        counts, distances, diagonals = zip(*self._rows) if self._rows else ((), (), ())
        return (
            np.array(counts, np.int64).reshape(shape),
            np.array(distances, np.float64).reshape(shape),
            np.array(diagonals, np.float64),
        )

    def _over_data_set(self, spec: BoundarySpec) -> np.ndarray:
        """(classes,) boundary IoU of the summed counts; NaN where a class does not count."""
        scores = _iou(self._arrays()[0].sum(0))
        if spec.binary:
            scores[0] = np.nan
        return scores

    def _cells(self, spec: BoundarySpec, metric: str) -> np.ndarray:
        """(images, classes) values; NaN where a cell does not count, or an image has no valid pixel."""
        counts, distances, diagonals = self._arrays()
        in_target = counts[..., TP] + counts[..., FN] > 0
        in_pred = counts[..., TP] + counts[..., FP] > 0
        if metric == 'BoundaryIoU':
            values = _iou(counts)
        else:
            values = distances[..., DISTANCES.index(metric)]
            if spec.empty == 'diagonal':  # type: ignore[attr-defined]  # distances are those of a SurfaceDistance
                values = np.where(in_target != in_pred, diagonals[:, None], values)
        present = in_target | in_pred if spec.binary or spec.present_in == 'either' else in_target
        values = np.where(present, values, np.nan)
        if spec.binary:
            values[:, 0] = np.nan
            if metric == 'BoundaryIoU':
                values[~present[:, 1] & (in_pred | in_target).any(1), 1] = 1
        return values

    def _check(self, spec: BoundarySpec) -> None:
        if isinstance(spec, SurfaceDistance) and not self.distances:
            raise ValueError(f'BoundaryState: measured no distances, asked for {", ".join(spec.metrics)}')
        self._check_depends(spec, DEPENDS[type(spec)])


def small_maps(
    owner: str,
    pred: ArrayLike,
    target: ArrayLike,
    num_classes: int,
    ignore_index: int | None,
    pixel_weight: ArrayLike | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Both maps as small signed integers: a class id, num_classes for a label that is none, OUTSIDE where ignored."""
    pred, target, weight = label_maps(owner, pred, target, pixel_weight)
    if pred.ndim not in (2, 3):
        raise ValueError(f'{owner}: the maps of an image must have 2 or 3 spatial axes, got shape {pred.shape}')
    valid = valid_pixels(target, weight, ignore_index)
    check_predicted(owner, pred[valid], num_classes)
    small = np.int16 if num_classes < np.iinfo(np.int16).max else np.int32
    pred = np.where(valid, pred, 0).astype(small)
    target = np.where((target < 0) | (target >= num_classes), num_classes, target).astype(small)
    pred[~valid] = target[~valid] = OUTSIDE
    return pred, target


def _pixel_size(owner: str, spacing: ArrayLike | None, ndim: int) -> np.ndarray:
    spacing = np.ones(ndim) if spacing is None else np.asarray(spacing, np.float64)
    if spacing.shape != (ndim,):
        raise ValueError(
            f'{owner}: spacing must have one number for each of the {ndim} spatial axes, got {spacing.size}'
        )
    return spacing


def _counts(pred: np.ndarray, target: np.ndarray, num_classes: int, ratio: float) -> np.ndarray:
    """tp, fp, fn of the boundaries of two label maps."""
    width = boundary_width(ratio, pred.shape)
    pred, target = (np.where(_mixed_window(ids, width), ids, OUTSIDE) for ids in (pred, target))
    of_pred, of_target, of_both = (
        np.bincount(ids[(ids >= 0) & (ids < num_classes)], minlength=num_classes)
        for ids in (pred, target, pred[pred == target])
    )
    return np.stack([of_both, of_pred - of_both, of_target - of_both], 1).astype(np.int64)


def _mixed_window(ids: np.ndarray, width: int) -> np.ndarray:
    """Where the square window of ``width`` pixels to each side holds another label: the boundaries of all masks.

    A pixel survives ``width`` erosions of its mask by the 3x3 square exactly where the smallest and the largest label
    of that window are the same.
    """
    smallest = largest = np.pad(ids, width, constant_values=OUTSIDE)
    for axis in range(ids.ndim):
        smallest, largest = (
            _running(extreme, x, 2 * width + 1, axis) for extreme, x in ((np.minimum, smallest), (np.maximum, largest))
        )
    return smallest != largest


def _running(extreme: np.ufunc, x: np.ndarray, length: int, axis: int) -> np.ndarray:
    """The minimum or maximum of every ``length`` neighbours along an axis, by doubling."""
    done = 1
    while done < length:
        step = min(done, length - done)
        head, tail = ([slice(None)] * x.ndim for _ in range(2))
        head[axis], tail[axis] = slice(None, -step), slice(step, None)
        x = extreme(x[tuple(head)], x[tuple(tail)])
        done += step
    return x


def _distances(pred: np.ndarray, target: np.ndarray, num_classes: int, spacing: np.ndarray) -> np.ndarray:
    """(num_classes, 3) HD, HD95, ASSD of two label maps."""
    on_pred, on_target = _surfaces(pred), _surfaces(target)
    shared = (pred == target) & on_pred & on_target
    of_pred, of_target = (_points(on, ids, shared, num_classes) for on, ids in ((on_pred, pred), (on_target, target)))
    found = np.full((num_classes, 3), np.nan)
    for c, ((p, p_shared), (t, t_shared)) in enumerate(zip(of_pred, of_target)):
        if len(p) and len(t):
            there, back = _to_nearest(p, p_shared, t, spacing), _to_nearest(t, t_shared, p, spacing)
            found[c, 0] = max(there.max(), back.max())
            found[c, 1] = max(np.quantile(there, 0.95), np.quantile(back, 0.95))
            found[c, 2] = np.concatenate([there, back]).mean()
        elif len(p) or len(t):
            found[c] = np.inf
    return found


def _surfaces(ids: np.ndarray) -> np.ndarray:
    """Where a direct neighbour has another label or lies beyond the image: the surfaces of all masks."""
    found = np.zeros(ids.shape, bool)
    for axis in range(ids.ndim):
        x, on = np.moveaxis(ids, axis, 0), np.moveaxis(found, axis, 0)
        differs = x[1:] != x[:-1]
        on[1:] |= differs
        on[:-1] |= differs
        on[:1] = on[-1:] = True
    return found


def _points(
    on: np.ndarray, ids: np.ndarray, shared: np.ndarray, num_classes: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each class the coordinates (points, axes) of its surface, and which are on the other surface as well."""
    on = on & (ids >= 0) & (ids < num_classes)
    classes = ids[on]
    order = np.argsort(classes, kind='stable')
    cuts = np.cumsum(np.bincount(classes, minlength=num_classes))[:-1]
    return list(zip(np.split(np.argwhere(on)[order], cuts), np.split(shared[on][order], cuts)))


def _to_nearest(points: np.ndarray, shared: np.ndarray, others: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """The distance of each point to the nearest of the others; 0 where it is one of them."""
    found = np.zeros(len(points))
    if not shared.all():
        found[~shared] = _tree(others * spacing).query(points[~shared] * spacing)[0]
    return found


def _tree(points: np.ndarray) -> Any:
    try:
        from scipy.spatial import cKDTree
    except ImportError:
        raise ImportError('surface distances need SciPy: pip install scipy') from None
    return cKDTree(points)


def _iou(counts: np.ndarray) -> np.ndarray:
    """tp / (tp + fp + fn) of counts (..., 3), NaN where there is none."""
    below = counts.sum(-1)
    return np.where(below > 0, counts[..., TP] / np.maximum(below, 1), np.nan)


def _over_images(metric: str, cells: np.ndarray) -> dict[str, float]:
    """The levels I and C of (images, classes) values."""
    return {
        metric + 'I': exact_mean([exact_mean(row) for row in cells]),
        metric + 'C': exact_mean([exact_mean(column) for column in cells.T]),
    }


def _finite(cells: np.ndarray) -> np.ndarray:
    """The cells whose distance is one."""
    return np.where(np.isinf(cells), np.nan, cells)
