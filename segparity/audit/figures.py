"""The page's figures. IoU is drawn in per cent."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from segparity.audit.figure import Drawn, finished
from segparity.audit.tables import Table
from segparity.pages.axes import HIGH, INK, axes_of, dress, legend

LEVELS = {
    'D': ('D: all pixels together', 'o', '#3f8fd2'),
    'I': ('I: mean over images', 'o', 'none'),
    'C': ('C: mean over its images', 'D', '#e0860b'),
    'Cq': ('worst {q} % of its images', 'v', '#c4452f'),
}
ROWS = 30  # classes that a figure shows
RASTERED = 800  # more points than this are drawn as pixels
SMALLEST_BIN = 5


def histogram(tables: list[Table], png: bool = False) -> Drawn:
    """How many images have which IoU."""
    figure, axes = axes_of('IoU of the images', 'IoU of an image, %', 'images, %')
    edges = np.linspace(0, 100, 21)
    for k, table in enumerate(tables):
        values = 100 * table.image_iou[~np.isnan(table.image_iou)]
        heights = 100 * np.histogram(values, edges)[0] / max(1, len(values))
        colour, dash, _ = dress(k)
        axes.stairs(heights, edges, color=colour, linestyle=dash, linewidth=1.8, label=table.name)
        axes.stairs(heights, edges, color=colour, fill=True, alpha=0.12)
    axes.set_xlim(0, 100)
    axes.set_ylim(0)
    if len(tables) > 1:
        legend(axes, loc='upper left')
    said = 'Histogram of the IoU of the images, ' + '; '.join(spread(table) for table in tables)
    return finished('distribution', figure, axes, said, png)


def spread(table: Table) -> str:
    """'model: median 71 %, a tenth of the images below 40 %'."""
    low, middle = np.nanpercentile(100 * table.image_iou, [10, 50])
    return f'{table.name}: median {middle:.1f} %, a tenth of the images below {low:.1f} %'


def cumulative(tables: list[Table], png: bool = False) -> Drawn:
    """The share of images at or below an IoU."""
    figure, axes = axes_of('Share of images up to an IoU', 'IoU of an image, %', 'images at or below, %')
    for k, table in enumerate(tables):
        values = np.sort(100 * table.image_iou[~np.isnan(table.image_iou)])
        shares = 100 * np.arange(1, len(values) + 1) / max(1, len(values))
        kept: np.ndarray | list[int] = (
            np.unique(np.linspace(0, len(values) - 1, 400).astype(int)) if len(values) else []
        )
        colour, dash, _ = dress(k)
        x, y = np.concatenate([[0], values[kept], [100]]), np.concatenate([[0], shares[kept], [100]])
        axes.step(x, y, where='post', color=colour, linestyle=dash, linewidth=1.8, label=table.name)
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    if len(tables) > 1:
        legend(axes, loc='upper left')
    said = 'Cumulative distribution of the IoU of the images, ' + '; '.join(spread(table) for table in tables)
    return finished('cumulative', figure, axes, said, png)


def short(name: str, length: int = 22) -> str:
    """At most ``length`` characters, the last an ellipsis where the name is longer."""
    return name if len(name) <= length else name[: length - 1] + '…'


def class_dots(table: Table, number: int, scores: Mapping[str, np.ndarray], q: int, png: bool = False) -> Drawn:
    """D, I, C and worst case of each class on one line; the longest lines are the classes whose D hides most."""
    gaps = scores['D'] - scores['C']
    order = [c for c in np.argsort(-np.nan_to_num(gaps, nan=-9), kind='stable') if not np.isnan(scores['C'][c])][:ROWS]
    high = 1.35 + 0.235 * len(order)
    figure, axes = axes_of(table.name, 'IoU, %', '', high=high)
    rows = np.arange(len(order))
    values = {level: 100 * scores[level][order] for level in LEVELS}
    stacked = np.stack(list(values.values())) if order else np.zeros((4, 0))
    axes.hlines(rows, np.nanmin(stacked, 0), np.nanmax(stacked, 0), color=INK, alpha=0.28, linewidth=1.2)
    for level, (label, marker, colour) in LEVELS.items():
        face = colour if colour != 'none' else 'none'
        edge = colour if colour != 'none' else INK
        label = label.format(q=q)
        axes.plot(
            values[level],
            rows,
            marker,
            markersize=9 if level == 'I' else 5.5,
            mfc=face,
            mec=edge,
            linestyle='',
            label=label,
            zorder=3,
        )
    axes.set_yticks(rows, [short(table.classes[c]) for c in order])
    axes.set_xlim(-2, 102)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.grid(visible=False, axis='y')
    figure.legend(
        *axes.get_legend_handles_labels(), loc='outside lower left', ncols=2, frameon=False, labelcolor=INK, fontsize=9
    )
    said = f'{table.name}: IoU of each class over the data set, over images and in the worst images'
    return finished(f'classes-{number + 1}', figure, axes, said, png)


def size_points(
    tables: list[Table],
    classes: Sequence[int] | np.ndarray,
    name: str,
    title: str,
    png: bool = False,
    high: float = HIGH,
) -> Drawn:
    """Size against IoU of the cells of these classes, and the medians of equally many cells."""
    figure, axes = axes_of(title, 'labelled pixels of the class in the image', 'IoU, %', high=high)
    total = sum(int((table.present[:, classes] & (table.sizes[:, classes] > 0)).sum()) for table in tables)
    for k, table in enumerate(tables):
        sizes, iou = size_and_iou(table, classes)
        colour, dash, marker = dress(k)
        faint = float(np.clip(12 / np.sqrt(max(total, 1)), 0.05, 0.7))
        axes.plot(
            sizes, 100 * iou, '.', color=colour, alpha=faint, markersize=5 if total < 2000 else 3, mec='none',
            rasterized=total > RASTERED,
        )  # fmt: skip
        x, y = binned_medians(sizes, iou)
        if len(x) > 1:
            axes.plot(
                x, 100 * y, color=colour, linestyle=dash, marker=marker, ms=5, lw=2, mec=INK, mew=0.6, label=table.name
            )
    axes.set_xscale('log')
    axes.xaxis.set_major_formatter(FuncFormatter(pixels))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(-3, 103)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if len(tables) > 1 and axes.get_legend_handles_labels()[0]:
        legend(axes, loc='best')
    return finished(
        name, figure, axes, f'{title}: IoU against labelled pixels; points are images, lines are medians', png
    )


def pixels(value: float, _: object) -> str:
    """1000000 -> '1M'."""
    for unit, letter in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
        if value >= unit:
            return f'{value / unit:g}{letter}'
    return f'{value:g}'


def size_and_iou(table: Table, classes: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labelled pixels and IoU of the cells that count and have any."""
    cells = table.present[:, classes] & (table.sizes[:, classes] > 0)
    return table.sizes[:, classes][cells], table.iou[:, classes][cells]


