"""What every mergeable state keeps: one row for each image, and the identities that tell images apart."""

import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.spec import MetricSpec


class ImageState:
    """Rows of images in order of arrival. A subclass says what a row is, when two are the same, and what it measures.

    An image whose identity is already there is dropped, so that a sampler that pads its shards changes nothing.
    Identities are strings (an integer is taken by its text); an image without one is never dropped.
    """

    measured: tuple[str, ...] = ()  # the attributes that rows depend on: states that differ in them cannot be merged

    _rows: list[Any]
    _ids: list[str | None]
    _place: dict[str, int]

    def __init__(self) -> None:
        self._rows, self._ids, self._place = [], [], {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def image_ids(self) -> list[str | None]:
        """The identity of each image as text, in order of arrival; None for an image without one."""
        return list(self._ids)

    def merge(self, *others: Self) -> Self:
        """Adds the images of other states; returns itself. ValueError where they do not measure the same."""
        for other in others:
            mine, theirs = ({name: getattr(state, name) for name in self.measured} for state in (self, other))
            if mine != theirs:
                raise ValueError(
                    f'{type(self).__name__}: only states that measure the same can be merged, this one has {mine}, '
                    f'got {theirs}'
                )
            for row, image_id in zip(list(other._rows), list(other._ids)):
                self._keep(row, image_id)
        return self

    def _keep(self, row: Any, image_id: str | int | None) -> bool:
        """Adds a checked row; says whether its image was new."""
        if image_id is not None:
            image_id = str(image_id)
            if image_id in self._place:
                if not self._same(self._rows[self._place[image_id]], row):
                    warnings.warn(
                        f'{type(self).__name__}: image {image_id!r} came twice with different values; the first is kept',
                        stacklevel=3,
                    )
                return False
            self._place[image_id] = len(self._rows)
        self._rows.append(row)
        self._ids.append(image_id)
        return True

    def _same(self, row: Any, other: Any) -> bool:
        return np.array_equal(row, other)

    def _identities(self) -> dict[str, np.ndarray]:
        """The identities as arrays, for ``to_arrays``."""
        return dict(
            image_id=np.array([i or '' for i in self._ids], np.str_),
            identified=np.array([i is not None for i in self._ids], bool),
        )

    @staticmethod
    def _identities_of(arrays: Mapping[str, np.ndarray]) -> list[str | None]:
        """The identities of arrays that ``to_arrays`` wrote: texts, or None."""
        pairs = zip(arrays['image_id'], arrays['identified'])
        return [str(image_id) if identified else None for image_id, identified in pairs]

    def _check_depends(self, spec: MetricSpec, names: Iterable[str]) -> None:
        """Refuses results under other parameters than those that were measured."""
        mine, asked = ({name: getattr(source, name) for name in names} for source in (self, spec))
        if mine != asked:
            raise ValueError(f'{type(self).__name__}: measures {mine}, asked for results with {asked}')


def optional_to_array(value: int | None) -> np.ndarray:
    """None or an integer as an array."""
    return np.array([] if value is None else [value], np.int64)


def optional_from_array(array: ArrayLike) -> int | None:
    """What ``optional_to_array`` was given."""
    array = np.asarray(array)
    return int(array[0]) if array.size else None


def exact_mean(values: Iterable[float]) -> float:
    """Mean of what is defined, rounded once, so that no order can change it; NaN where nothing is defined."""
    defined = [v for v in np.asarray(list(values), np.float64).tolist() if v == v]
    return math.fsum(defined) / len(defined) if defined else math.nan
