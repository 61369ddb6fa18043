"""The results in the terminal."""

import math

import numpy as np
from rich.markup import escape
from rich.table import Table

PLAIN = dict(title_justify='left', box=None, padding=(0, 2, 0, 0))
SHOWN = 10  # how many skipped images are named
# of every class: what the data-set level says of each score, and what shows the objects that it hides
PER_CLASS = ('AccD', 'IoUD', 'IoUC', 'IoUCQ', 'DiceD', 'PrecisionD', 'FscoreD', 'BoundaryIoUD', 'SCED', 'HD95C')


def print_results(totals, skipped, console):
    results, settings = totals.results(), totals.settings
    console.print(scores(results, totals.specs))
    if 'distances' in totals.specs:
        console.print()
        unit = 'pixels' if settings.spacing is None else 'the unit of --spacing'
        console.print(f'[italic]Surface distances, in {unit}[/]')
        console.print(distances(results, totals.specs['distances']))
    console.print()
    console.print(classes(totals))
    console.print()
    for line in sentences(results, totals):
        say(console, line)
    print_skipped(skipped, console)


def print_skipped(skipped, console):
    if skipped:
        say(console, f'Skipped, and in no result: {len(skipped)}')
        for image, reason in skipped[:SHOWN]:
            say(console, f'  {image}: {reason}')
        if len(skipped) > SHOWN:
            say(console, f'  and {len(skipped) - SHOWN} more (--json has all of them)')


def say(console, text):
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def scores(results, specs):
    """Score x level, in per cent."""
    rows = [m for part in ('overlap', 'boundary', 'calibration') if part in specs for m in specs[part].metrics]
    suffixes = list(dict.fromkeys(split(name, rows)[1] for name in results if split(name, rows)))
    table = Table(title='Results, in per cent', **PLAIN)
    table.add_column('')
    for suffix in suffixes:
        table.add_column(suffix, justify='right')
    for row in rows:
        table.add_row(row, *(per_cent(results[row + s]) if row + s in results else '' for s in suffixes))
    return table


def split(name, rows):
    """(score, level) of the name of a result, or None where it has no level."""
    found = [row for row in rows if name.startswith(row) and len(name) > len(row)]
    return (max(found, key=len), name[len(max(found, key=len)) :]) if found else None


def distances(results, spec):
    """Distance x level."""
    table = Table(**PLAIN)
    table.add_column('')
    for level in spec.levels:
        table.add_column(level, justify='right')
    for metric in spec.metrics:
        table.add_row(metric, *(plain(results[metric + level]) for level in spec.levels))
    return table


def classes(totals):
    """One row for each class."""
    found = totals.per_class()
    columns = [name for name in PER_CLASS if name in found]
    table = Table(title='Classes', **PLAIN)
    table.add_column('')
    for column in ('images', *columns):
        table.add_column(column, justify='right')
    show = {name: plain if name.startswith('HD') else per_cent for name in columns}
    for c, (name, images) in enumerate(zip(totals.settings.classes, totals.labelled())):
        table.add_row(escape(name), str(images), *(show[column](found[column][c]) for column in columns))
    return table


def sentences(results, totals):
    """What the tables do not say."""
    yield f'Pixel accuracy (aAcc) {per_cent(results["aAcc"])} %, frequency-weighted IoU {per_cent(results["FWIoU"])} %'
    empty = totals.without_pixel()
    also = f', of which {empty} without a valid pixel count nowhere' if empty else ''
    yield f'{len(totals)} {"image" if len(totals) == 1 else "images"}{also}'


def per_cent(value):
    return '–' if math.isnan(value) else f'{100 * value:.2f}'


def plain(value):
    return '–' if math.isnan(value) else 'inf' if np.isinf(value) else f'{value:.2f}'
