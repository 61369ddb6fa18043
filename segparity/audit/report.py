"""Everything that the page and the JSON say, computed once."""

import argparse
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from segparity.audit import album, colours, figures
from segparity.audit.album import Album
from segparity.audit.comparison import compare
from segparity.audit.failures import Failures, find_failures
from segparity.audit.panels import Painter
from segparity.audit.picture_files import PictureFiles
from segparity.audit.scores import class_scores, summary
from segparity.audit.several import in_common, other_labels
from segparity.audit.tables import Table
from segparity.evaluate.palette import read_palette

PANELS = 24  # classes that have a figure of their own of size against IoU


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """``summaries`` and ``per_class`` are of each table's own images; everything that compares is of ``common``."""

    title: str
    q: int
    tables: list[Table]
    common: list[Table] | None  # the tables of the images that all have; None where there are none
    odd: dict[str, list[str]]  # model -> images that not all models have
    other_labels: list[str]
    summaries: dict[str, dict[str, float]]
    per_class: dict[str, dict[str, np.ndarray]]
    comparisons: list[dict[str, Any]]
    failures: Failures | None
    agree: int
    fail_below: float
    top: int
    album: Album
    painter: Painter | None
    figures: dict[str, Any]  # section -> its figures, ``Drawn``


def make_report(
    tables: list[Table], args: argparse.Namespace, say: Callable[[str], None] = lambda sentence: None
) -> Report:
    """The report of loaded tables; ``say`` is told what is being done."""
    q = args.q
    summaries = {table.name: summary(table, q) for table in tables}
    per_class = {table.name: class_scores(table, q) for table in tables}
    common, odd = in_common(tables) if len(tables) > 1 else (tables, {})
    comparisons, failures = [], None
    if len(tables) > 1 and common:
        say('comparing models')
        comparisons = compare(common, q, args.top)
    if common:
        failures = find_failures(common, agree=args.agree, fail_below=args.fail_below, top=args.top)
    say('drawing pictures')
    painter = make_painter(tables, args)
    book = album.collect(tables, comparisons, failures, painter, worst=args.worst, limit=1e6 * args.limit)
    say('drawing figures')
    drawn = draw_figures(tables, per_class, comparisons, q, png=args.png is not None)
    return Report(
        title=args.title,
        q=q,
        tables=tables,
        common=common,
        odd=odd,
        other_labels=other_labels(common) if common else [],
        summaries=summaries,
        per_class=per_class,
        comparisons=comparisons,
        failures=failures,
        agree=args.agree or len(tables),
        fail_below=args.fail_below,
        top=args.top,
        album=book,
        painter=painter,
        figures=drawn,
    )


def make_painter(tables: list[Table], args: argparse.Namespace) -> Painter | None:
    """The painter of panels, or None where nothing says where pictures are."""
    shown, palette = colours.built_in(len(tables[0].classes)), None
    if args.palette:
        shown, palette = colours.of_palette(args.palette, read_palette(args.palette), tables[0].classes)
    named = any(any(files) for table in tables for files in table.files.values())
    if not named and not args.targets and not args.preds and not args.images:
        return None
    suffixes = args.image_suffix, args.target_suffix, args.pred_suffix
    return Painter(
        tables,
        PictureFiles(tables, args.images, args.targets, args.preds, suffixes, args.root or ()),
        shown,
        ignore_index=args.ignore_index,
        reduce_zero=(args.reduce_zero_label, args.reduce_zero_label_pred),
        palette=palette,
        coded=args.coded,
        size=args.size,
    )


def draw_figures(
    tables: list[Table],
    per_class: Mapping[str, Mapping[str, np.ndarray]],
    comparisons: list[dict[str, Any]],
    q: int,
    png: bool,
) -> dict[str, Any]:
    """Section -> its figures."""
    classes = tables[0].classes
    occurring = np.max([table.present.sum(0) for table in tables], 0)
    chosen = size_classes(tables, occurring)
    return {
        'spread': [figures.histogram(tables, png), figures.cumulative(tables, png)],
        'classes': [figures.class_dots(table, k, per_class[table.name], q, png) for k, table in enumerate(tables)],
        'size': figures.size_points(tables, np.flatnonzero(occurring), 'size-all', 'All classes', png),
        'sizes': [
            figures.size_points(tables, [c], f'size-{c:03d}', figures.short(classes[c], 40), png, high=2.5)
            for c in chosen
        ],
        'differences': [
            figures.class_differences(entry, tables[0].name, classes, k, png) for k, entry in enumerate(comparisons, 1)
        ],
    }


def size_classes(tables: list[Table], occurring: np.ndarray) -> list[int]:
    """The classes with a figure of size against IoU: all, or those where size matters most (rank correlation)."""
    enough: np.ndarray = np.flatnonzero(occurring >= 2 * figures.SMALLEST_BIN)
    if len(enough) <= PANELS:
        return enough.tolist()
    strength = [np.nanmean([size_effect(table, c) for table in tables]) for c in enough]
    order = np.argsort(-np.nan_to_num(strength), kind='stable')[:PANELS]
    return sorted(enough[order].tolist())


def size_effect(table: Table, column: int) -> float:
    """Spearman's correlation of size and IoU over the images of a class, 0 where it is undefined."""
    sizes, iou = figures.size_and_iou(table, [column])
    if len(sizes) < 3:
        return 0.0
    ranks = [np.unique(values, return_inverse=True)[1].astype(float) for values in (sizes, iou)]
    if min(rank.std() for rank in ranks) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])  # type: ignore[call-overload]  # two of them
