"""The page: one HTML file with everything in it, which fetches nothing and shows all of it without scripts."""

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from segparity.audit.bootstrap import DRAWS, LEVEL, SEED
from segparity.audit.comparison import verdict
from segparity.audit.drawing import KINDS
from segparity.audit.failures import Cell
from segparity.audit.figures import ROWS, binned_medians, size_and_iou
from segparity.audit.report import PANELS, Report
from segparity.audit.tables import Table
from segparity.pages.shell import page_html
from segparity.pages.values import css_colour, with_raised

OPEN = 2  # classes whose worst images are unfolded at first, one of each model where there are several


def page_text(report: Report, remarks: list[str], command: str) -> str:
    """The HTML of a report."""
    from markupsafe import Markup

    values = dict(
        report=report,
        remarks=remarks,
        command=command,
        names=[table.name for table in report.tables],
        several=len(report.tables) > 1,
        classes=report.tables[0].classes,
        summary_names=list(report.summaries[report.tables[0].name]),
        best=best_models(report),
        lead=lead(report),
        gaps=[largest_gap(table, report) for table in report.tables],
        size_words=[sentence for table in report.tables if (sentence := size_sentence(table))],
        verdict=verdict,
        class_rows=class_rows(report),
        show=shortened(report.tables),
        kinds=[(words, css_colour(colour)) for words, colour in KINDS.values()],
        worst_order=worst_order(report),
        bootstrap=(DRAWS, LEVEL, SEED),
        limits={'rows': ROWS, 'panels': PANELS, 'open': 1 if len(report.tables) > 1 else OPEN},
        fail_below=report.fail_below,
        agree=report.agree,
        top=report.top,
        quantiles=lambda table: np.nanpercentile(table.image_iou, [10, 50]),
        scored=lambda cell: scored(cell, report),
    )
    filters: dict[str, Callable[..., Any]] = dict(
        percent=percent, points=points, count=count, raised=raised, raw_svg=Markup
    )
    return page_html('segparity.audit', 'report_page', values, filters)


def percent(value: float | None, digits: int = 1) -> str:
    """0.7123 -> '71.2'; what is undefined is a dash."""
    return '–' if value is None or math.isnan(value) else f'{100 * value:.{digits}f}'


def points(value: float) -> str:
    """0.012 -> '+1.2'; a true minus sign."""
    return '–' if math.isnan(value) else f'{100 * value:+.1f}'.replace('-', '−')


def count(value: float) -> str:
    """12345 -> '12,345'."""
    return '–' if isinstance(value, float) and math.isnan(value) else f'{round(value):,}'


def raised(name: str) -> str:
    """'mIoUC5' as mIoU with C5 raised."""
    for word in ('mIoU', 'mDice'):
        if name.startswith(word) and name != word:
            return with_raised(word, name[len(word) :])
    return name


def shortened(tables: list[Table]) -> Callable[[str], str]:
    """A function that leaves out the folder which all images share."""
    images = [image for table in tables for image in table.images]
    prefix = os.path.commonprefix(images)
    cut = prefix.rfind('/') + 1
    return lambda image: image[cut:]


def scored(cell: Cell, report: Report) -> str:
    """'a 0.0 %, b 3.1 %; ' for a labelled cell, '' for one without labels."""
    names = [table.name + ' ' if len(report.tables) > 1 else 'IoU ' for table in report.tables]
    found = [f'{name}{percent(score)} %' for name, score in zip(names, cell.scores) if not math.isnan(score)]
    return ', '.join(found) + '; ' if found else ''


def best_models(report: Report) -> dict[str, list[str]]:
    """Name of a result -> the models that have its highest value; nothing for a single model."""
    if len(report.tables) < 2:
        return {}
    found = {}
    for name in report.summaries[report.tables[0].name]:
        values = {model: summary[name] for model, summary in report.summaries.items() if not math.isnan(summary[name])}
        found[name] = [model for model, value in values.items() if value == max(values.values())]
    return found


def lead(report: Report) -> list[tuple[float, str]]:
    """(D, C, worst C), each (value, models that reach it), for the first sentence."""
    found = []
    for name in ('mIoUD', 'mIoUC', f'mIoUC{report.q}'):
        values = {model: summary[name] for model, summary in report.summaries.items()}
        top = max((value for value in values.values() if not math.isnan(value)), default=math.nan)
        found.append((top, ' and '.join(model for model, value in values.items() if value == top)))
    return found


def largest_gap(table: Table, report: Report) -> tuple[str, str, float, float, float] | None:
    """(model, class, D, C, worst) of the class whose D hides most, or None."""
    scores = report.per_class[table.name]
    gaps = np.nan_to_num(scores['D'] - scores['C'], nan=-9)
    c = int(gaps.argmax())
    if gaps[c] <= 0:
        return None
    return table.name, table.classes[c], scores['D'][c], scores['C'][c], scores['Cq'][c]


def size_sentence(table: Table) -> tuple[str, float, float, float, float] | None:
    """(model, median IoU of the smallest bin, of the largest, their median sizes), or None."""
    x, y = binned_medians(*size_and_iou(table, np.arange(len(table.classes))), bins=5)
    return (table.name, y[0], y[-1], x[0], x[-1]) if len(x) > 1 else None


def class_rows(report: Report) -> list[tuple[int, str, int, float, dict[str, dict[str, Any]]]]:
    """(class id, class, images, share, model -> scores) of every class that any table has."""
    rows = []
    for c, name in enumerate(report.tables[0].classes):
        scores = {model: {key: values[c] for key, values in found.items()} for model, found in report.per_class.items()}
        images = max(int(found['images']) for found in scores.values())
        rows.append((c, name, images, scores[report.tables[0].name]['share'], scores))
    return rows


def worst_order(report: Report) -> dict[str, list[int]]:
    """Model -> its classes, lowest C first."""
    found = {}
    for table in report.tables:
        scores = report.per_class[table.name]['C']
        chosen = report.album.worst[table.name]
        found[table.name] = sorted((c for c in chosen if chosen[c]), key=scores.__getitem__)
    return found
