"""Per-image tables as arrays: one model's counts of every class of every image."""

import dataclasses
import itertools
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from segparity.audit.table_reading import read_table
from shared_spec.metrics.fine_grained import FineGrained
from shared_spec.metrics.fine_grained.state import FN, FP, TP, FineGrainedState
from shared_spec.metrics.per_image import FILES, check_format

if TYPE_CHECKING:
    import pandas

RULES = (('target', False), ('either', False), ('either', True))  # present_in, binary


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A model's table: N images that have a valid pixel, C classes.

    ``counts`` int64 (N, C, 3) are tp, fp, fn; ``present`` bool (N, C) says which cells count under I and C; ``iou``
    float64 (N, C) is NaN elsewhere. ``files`` has the file columns that the table has, one string for each image.
    """

    name: str
    path: Path
    written: datetime
    classes: tuple[str, ...]
    images: tuple[str, ...]
    counts: np.ndarray
    present: np.ndarray
    iou: np.ndarray
    present_in: str
    binary: bool
    files: dict[str, list[str]]
    empty: tuple[str, ...]  # images without a valid pixel, which count nowhere

    @property
    def sizes(self) -> np.ndarray:
        """int64 (N, C): pixels labelled with the class."""
        return self.counts[..., TP] + self.counts[..., FN]

    @property
    def image_iou(self) -> np.ndarray:
        """(N,) mean of the IoU of the classes that count in the image."""
        found = self.present.sum(1)
        with np.errstate(invalid='ignore'):
            return np.where(found > 0, np.nansum(self.iou, 1) / found, np.nan)

    @property
    def place(self) -> dict[str, int]:
        """Image -> its row."""
        return {image: i for i, image in enumerate(self.images)}

    def take(self, images: Sequence[str]) -> Self:
        """The table of these images, in this order."""
        place = self.place
        rows = [place[image] for image in images]
        return dataclasses.replace(
            self,
            images=tuple(images),
            counts=self.counts[rows],
            present=self.present[rows],
            iou=self.iou[rows],
            files={column: [values[i] for i in rows] for column, values in self.files.items()},
        )


def load_table(path: str | Path, name: str) -> Table:
    """Read and check one table; ValueError in one sentence where it is no per-image table."""
    path = Path(path)
    check_format('TABLE', path)
    frame = read_table(path)
    if frame.empty:
        raise ValueError(f'{path}: the table has no rows')
    for column in ('image', 'class_name'):
        if frame[column].isna().any():
            raise ValueError(
                f'{path}: the column {column} must be filled, row {frame[column].isna().argmax()} is empty'
            )
    codes, images = frame['image'].astype(str).factorize()
    ids = frame['class_id'].to_numpy()
    classes = class_names(path, frame)
    order = np.lexsort((ids, codes))
    rows, columns = len(images), len(classes)
    expected = np.tile(np.arange(columns), rows)
    if len(frame) != rows * columns or (ids[order] != expected).any():
        image, reason = incomplete(codes, ids, images, columns)
        raise ValueError(f'{path}: every image needs one row for each of its {columns} classes, {image!r} {reason}')
    shape = rows, columns
    counts = np.stack([frame[c].to_numpy()[order].astype(np.int64).reshape(shape) for c in ('tp', 'fp', 'fn')], -1)
    if (counts < 0).any():
        raise ValueError(f'{path}: tp, fp and fn must be at least 0, got {counts.min()}')
    present = frame['present'].to_numpy()[order].reshape(shape)
    valid = counts[..., [TP, FP]].sum((1, 2)) > 0
    if not present[valid].any():
        raise ValueError(f'{path}: no class counts in any image')
    present_in, binary, iou = cell_iou(path, images, counts, present)
    if 'IoU' in frame:
        check_iou(path, frame['IoU'].to_numpy()[order].reshape(shape), iou, images, classes)
    files = {}
    for column in FILES:
        if column in frame:
            values = frame[column].to_numpy()[order].reshape(shape)[valid, 0]
            files[column] = [value if isinstance(value, str) else '' for value in values]
    return Table(
        name=name,
        path=path,
        written=datetime.fromtimestamp(path.stat().st_mtime),
        classes=classes,
        images=tuple(images[valid]),
        counts=counts[valid],
        present=present[valid],
        iou=iou[valid],
        present_in=present_in,
        binary=binary,
        files=files,
        empty=tuple(images[~valid]),
    )


def class_names(path: Path, frame: 'pandas.DataFrame') -> tuple[str, ...]:
    """The names of classes 0 to C-1."""
    named = frame[['class_id', 'class_name']].drop_duplicates().sort_values('class_id')
    ids = named['class_id'].tolist()
    if ids != list(range(len(ids))):
        twice = next((i for i, j in itertools.pairwise(ids) if i == j), None)
        if twice is not None:
            names = ' and '.join(map(repr, named.loc[named['class_id'] == twice, 'class_name'][:2]))
            raise ValueError(f'{path}: class {twice} has two names, {names}')
        raise ValueError(f'{path}: class_id must run from 0 to {len(ids) - 1} without gaps, got {ids[:10]}')
    return tuple(map(str, named['class_name']))


def incomplete(codes: np.ndarray, ids: np.ndarray, images: np.ndarray, columns: int) -> tuple[str, str]:
    """The first image that lacks a class or has one twice, and what is wrong with it."""
    rows = np.bincount(codes, minlength=len(images))
    if (rows != columns).any():
        first = np.flatnonzero(rows != columns)[0]
        return images[first], f'has {rows[first]} rows'
    twice = np.bincount(codes * columns + ids, minlength=len(images) * columns) > 1
    return images[np.flatnonzero(twice)[0] // columns], 'has a class twice'


def cell_iou(path: Path, images: np.ndarray, counts: np.ndarray, present: np.ndarray) -> tuple[str, bool, np.ndarray]:
    """(present_in, binary, IoU of every cell), by the first rule of presence that the table follows."""
    state = FineGrainedState(counts.shape[1], ignore_index=None)
    for image, row in zip(images, counts):
        state.add(row, image)
    for present_in, binary in RULES:
        if binary and counts.shape[1] != 2:
            continue
        spec = FineGrained(
            num_classes=counts.shape[1], ignore_index=None, metrics=('mIoU',), present_in=present_in, binary=binary
        )
        cells = state.cells(spec)
        if np.array_equal(cells['present'], present):
            return present_in, binary, cells['IoU']
    raise ValueError(
        f"{path}: 'present' must be true where the label has the class, or where label or prediction has it, "
        f'and follows neither rule'
    )


def check_iou(path: Path, stated: np.ndarray, iou: np.ndarray, images: np.ndarray, classes: Sequence[str]) -> None:
    """The table's IoU and its counts must say the same."""
    with np.errstate(invalid='ignore'):
        wrong = (np.isnan(iou) != np.isnan(stated)) | (np.abs(iou - stated) > 1e-4)
    if wrong.any():
        i, c = np.argwhere(wrong)[0]
        raise ValueError(
            f'{path}: IoU of {images[i]!r}, class {classes[c]!r}, is {stated[i, c]:.6g}, '
            f'but present, tp, fp and fn make it {iou[i, c]:.6g}'
        )
