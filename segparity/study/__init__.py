"""``segparity study soft-labels``: whether losses that keep soft labels are worth it, tried on two kinds of images.

Importing this package loads nothing heavy: neither PyTorch nor what draws the page.
"""

import argparse
import importlib.util
from pathlib import Path

from rich.console import Console

from segparity.arguments import positive_integer

NAMES = ('soft-labels',)
DATA = ('digits-smoothed', 'digits-annotators', 'brain')
NEEDED = {
    'torch': 'torch',
    'scipy': 'scipy',
    'sklearn': 'scikit-learn',
    'PIL': 'pillow',
    'matplotlib': 'matplotlib',
    'jinja2': 'jinja2',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``segparity study``."""
    parser.add_argument('name', type=name_of_study, metavar='NAME', help='of the study: soft-labels, the only one')
    parser.add_argument(
        '--out', type=Path, default=Path('study_out'), help='folder of runs, numbers and page [study_out]'
    )
    parser.add_argument(
        '--data', type=names_of_data, default=DATA, metavar='NAMES', help=f'of {", ".join(DATA)}: which [all]'
    )
    parser.add_argument('--quick', action='store_true', help='short trainings and two seeds: minutes, and less to see')
    parser.add_argument('--seeds', type=positive_integer, help='trainings of each condition [4, quick: 2]')
    parser.add_argument('--iterations', type=positive_integer, help='training steps of each network')
    parser.add_argument('--fresh', action='store_true', help='start over, whatever an earlier run has left')


def name_of_study(text: str) -> str:
    """'soft-labels'; argparse turns the error into its message."""
    if text not in NAMES:
        raise argparse.ArgumentTypeError(f'the only study is {NAMES[0]}, got {text!r}')
    return text


def names_of_data(text: str) -> tuple[str, ...]:
    """'brain,digits-smoothed' -> the two, in the order of ``DATA``; argparse turns the error into its message."""
    names = {name.strip() for name in text.split(',') if name.strip()}
    if not names or names - set(DATA):
        raise argparse.ArgumentTypeError(f'data are {", ".join(DATA[:-1])} and {DATA[-1]}, got {text!r}')
    return tuple(name for name in DATA if name in names)


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the study; returns the exit code, 0 or 130 where interrupted. ValueError, one sentence, for what is wrong."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ValueError(f"the study needs {', '.join(missing)}: pip install 'segparity[study]'")

    from segparity.study.command import study
    from segparity.terminal import say

    try:
        return study(args, console)
    except KeyboardInterrupt:
        say(console, 'Interrupted; the same command goes on from here.')
        return 130
