"""The results in the terminal."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from segparity.evaluate.nifti import is_nifti
from segparity.evaluate.totals import Totals
from segparity.evaluate.wording import masks_of_255
from segparity.terminal import say
from shared_spec.control_characters import escape_controls
from shared_spec.metrics.boundary.missed_cells import missed_sentence
from shared_spec.metrics.fine_grained.state import FN, TP
from shared_spec.metrics.levels import level_of

BORDERLESS: dict[str, Any] = dict(title_justify='left', box=None, padding=(0, 2, 0, 0))
SHOWN = 10  # how many skipped images are named
NAME = 24  # how much of a class's name is shown, at most
# of every class, the most telling first: what the data-set level says, and what shows the objects that it hides
PER_CLASS = (
    'IoUD',
    'IoUC',
    'IoUCQ',
    'AccD',
    'BoundaryIoUD',
    'HD95C',
    'missed',
    'SCED',
    'PrecisionD',
    'DiceD',
    'FscoreD',
)


def print_results(totals: Totals, skipped: Sequence[tuple[str, str]], console: Console) -> None:
    """The tables, what is to be said of them, and the remarks; skipped: (image, reason)."""
    results, settings = totals.results(), totals.settings
    console.print(scores(results, totals.specs, console.width))
    if 'distances' in totals.specs:
        console.print()
        of_headers = any(is_nifti(target) for _, target in totals.files.values())
        unit = 'the unit of --spacing' if settings.spacing else "the headers' units" if of_headers else 'pixels'
        console.print(f'[italic]Surface distances, in {unit}[/]')
        spec = totals.specs['distances']
        missed = missed_sentence(totals.state('distances'), spec, settings.classes)
        console.print(distances(results, spec, bool(missed)))
        if missed:
            say(console, missed)
    console.print()
    console.print(class_rows(totals, console.width))
    console.print()
    for line in sentences(results, totals):
        say(console, line)
    print_remarks(totals, skipped, console)


def print_remarks(totals: Totals, skipped: Sequence[tuple[str, str]], console: Console) -> None:
    """What is not to be missed, whatever else is printed."""
    for line in warnings(totals):
        say(console, line)
    if skipped:
        say(console, f'Skipped, and in no result: {len(skipped)}')
        for image, reason in skipped[:SHOWN]:
            say(console, f'  {image}: {reason}')
        if len(skipped) > SHOWN:
            say(console, f'  and {len(skipped) - SHOWN} more (--json has all of them)')


def scores(results: Mapping[str, float], specs: Mapping[str, Any], width: int) -> Table:
    """Score x level, in per cent; level x score where that is too wide."""
    rows = [m for part in ('overlap', 'boundary', 'calibration') if part in specs for m in specs[part].metrics]
    suffixes = list(dict.fromkeys(found[1] for name in results if (found := level_of(name, rows))))
    turned = 14 + 7 * len(suffixes) > width
    table = Table(title='Results, in per cent', **BORDERLESS)
    table.add_column('')
    for column in rows if turned else suffixes:
        table.add_column(column, justify='right')
    for row in suffixes if turned else rows:
        names = [column + row for column in rows] if turned else [row + column for column in suffixes]
        table.add_row(row, *(per_cent(results[name]) if name in results else '' for name in names))
    return table


def distances(results: Mapping[str, float], spec: Any, missed: bool) -> Table:
    """Distance x level; where objects were missed also the means of the rest."""
    table, levels = Table(**BORDERLESS), list(spec.levels)
    table.add_column('')
    if missed:
        levels += [f'{level}_rest' for level in levels]
    for level in levels:
        table.add_column(level.replace('_', ' '), justify='right')
    for metric in spec.metrics:
        table.add_row(metric, *(format_number(results[metric + level]) for level in levels))
    return table


def class_rows(totals: Totals, width: int) -> Table:
    """One row for each class, with the columns that fit."""
    found, columns = totals.per_class(), []
    left = width - min(NAME, max(map(len, totals.settings.classes))) - len('  images  ')
    for name in PER_CLASS:
        room = max(len(name), len('100.00')) + 2
        if name in found and room <= left:
            columns.append(name)
            left -= room
    table = Table(title='Classes', **BORDERLESS)
    table.add_column('', no_wrap=True, max_width=NAME)
    for column in ('images', *columns):
        table.add_column(column, justify='right')
    show = {name: format_number if name.startswith('HD') else per_cent for name in columns}
    for c, (name, images) in enumerate(zip(totals.settings.classes, totals.labelled())):
        table.add_row(Text(escape_controls(name)), str(images), *(show[column](found[column][c]) for column in columns))
    return table


def sentences(results: Mapping[str, float], totals: Totals) -> Iterator[str]:
    """What the tables do not say."""
    yield f'Pixel accuracy (aAcc) {per_cent(results["aAcc"])} %, frequency-weighted IoU {per_cent(results["FWIoU"])} %'
    empty = totals.without_pixel()
    also = f', of which {empty} without a valid pixel count nowhere' if empty else ''
    yield f'{len(totals)} {"image" if len(totals) == 1 else "images"}{also}'
    none = totals.predicted_as_none()
    if none:
        labelled = totals.states['overlap'].counts[..., [TP, FN]].sum()
        yield f'{per_cent(none / labelled)} % of the pixels are predicted as no class, and wrong (--unknown-pred wrong)'


def warnings(totals: Totals) -> Iterator[str]:
    """Masks of 0 and 255 whose foreground is ignored."""
    settings = totals.settings
    if settings.may_hide_foreground and not settings.gt_palette and not totals.labelled()[1]:
        yield (
            f'No ground truth has the class {settings.classes[1]!r}. In masks of 0 and 255 it is 255, which is ignored '
            f'here: {masks_of_255("gt")}'
        )


def per_cent(value: float) -> str:
    return '–' if math.isnan(value) else f'{100 * value:.2f}'


def format_number(value: float) -> str:
    return '–' if math.isnan(value) else 'inf' if np.isinf(value) else f'{value:.2f}'
