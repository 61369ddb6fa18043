"""What could not be done, and what the reader should mind: sentences for the terminal and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segparity.audit.report import Report

CROWD = 3  # names given of missing or strange things
KINDS = {
    'image_file': ('input', '--images'),
    'target_file': ('label map', '--targets'),
    'pred_file': ('prediction', '--preds'),
}


def remarks(report: Report) -> list[str]:
    """Sentences about what could not be done, for the terminal and the page."""
    said = []
    empty = {image for table in report.tables for image in table.empty}
    if empty:
        said.append(
            f'{counted(len(empty), "image")} without a valid pixel: they count nowhere ({some(sorted(empty))}).'
        )
    if report.common is None:
        said.append('The tables have no image in common: nothing is compared.')
    for name, images in report.odd.items() if report.common else ():
        said.append(
            f'{counted(len(images), "image")} of {name} not in every table, left out of comparisons ({some(images)}).'
        )
    if report.other_labels:
        said.append(
            f'The models were judged on different labels or different ignored pixels in '
            f'{counted(len(report.other_labels), "image")} ({some(report.other_labels)}): mind the comparison.'
        )
    said += picture_remarks(report)
    return said


def picture_remarks(report: Report) -> list[str]:
    """What is to be said about the pictures."""
    if report.painter is None:
        wanted = 'target_file and pred_file (and image_file) in the tables, or --images, --targets and --preds'
        return [f'No pictures: they need {wanted}.']
    said, painter = [], report.painter
    for column in painter.unnamed:
        said.append(
            f'No pictures of {KINDS[column][0]}s: {column} in the tables or {KINDS[column][1]} says where they are.'
        )
    if painter.missing:
        lacking = [(KINDS[column][0], image) for column, image in painter.missing]
        named = some([f'{kind} of {image}' for kind, image in lacking])
        said.append(f'{counted(len(lacking), "picture")} not found ({named}).')
    outside = sorted(set(painter.files.outside.values()))
    if outside:
        folders = 'the folders of the tables, of the options and the current one'
        said.append(
            f'{counted(len(outside), "file")} that the tables name not opened ({some(outside)}), being outside {folders}: '
            '--root DIR lets them lie below DIR.'
        )
    said += [f'{sentence}.' for sentence in list(painter.unreadable)[:CROWD]]
    if len(painter.unreadable) > CROWD:
        said.append(f'{len(painter.unreadable) - CROWD} more pictures cannot be read.')
    if painter.strange:
        strange = list(dict.fromkeys(image for _, image in painter.strange))
        said.append(
            f'The pictures of {counted(len(strange), "image")} do not have the counts of the table '
            f'({some(strange)}): other files, or another --ignore-index, '
            f'--reduce-zero-label, --reduce-zero-label-pred or --palette?'
        )
    if report.album.full:
        said.append(
            f'{report.album.shown} of {report.album.wanted} panels are shown, the most important first: '
            f'--limit stops the pictures.'
        )
    return said


def counted(number: int, noun: str) -> str:
    return f'{number} {noun}' + ('' if number == 1 else 's')


def some(names: Sequence[str]) -> str:
    """'a, b, c and 7 more'."""
    shown = ', '.join(map(str, names[:CROWD]))
    return shown + (f' and {len(names) - CROWD} more' if len(names) > CROWD else '')
