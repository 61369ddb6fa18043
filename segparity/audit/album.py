"""Which panels the page has: first those of the lists of failures, then the worst of every class, rank by rank, until
the page is as large as it may be."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from segparity.audit.failures import Failures
from segparity.audit.panels import Painter, Panel
from segparity.audit.tables import Table

PICTURED = {'labels': 8, 'unlabelled': 8, 'hard': 4, 'alone': 4, 'differences': 4}  # of each list


@dataclasses.dataclass
class Album:
    """``worst``: model -> class -> [(image, IoU, size, panel or None)]; ``listed``: (list, image, class) -> panel;
    ``wanted`` and ``shown`` count the panels; ``full`` says whether the limit stopped them."""

    worst: dict[str, dict[int, list[tuple[str, float, int, Panel | None]]]]
    listed: dict[tuple[str, str, Any], Panel]
    wanted: int = 0
    shown: int = 0
    full: bool = False
    left: float = 0


def collect(
    tables: list[Table],
    comparisons: list[dict[str, Any]],
    failures: Failures | None,
    painter: Painter | None,
    *,
    worst: int,
    limit: float,
) -> Album:
    """The album; ``limit`` in bytes. Without a painter it holds the choice of images and no panel."""
    chosen = {table.name: worst_cells(table, worst) for table in tables}
    album = Album({name: {c: [] for c in classes} for name, classes in chosen.items()}, {}, left=limit)
    together = [table.name for table in tables]
    for key, models, image, class_id in wanted_lists(tables, comparisons, failures):
        panel = draw(album, painter, models or together, image, class_id)
        if panel:
            album.listed[key] = panel
    for rank in range(worst):
        for table in tables:
            for class_id, cells in chosen[table.name].items():
                if rank < len(cells):
                    i = cells[rank]
                    panel = draw(album, painter, [table.name], table.images[i], class_id)
                    row = table.images[i], float(table.iou[i, class_id]), int(table.sizes[i, class_id]), panel
                    album.worst[table.name][class_id].append(row)
    return album


def draw(album: Album, painter: Painter | None, models: list[str], image: str, class_id: int) -> Panel | None:
    if painter is None:
        return None
    album.wanted += 1
    if album.full:
        return None
    panel = painter.panel(models, image, class_id)
    if panel is None:
        return None
    if panel.bytes > album.left:
        album.full = True
        return None
    album.left -= panel.bytes
    album.shown += 1
    return panel


def worst_cells(table: Table, count: int) -> dict[int, list[int]]:
    """Class -> rows of its lowest IoU below 1, larger objects first among equals."""
    found = {}
    for c in range(len(table.classes)):
        iou = table.iou[:, c]
        order = np.lexsort((-table.sizes[:, c], iou))[: min(count, int((iou < 1).sum()))]
        if len(order):
            found[c] = order.tolist()
    return found


def wanted_lists(
    tables: list[Table], comparisons: list[dict[str, Any]], failures: Failures | None
) -> Iterator[tuple[tuple[str, str, Any], list[str] | None, str, int]]:
    """(key, models or None for all, image, class) of the lists' panels, in order of interest."""
    if failures is None:
        return
    for name in ('labels', 'unlabelled', 'hard'):
        for cell in getattr(failures, name)[: PICTURED[name]]:
            yield (name, cell.image, cell.class_id), None, cell.image, cell.class_id
    for comparison in comparisons:
        for image, *_ in comparison['images'][: PICTURED['differences']]:
            models = [tables[0].name, comparison['name']]
            class_id = widest(tables, comparison['name'], image)
            yield ('differences', comparison['name'], image), models, image, class_id
    for model, cells in failures.alone.items():
        for cell in cells[: PICTURED['alone']]:
            yield (f'alone {model}', cell.image, cell.class_id), None, cell.image, cell.class_id


def widest(tables: list[Table], name: str, image: str) -> int:
    """The class in which two models differ most in an image."""
    first, other = tables[0], next(table for table in tables if table.name == name)
    apart = np.abs(other.iou[other.place[image]] - first.iou[first.place[image]])
    return int(np.nan_to_num(apart, nan=-1).argmax())
