"""The numbers of the page as plain data, for ``--json``. Fractions; what is undefined is null."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING

from segparity.audit.bootstrap import DRAWS, LEVEL, SEED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    import numpy as np

    from segparity.audit.failures import Cell, Failures
    from segparity.audit.report import Report
    from segparity.audit.tables import Table


def numbers(report: Report) -> dict[str, Any]:
    """A JSON-able dict of a report."""
    first = report.tables[0]
    found = {
        'title': report.title,
        'q': report.q,
        'classes': list(first.classes),
        'models': {
            table.name: {
                'table': str(table.path),
                'images': len(table.images),
                'images_without_valid_pixel': list(table.empty),
                'summary': report.summaries[table.name],
                'per_class': per_class(first.classes, report.per_class[table.name]),
                'image_iou': dict(zip(table.images, table.image_iou.tolist())),
                'worst': worst(report.album.worst[table.name], first.classes),
            }
            for table in report.tables
        },
        'left_out_of_comparisons': report.odd,
        'labels_differ': report.other_labels,
        'comparisons': [comparison(entry, first) for entry in report.comparisons],
    }
    if report.comparisons:
        found['bootstrap'] = {'draws': DRAWS, 'seed': SEED, 'interval_per_cent': LEVEL, 'resampled': 'images, paired'}
    if report.failures is not None:
        found['failures'] = failures(report.failures, first.classes)
    return to_builtin(found)


def per_class(classes: Sequence[str], scores: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: {key: values[c].item() for key, values in scores.items()} for c, name in enumerate(classes)}


def worst(chosen: Mapping[int, list[tuple[Any, ...]]], classes: Sequence[str]) -> dict[str, Any]:
    return {
        classes[c]: [{'image': image, 'IoU': iou, 'labelled': size} for image, iou, size, _ in rows]
        for c, rows in chosen.items()
    }


def comparison(entry: Mapping[str, Any], first: Table) -> dict[str, Any]:
    triple = ('difference', 'low', 'high')
    return {
        'model': entry['name'],
        'minus': first.name,
        'scores': {name: dict(zip(triple, values)) for name, values in entry['scores'].items()},
        'per_class': {
            level: {name: dict(zip(triple, row)) for name, row in zip(first.classes, values.tolist())}
            for level, values in entry['classes'].items()
        },
        'images': [{'image': image, first.name: a, entry['name']: b} for image, a, b in entry['images']],
    }


def failures(found: Failures, classes: Sequence[str]) -> dict[str, Any]:
    def listed(cells: Iterable[Cell]) -> list[dict[str, Any]]:
        return [{'class': classes[cell.class_id], **dataclasses.asdict(cell)} for cell in cells]

    return {
        'labels': listed(found.labels),
        'unlabelled': listed(found.unlabelled),
        'hard': listed(found.hard),
        'images': [{'image': image, 'scores': list(scores)} for image, scores in found.images],
        'alone': {model: listed(cells) for model, cells in found.alone.items()},
    }


def to_builtin(value: Any) -> Any:
    """NaN and infinity to None, tuples to lists, all the way down."""
    if isinstance(value, dict):
        return {str(key): to_builtin(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_builtin(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def as_json(report: Report) -> str:
    """``numbers`` as indented text with a line break at the end; letters beyond ASCII stay what they are."""
    return json.dumps(numbers(report), indent=1, ensure_ascii=False, allow_nan=False) + '\n'
