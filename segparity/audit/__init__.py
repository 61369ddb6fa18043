"""``segparity audit``: per-image tables become one HTML page about models and labels.

Importing this package loads nothing heavy: neither pandas nor what draws the page.
"""

import argparse
import importlib.util
from pathlib import Path

from rich.console import Console

from segparity.arguments import integer, integer_or_none, real_number

NEEDED = ('jinja2', 'matplotlib', 'PIL', 'pandas')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``segparity audit``."""
    parser.description = 'From per-image tables, one for each model, to one self-contained HTML page.'
    parser.add_argument(
        'table', nargs='+', metavar='TABLE', help='per-image table, .csv or .parquet; one for each model'
    )
    parser.add_argument('--out', type=Path, default=Path('audit.html'), help='the page [audit.html]')
    parser.add_argument('--names', metavar='A,B', help="the models' names [the files' names]")
    parser.add_argument('--title', default='Segmentation audit', help='heading of the page')
    parser.add_argument('--q', type=integer, default=5, help='per cent of the worst values that I5 and C5 average [5]')
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the numbers of the page')
    parser.add_argument('--png', type=Path, metavar='DIR', help='also write every figure and panel as PNG')

    pictures = parser.add_argument_group('pictures', 'folders are needed only where the tables name no files')
    pictures.add_argument('--images', type=Path, metavar='DIR', help='input images: png, jpg, tif, bmp, webp or npy')
    pictures.add_argument('--targets', type=Path, metavar='DIR', help='true label maps: png, tif or npy')
    pictures.add_argument(
        '--preds',
        type=Path,
        metavar='DIR',
        nargs='+',
        help='predictions: label maps, or probabilities as npz; one folder for each table',
    )
    pictures.add_argument(
        '--root',
        type=Path,
        metavar='DIR',
        action='append',
        help='files that the tables name may lie below DIR, too (repeatable), and not only below the folders above, '
        'those of the tables and the current one',
    )
    pictures.add_argument('--image-suffix', default='', metavar='S', help="end of the images' names, as _leftImg8bit")
    pictures.add_argument('--target-suffix', '--gt-suffix', default='', metavar='S', help='the same of the label maps')
    pictures.add_argument('--pred-suffix', default='', metavar='S', help='the same of the predictions')
    pictures.add_argument(
        '--palette', type=Path, metavar='FILE', help="the classes' colours, as segparity evaluate takes it"
    )
    pictures.add_argument(
        '--coded',
        choices=('targets', 'preds', 'both'),
        help='which indexed or grey maps hold colours of the palette instead of class ids; colour images always do',
    )
    pictures.add_argument(
        '--ignore-index', type=integer_or_none, default=255, help="label that counts nowhere, or 'none' [255]"
    )
    pictures.add_argument(
        '--reduce-zero-label', action='store_true', help='true label 0 is ignored and the others are one less'
    )
    pictures.add_argument(
        '--reduce-zero-label-pred',
        action='store_true',
        help='the same of the predictions: FineGrainedMetric writes them so when the data set has reduce_zero_label',
    )
    pictures.add_argument('--worst', type=integer, default=4, metavar='N', help='worst images shown of each class [4]')
    pictures.add_argument('--size', type=integer, default=320, metavar='PX', help='width of a picture [320]')
    pictures.add_argument('--limit', type=real_number, default=20, metavar='MB', help='all pictures together [20]')

    lists = parser.add_argument_group('lists of failures')
    lists.add_argument('--top', type=integer, default=20, metavar='N', help='rows of every list [20]')
    lists.add_argument('--agree', type=integer, metavar='K', help='models that must fail together [all]')
    lists.add_argument(
        '--fail-below',
        type=real_number,
        default=0.1,
        metavar='IOU',
        help='an IoU below this always counts as failure [0.1]',
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Write the page; returns the exit code 0. Wrong input is a ValueError, TypeError or OSError."""
    if any(importlib.util.find_spec(module) is None for module in NEEDED):
        raise ImportError("segparity audit needs jinja2, matplotlib, pandas and Pillow: pip install 'segparity[audit]'")

    from segparity.audit.command import audit

    return audit(args, console)