def binned_medians(sizes: np.ndarray, values: np.ndarray, bins: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Medians of size and of value in bins of equally many cells; equal sizes stay in one bin."""
    bins = min(bins, len(sizes) // SMALLEST_BIN)
    if bins < 1:
        return np.array([]), np.array([])
    edges = np.quantile(sizes, np.linspace(0, 1, bins + 1)[1:-1])
    place = np.searchsorted(edges, sizes, side='right')
    used = np.unique(place)
    x = np.array([np.median(sizes[place == b]) for b in used])
    return x, np.array([np.median(values[place == b]) for b in used])


def class_differences(
    comparison: Mapping[str, Any], first: str, classes: Sequence[str], number: int, png: bool = False
) -> Drawn:
    """What a model gains on the first one in each class, with the intervals."""
    found = 100 * comparison['classes']['C']
    order = [c for c in np.argsort(-np.abs(np.nan_to_num(found[:, 0])), kind='stable') if not np.isnan(found[c, 0])]
    order = sorted(order[:ROWS], key=lambda c: -found[c, 0])
    title = f'{comparison["name"]} minus {first}'
    figure, axes = axes_of(title, "difference of the class's IoU (C), points", '', high=1.0 + 0.235 * len(order))
    rows, (value, low, high) = np.arange(len(order)), found[order].T
    colour = dress(number)[0]
    axes.axvline(0, color=INK, linewidth=1)
    axes.hlines(rows, low, high, color=colour, linewidth=2, alpha=0.6)
    clear = (low > 0) | (high < 0)
    axes.plot(value[clear], rows[clear], 'o', color=colour, markersize=6)
    axes.plot(value[~clear], rows[~clear], 'o', mfc='none', mec=colour, markersize=6)
    axes.set_yticks(rows, [short(classes[c]) for c in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.grid(visible=False, axis='y')
    said = f'{title}: difference of each class with its 95 % interval; filled where the interval leaves out 0'
    return finished(f'differences-{number + 1}', figure, axes, said, png)
