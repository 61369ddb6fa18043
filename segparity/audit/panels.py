"""Panels: input, truth, prediction and error map of a cell side by side, in the part where the mistakes are."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from segparity.audit import drawing
from segparity.audit.colours import OUTSIDE
from segparity.audit.picture_files import PictureFiles
from segparity.audit.picture_reading import read_labels, read_photo
from segparity.audit.tables import Table
from segparity.audit.window import Window, window_of
from segparity.evaluate.maps import MapError, sentences
from segparity.evaluate.nifti import Geometry, geometry_of, is_nifti
from segparity.evaluate.palette import Palette
from segparity.pages.values import css_colour
from shared_spec.metrics.fine_grained.state import FP, TP

NAMED = 6  # classes that a panel's legend names
NEWS = 0.1  # share of the labelled pixels from which mistakes are put in words


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """``cells``: (caption, Picture); ``overview``: the whole input with the part framed, where it is a part; ``notes``:
    what the pixels say in words; ``legend``: (class, css colour) of the largest classes in the part."""

    image: str
    class_name: str
    cells: list[tuple[str, drawing.Picture]]
    overview: drawing.Picture | None
    notes: list[str]
    legend: list[tuple[str, str]]

    @property
    def bytes(self) -> int:
        """What the panel takes in the page."""
        pictures = [picture for _, picture in self.cells] + ([self.overview] if self.overview else [])
        return sum(4 * len(picture.data) // 3 for picture in pictures) + 1200


def place_of(path: Path | None) -> Geometry | None:
    """Where a NIfTI volume lies; pictures of what lies elsewhere are drawn voxel by voxel, as they are counted if asked."""
    if path is None or not is_nifti(path):
        return None
    with sentences(path):
        return geometry_of(path)._replace(lenient=True)


class Painter:
    """Draws panels. What nothing says where to find, what is not there and what cannot be read is kept in ``unnamed``,
    ``missing`` and ``unreadable``, what disagrees with the table in ``strange``, each a dict in order of finding."""

    def __init__(
        self,
        tables: list[Table],
        files: PictureFiles,
        colours: np.ndarray,
        *,
        ignore_index: int | None = 255,
        reduce_zero: tuple[bool, bool] = (False, False),
        palette: Palette | None = None,
        coded: str | None = None,
        size: int = 320,
    ) -> None:
        self.tables = {table.name: table for table in tables}
        self.places = {table.name: table.place for table in tables}
        self.classes, self.files, self.size = tables[0].classes, files, size
        self.colours = np.concatenate([colours, np.array([OUTSIDE], np.uint8)])
        self.missing: dict[tuple[str, str], None] = {}
        self.unnamed: dict[str, None] = {}
        self.unreadable: dict[str, None] = {}
        self.strange: dict[tuple[str, str], None] = {}
        self._labels = functools.lru_cache(2)(
            lambda path, counted: read_labels(
                path, palette, ignore_index, reduce_zero[0], coded in ('targets', 'both'), counted=counted
            )
        )
        self._preds = functools.lru_cache(len(tables))(
            lambda path, beside: read_labels(
                path, palette, None, reduce_zero[1], coded in ('preds', 'both'), beside[0], beside=place_of(beside[1])
            )
        )
        self._photos = functools.lru_cache(1)(lambda path, beside: read_photo(path, beside[0], place_of(beside[1])))

    def panel(self, models: list[str], image: str, class_id: int) -> Panel | None:
        """The panel of a cell for one model or several, or None where a label map cannot be had.

        One model has its prediction and error map, several have their predictions.
        """
        try:
            truth = self._read(self._labels, models[0], image, 'target_file', self._counted(models[0], image))
            # the shape of the ground truth, and its file
            beside = None if truth is None else truth.shape, self.files.find(models[0], image, 'target_file')
            read = [self._read(self._preds, model, image, 'pred_file', beside) for model in models]
        except MapError as error:
            self.unreadable[str(error)] = None
            return None
        if truth is None or any(pred is None for pred in read):
            return None
        preds = cast(list[np.ndarray], read)
        for model, pred in zip(models, preds):
            self._check_counts(model, image, class_id, truth, pred)
        try:
            photo = self._read(self._photos, models[0], image, 'image_file', beside)
        except MapError as error:
            self.unreadable[str(error)] = None
            photo = None
        return self._painted(models, image, class_id, truth, preds, photo)

    def _read(
        self, reader: Callable[[Path, Any], np.ndarray], model: str, image: str, column: str, fitting: Any
    ) -> np.ndarray | None:
        path = self.files.find(model, image, column)
        if path is not None:
            return reader(path, fitting)
        if not self.files.known(model, column):
            self.unnamed[column] = None
        elif (model, image, column) not in self.files.outside:
            self.missing[column, image] = None
        return None

    def _counted(self, model: str, image: str) -> int:
        """How many pixels the table counts in an image."""
        return int(self.tables[model].counts[self.places[model][image]][:, [TP, FP]].sum())

    def _check_counts(self, model: str, image: str, class_id: int, truth: np.ndarray, pred: np.ndarray) -> None:
        valid, c = truth != -1, class_id
        found = [
            int((valid & (pred == c) & (truth == c)).sum()),
            int((valid & (pred == c) & (truth != c)).sum()),
            int((valid & (pred != c) & (truth == c)).sum()),
        ]
        stated = self.tables[model].counts[self.places[model][image], c].tolist()
        if found != stated:
            self.strange[model, image] = None

    def _painted(
        self,
        models: list[str],
        image: str,
        class_id: int,
        truth: np.ndarray,
        preds: list[np.ndarray],
        photo: np.ndarray | None,
    ) -> Panel:
        notes = []
        if truth.ndim == 3:
            wrong = sum(((pred == class_id) != (truth == class_id)) & (truth != -1) for pred in preds)
            part = int(wrong.reshape(len(truth), -1).sum(1).argmax())
            notes.append(f'slice {part} of 0 to {len(truth) - 1}')
            if photo is not None and photo.ndim == 4 and len(photo) == len(truth):
                photo = photo[part]
            truth, preds = truth[part], [pred[part] for pred in preds]
        if photo is not None and photo.ndim == 4:
            photo = photo[len(photo) // 2]
        kinds = [drawing.error_kinds(pred, truth, class_id) for pred in preds]
        wrong = sum((kind == drawing.MISSED) | (kind == drawing.ALARM) for kind in kinds).astype(bool)
        window = window_of(wrong if wrong.any() else truth == class_id) if truth.shape[1] > self.size / 2 else None
        cells, overview = [], None
        said: dict[str, list[str]] = {}
        if photo is not None:
            cells.append(('input', drawing.photo_picture(photo, window, truth.shape, self.size)))
            if window:
                overview = drawing.photo_picture(photo, None, truth.shape, self.size // 2, frame=window)
        cells.append(('truth', drawing.label_picture(truth, window, self.size, self.colours)))
        for model, pred, kind in zip(models, preds, kinds):
            caption = 'prediction' if len(models) == 1 else f'prediction of {model}'
            cells.append((caption, drawing.label_picture(pred, window, self.size, self.colours)))
            for note in confusions(kind, pred, truth, self.classes):
                said.setdefault(note, []).append(model)
        for note, who in said.items():
            notes.append(note if len(who) == len(models) else f'{", ".join(who)}: {note}')
        if len(models) == 1:
            cells.append(('error map', drawing.error_picture(kinds[0], window, self.size)))
        return Panel(
            image=image,
            class_name=self.classes[class_id],
            cells=cells,
            overview=overview,
            notes=notes,
            legend=self._legend([truth, *preds], window, class_id),
        )

    def _legend(self, maps: list[np.ndarray], window: Window | None, class_id: int) -> list[tuple[str, str]]:
        top, left, bottom, right = window or (0, 0, *maps[0].shape)
        counts = np.zeros(len(self.classes), np.int64)
        for ids in maps:
            ids = ids[top:bottom, left:right]
            ids = ids[(ids >= 0) & (ids < len(self.classes))]
            counts += np.bincount(ids, minlength=len(self.classes))
        others = [c for c in np.argsort(-counts, kind='stable') if counts[c] and c != class_id]
        named = ([class_id] if counts[class_id] else []) + others
        return [(self.classes[c], css_colour(self.colours[c])) for c in named[:NAMED]]


def confusions(kinds: np.ndarray, pred: np.ndarray, truth: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Sentences: what the missed pixels were taken for, and what the false alarms are; a ragged edge is no news."""
    notes = []
    of_class = np.isin(kinds, (drawing.HIT, drawing.MISSED)).sum()
    for kind, ids, words in (
        (drawing.MISSED, pred, 'missed pixels were taken for'),
        (drawing.ALARM, truth, 'false alarms are labelled'),
    ):
        ids = ids[kinds == kind]
        ids = ids[(ids >= 0) & (ids < len(classes))]
        if not ids.size or ids.size < NEWS * of_class:
            continue
        counts = np.bincount(ids, minlength=len(classes))
        most = [c for c in np.argsort(-counts, kind='stable')[:2] if counts[c] >= 0.1 * ids.size]
        named = ', '.join(f'{classes[c]} ({100 * counts[c] / ids.size:.0f} %)' for c in most)
        notes.append(f'{words} {named}')
    return notes
