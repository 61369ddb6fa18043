"""What ``segparity audit`` does: read, compute, write."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from segparity.audit.numbers import as_json
from segparity.audit.panel_files import panel_png
from segparity.audit.remarks import remarks
from segparity.audit.report import Report, make_report
from segparity.audit.report_page import page_text
from segparity.audit.several import load_tables
from segparity.outputs import check_writable, refuse_clashes
from segparity.pages.shell import encoded
from segparity.terminal import say
from shared_spec.files import replacing


def audit(args: argparse.Namespace, console: Console) -> int:
    """Write the page, and what else was asked for; returns 0."""
    check_options(args)
    check_outputs(args)
    names = [name.strip() for name in args.names.split(',')] if args.names is not None else None
    with console.status('reading tables') as status:
        tables = load_tables(args.table, names)
        named = {name for table in tables for names in table.files.values() for name in names}
        folders = {Path(), *(table.path.parent for table in tables)}
        refuse_clashes(outputs(args), (folder / name for folder in folders for name in named if name))
        report = make_report(tables, args, status.update)
        status.update('writing')
        if args.png:
            for name, png in pictures(report):
                with replacing(args.png / name) as part:
                    part.write_bytes(png)
        if args.json:
            with replacing(args.json) as part:
                part.write_bytes(encoded(as_json(report)))
        said = remarks(report)
        text = encoded(page_text(report, said, command_line(args)))
        with replacing(args.out) as part:
            part.write_bytes(text)
    for sentence in said:
        say(console, sentence)
    say(console, f'{args.out}: {len(text) / 1e6:.1f} MB')
    return 0


def check_options(args: argparse.Namespace) -> None:
    """ValueError in one sentence for numbers that make no sense."""
    if not 1 <= args.q <= 100:
        raise ValueError(f'--q: per cent, from 1 to 100, got {args.q}')
    if not 0 <= args.fail_below <= 1:
        raise ValueError(f'--fail-below: an IoU, from 0 to 1, got {args.fail_below:g}')
    if args.coded and not args.palette:
        raise ValueError('--coded: which colours stand for which classes is said by --palette')
    for name, low in (('worst', 0), ('size', 32), ('top', 1), ('limit', 0)):
        if not getattr(args, name) >= low:
            raise ValueError(f'--{name}: at least {low}, got {getattr(args, name):g}')


def command_line(args: argparse.Namespace) -> str:
    """The command that made the page, as a shell takes it."""
    return shlex.join(['segparity', *args.words])


def check_outputs(args: argparse.Namespace) -> None:
    """Nothing that is written may replace what is read, and the page needs a file's name."""
    check_writable(outputs(args))
    if args.png is not None and args.png.exists() and not args.png.is_dir():
        raise NotADirectoryError(f'--png: {args.png} is a file, expected a folder')
    folders = [folder for folder in (args.images, args.targets, *(args.preds or ())) if folder is not None]
    read = (path for folder in folders for path in folder.rglob('*'))
    refuse_clashes(outputs(args), (*args.table, args.palette, *read))


def outputs(args: argparse.Namespace) -> dict[str, Path | None]:
    """Option -> file, of what is written."""
    return {'--out': args.out, '--json': args.json}


def pictures(report: Report) -> Iterator[tuple[str, bytes]]:
    """(file name, PNG) of every figure and panel of the report."""
    drawn = report.figures
    for figure in [*drawn['spread'], *drawn['classes'], drawn['size'], *drawn['sizes'], *drawn['differences']]:
        yield f'{figure.name}.png', figure.png
    for model, classes in report.album.worst.items():
        for c, rows in classes.items():
            for rank, (_, iou, size, panel) in enumerate(rows, 1):
                if panel:
                    name = f'{safe_file_name(model)}-{c:03d}-{safe_file_name(panel.class_name)}-{rank}.png'
                    yield f'worst/{name}', panel_png(panel, f'{model}, IoU {100 * iou:.1f} %, {size:,} px')
    for number, (key, panel) in enumerate(report.album.listed.items(), 1):
        name = f'{safe_file_name(key[0])}-{number:03d}-{safe_file_name(panel.class_name)}.png'
        yield f'failures/{name}', panel_png(panel, '')


def safe_file_name(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r'[^A-Za-z0-9._-]+', '_', name).strip('._')[:60] or '_'
