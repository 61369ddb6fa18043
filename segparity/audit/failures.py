"""What several models fail on: labels to look at first, hard objects, and the weakness of one model.

A model fails on a cell (image, class) where its IoU is below ``fail_below``, or among the lowest tenth of that class
and at most one half. It fails on an image that is among its lowest tenth.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from segparity.audit.scores import median_sizes
from segparity.audit.tables import Table
from shared_spec.metrics.fine_grained.state import FN, FP, TP

AT_MOST = 0.5  # a class that is found everywhere has a lowest tenth, too


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a list. ``scores`` has one IoU for each model; ``size`` and ``usual`` are pixels; ``instead`` is the
    class that takes the missed pixels, or ''."""

    image: str
    class_id: int
    scores: tuple[float, ...]
    size: int
    usual: float
    instead: str = ''


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failures:
    """``labels``: large objects that the models miss together; ``unlabelled``: large false alarms that they
    share; ``hard``: small objects that they miss together; ``images``: (image, scores) that they fail
    on together; ``alone``: model -> cells that only it fails on."""

    labels: list[Cell]
    unlabelled: list[Cell]
    hard: list[Cell]
    images: list[tuple[str, tuple[float, ...]]]
    alone: dict[str, list[Cell]]


def find_failures(tables: list[Table], *, agree: int | None = None, fail_below: float = 0.1, top: int = 20) -> Failures:
    """The failures of tables of the same images; ``agree`` models must fail together, by default all."""
    agree = len(tables) if agree is None else agree
    if not 1 <= agree <= len(tables):
        raise ValueError(f'--agree: from 1 to {len(tables)} models can fail together, got {agree}')
    failed = np.stack([failed_cells(table.iou, fail_below) for table in tables])
    scores = np.stack([table.iou for table in tables], -1)
    best = np.nan_to_num(scores, nan=-1).max(-1)
    sizes, usual = tables[0].sizes, median_sizes(tables[0])
    together = failed.sum(0) >= agree
    with np.errstate(invalid='ignore', divide='ignore'):
        times = sizes / usual
    unseen, alarms = common_alarms(tables, usual, agree)
    missed = sum(table.counts[..., FN] > table.counts[..., TP] for table in tables) >= agree
    labelled = together & (sizes > 0)
    alarmed = unseen > 0  # there a low IoU alone says nothing of what is labelled

    def cells(mask: np.ndarray, *keys: np.ndarray, limit: int = top) -> list[Cell]:
        rows, columns = np.nonzero(mask)
        order = np.lexsort([key[rows, columns] for key in reversed(keys)])[:limit]
        return [cell(tables, scores, usual, rows[k], columns[k]) for k in order]

    return Failures(
        labels=cells(labelled & (times >= 1) & (missed | ~alarmed), best, -times),
        hard=cells(labelled & (times < 1) & ~alarmed, best, -times) if len(tables) > 1 else [],
        unlabelled=unlabelled(tables, scores, usual, unseen, alarms, top),
        images=failed_images(tables, agree, top) if len(tables) > 1 else [],
        alone=alone(tables, failed, scores, cells) if len(tables) > 1 else {},
    )


def cell(tables: list[Table], scores: np.ndarray, usual: np.ndarray, i: int, c: int) -> Cell:
    return Cell(
        image=tables[0].images[i],
        class_id=int(c),
        scores=tuple(map(float, scores[i, c])),
        size=int(tables[0].sizes[i, c]),
        usual=float(usual[c]),
        instead=counterpart(tables, i, c, FN, FP),
    )


def counterpart(tables: list[Table], i: int, c: int, lost: int, gained: int) -> str:
    """The one other class whose ``gained`` pixels can cover half of the cell's ``lost`` ones in every model, or ''."""
    fits = np.ones(len(tables[0].classes), bool)
    for table in tables:
        counts = table.counts[i]
        fits &= (2 * counts[:, gained] >= counts[c, lost]) & (counts[:, gained] > 0)
    fits[c] = False
    return tables[0].classes[int(fits.argmax())] if fits.sum() == 1 else ''


def lowest_tenth(values: np.ndarray) -> np.ndarray:
    """Which values are no higher than the last of the lowest max(1, n // 10), along the first axis; NaN never is."""
    n = (~np.isnan(values)).sum(0)
    ordered = np.sort(values, 0)
    mark = np.take_along_axis(ordered, (np.maximum(1, n // 10) - 1)[None], 0)
    with np.errstate(invalid='ignore'):
        return values <= mark


def failed_cells(iou: np.ndarray, fail_below: float) -> np.ndarray:
    """bool (N, C); see the module."""
    with np.errstate(invalid='ignore'):
        return (iou < fail_below) | (lowest_tenth(iou) & (iou <= AT_MOST))


def common_alarms(tables: list[Table], usual: np.ndarray, agree: int) -> tuple[np.ndarray, np.ndarray]:
    """How many times the usual size the false alarms of a cell are, in at least ``agree`` models, (N, C); 0 where they
    are less than half of it, or less than what is labelled: there the class may just have a ragged edge."""
    alarms = np.sort(np.stack([table.counts[..., FP] for table in tables]), 0)[-agree]
    with np.errstate(invalid='ignore', divide='ignore'):
        times = np.nan_to_num(alarms / usual, nan=0, posinf=0)
    return np.where((alarms >= tables[0].sizes) & (times >= 0.5), times, 0), alarms


def unlabelled(
    tables: list[Table], scores: np.ndarray, usual: np.ndarray, times: np.ndarray, alarms: np.ndarray, top: int
) -> list[Cell]:
    """The cells with the largest false alarms that models share; ``size`` is that of the false alarms."""
    rows, columns = np.nonzero(times)
    order = np.argsort(-times[rows, columns], kind='stable')[:top]
    table = tables[0]
    return [
        Cell(
            image=table.images[i],
            class_id=int(c),
            scores=tuple(map(float, scores[i, c])),
            size=int(alarms[i, c]),
            usual=float(usual[c]),
            instead=counterpart(tables, i, c, FP, FN),
        )
        for i, c in zip(rows[order], columns[order])
    ]


def failed_images(tables: list[Table], agree: int, top: int) -> list[tuple[str, tuple[float, ...]]]:
    """(image, one IoU for each model) of the images that ``agree`` models fail on, the best model's lowest first."""
    scores = np.stack([table.image_iou for table in tables], 1)
    together = lowest_tenth(scores).sum(1) >= agree
    rows = np.flatnonzero(together)
    rows = rows[np.argsort(np.nan_to_num(scores[rows], nan=-1).max(1), kind='stable')][:top]
    return [(tables[0].images[i], tuple(map(float, scores[i]))) for i in rows]


def alone(
    tables: list[Table], failed: np.ndarray, scores: np.ndarray, cells: Callable[[np.ndarray, np.ndarray], list[Cell]]
) -> dict[str, list[Cell]]:
    """Model -> the cells that only it fails on and every other has at an IoU above one half, largest gap first."""
    found = {}
    for k, table in enumerate(tables):
        others = np.delete(scores, k, -1).min(-1)
        with np.errstate(invalid='ignore'):
            only = failed[k] & (failed.sum(0) == 1) & (others > AT_MOST)
        found[table.name] = cells(only, scores[..., k] - others)
    return found
