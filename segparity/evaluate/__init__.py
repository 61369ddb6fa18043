"""``segparity evaluate`` and ``segparity merge``: files of predictions against files of ground truth.

Importing this package loads only what describes the options.
"""

import argparse

from rich.console import Console

from segparity.evaluate.options import add_evaluate_arguments, add_merge_arguments

__all__ = ['add_evaluate_arguments', 'add_merge_arguments', 'evaluate', 'merge']


def evaluate(options: argparse.Namespace, console: Console) -> int:
    """Runs ``segparity evaluate``; returns the exit code: 0, 130 where interrupted."""
    from segparity.evaluate.command import run

    return run(options, console)


def merge(options: argparse.Namespace, console: Console) -> int:
    """Runs ``segparity merge``; returns the exit code: 0."""
    from segparity.evaluate.merge_command import run

    return run(options, console)
