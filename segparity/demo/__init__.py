"""``segparity demo``: the same small U-Net trained in MMSegmentation and in Keras on real handwritten digits.

Importing this package loads nothing heavy: neither a framework nor what draws the page.
"""

import argparse
import importlib.util
from pathlib import Path

from rich.console import Console

from segparity.arguments import positive_integer
from segparity.terminal import say

NEEDED = {'sklearn': 'scikit-learn', 'PIL': 'pillow', 'matplotlib': 'matplotlib', 'jinja2': 'jinja2'}
WORLDS = ('mmseg', 'keras')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``segparity demo``."""
    parser.add_argument('--out', type=Path, default=Path('demo_out'), help='folder of data, models and page [demo_out]')
    parser.add_argument(
        '--worlds',
        type=world_names,
        default=WORLDS,
        metavar='NAMES',
        help='mmseg, keras or mmseg,keras [all installed]',
    )
    parser.add_argument('--iterations', type=positive_integer, help='training steps of each model, in tens [400]')
    parser.add_argument('--fresh', action='store_true', help='start over, whatever an earlier run has left')


def world_names(text: str) -> tuple[str, ...]:
    """'mmseg,keras' -> ('mmseg', 'keras'); ValueError, which argparse turns into its usage message, for other names."""
    import argparse

    names = tuple(name.strip() for name in text.split(',') if name.strip())
    strange = [name for name in names if name not in WORLDS]
    if strange or not names:
        raise argparse.ArgumentTypeError(f'worlds are mmseg and keras, got {text!r}')
    return names


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the demo; returns the exit code: 0, 1 when something failed, 130 when interrupted."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        say(console, f"The demo needs {', '.join(missing)}: pip install 'segparity[demo]'")
        return 1

    from segparity.demo.jobs import JobFailed
    from segparity.demo.settings import DemoError
    from segparity.demo.stages import run_demo

    try:
        return run_demo(args, console)
    except KeyboardInterrupt:
        say(console, 'Interrupted; the same command goes on from here.')
        return 130
    except JobFailed as error:
        for line in error.lines:
            say(console, f'  {line}')
        say(console, error)
        return 1
    except DemoError as error:
        say(console, error)
        return 1
    except OSError as error:
        say(console, f'The demo in {args.out} stopped: {error.strerror or error}')
        return 1
