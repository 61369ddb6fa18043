"""What the demo's child processes share: the end with the parent, the progress file, errors in one sentence."""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from segparity.demo.settings import DemoError
from shared_spec.files import replacing


def end_with_parent() -> None:
    """Leave as soon as the parent is gone: it holds the other end of standard input.

    A trainer that outlived a killed demo would write into the folder of the next one.
    """

    def wait() -> None:
        while os.read(0, 1):  # not sys.stdin: its lock would stop the interpreter from shutting down
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def child_main(work: Callable[..., object], description: str, **options: Sequence[str] | None) -> int:
    """Run ``work(out, **options)`` as a child process; returns the exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--attached', action='store_true', help='end when standard input ends')
    for name, choices in options.items():
        parser.add_argument(f'--{name}', required=True, choices=choices)
    args = vars(parser.parse_args())
    if args.pop('attached'):
        end_with_parent()
    try:
        work(args.pop('out'), **args)
    except DemoError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


class Progress:
    """The record of a training, one JSON object a line; it survives the process and grows on when training resumes."""

    def __init__(self, path: str | Path, done: int) -> None:
        """``done``: how many steps the resumed state has behind it; what the file says beyond them is dropped."""
        steps, validations = read_progress(path)
        kept = [line for line in steps if line['step'] < done] + [line for line in validations if line['val'] <= done]
        with replacing(path) as part:
            part.write_text(''.join(json.dumps(line) + '\n' for line in kept))
        self.path, self.mark = Path(path), time.perf_counter()

    def restart_clock(self) -> None:
        """The seconds of the next step run from now."""
        self.mark = time.perf_counter()

    def step(self, step: int, **values: float) -> None:
        """A training step; its seconds run from the step or validation before."""
        now = time.perf_counter()
        self._write({'step': step, 'seconds': round(now - self.mark, 4), **values})
        self.mark = now

    def validation(self, done: int, **values: float) -> None:
        """A validation after ``done`` steps."""
        self._write({'val': done, **values})
        self.restart_clock()

    def _write(self, line: dict[str, Any]) -> None:
        with open(self.path, 'a') as file:
            file.write(json.dumps(line) + '\n')


def read_progress(path: str | Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(steps, validations), each in order and once; a line cut off by a kill is skipped."""
    steps, validations = {}, {}
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        lines = []
    for text in lines:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if 'step' in line:
            steps[line['step']] = line
        elif 'val' in line:
            validations[line['val']] = line
    return [steps[k] for k in sorted(steps)], [validations[k] for k in sorted(validations)]
