"""``segparity recognise``: which loss of ours a function is."""

import argparse
import json
import sys

from rich.console import Console

from segparity.arguments import positive_integer
from segparity.loading import load
from segparity.recognise.recognition import recognise
from segparity.recognise.report import as_json, lines
from segparity.terminal import say


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        'target', nargs='+', help='MODULE:FUNCTION or FILE.py:FUNCTION; the module is run, the function called'
    )
    command.add_argument(
        '--classes', type=positive_integer, help='channels of the prediction; both one and three when not given'
    )
    command.add_argument(
        '--seconds', type=positive_integer, default=60, help='what the recognition of a function may take, about, 60'
    )
    command.add_argument('--json', action='store_true', help='print JSON')


def run(options: argparse.Namespace, console: Console) -> int:
    """Prints what each function is; 1 where one equals none of ours, or trains the wrong way."""
    found = []
    for target in options.target:

        def progress(sentence: str, target: str = target) -> None:
            print(f'{target}: {sentence}, for at most {options.seconds:g} seconds', file=sys.stderr, flush=True)

        function = load(target)
        found.append(
            recognise(function, options.classes, options.seconds, target, wall=options.seconds, progress=progress)
        )
    if options.json:
        print(json.dumps([as_json(one) for one in found], indent=2))
    else:
        for one in found:
            for line in lines(one):
                say(console, line)
    return 0 if all(one.equal and not one.trains_the_wrong_way for one in found) else 1
