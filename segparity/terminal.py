"""What every command prints goes out here: nothing from a file moves the cursor, and a reader that has gone ends no run."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from shared_spec.control_characters import escape_controls


class NobodyReads(Exception):
    """The reader of the standard output has gone. No BrokenPipeError: those come from processes that died, too."""


class Terminal(Console):
    """rich's console, whose texts have no control characters; the lines and colours are its own."""

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except BrokenPipeError:  # of a rich without ``on_broken_pipe``
            self.on_broken_pipe()

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=lines(segment.text))

    def on_broken_pipe(self) -> None:
        """Notes nobody reads are left out; results that nobody reads end the command."""
        if not self.stderr:
            raise NobodyReads
        self.quiet = True


def standard_output() -> Terminal:
    """140 columns wide where it is no terminal; from then on letters that it cannot encode become numbers."""
    if hasattr(sys.stdout, 'reconfigure'):
        sys.stdout.reconfigure(errors='backslashreplace')  # a console of few letters shows all others by their number
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    return Terminal(width=None if on_terminal else 140, soft_wrap=False)


def standard_error(quiet: bool = False) -> Terminal:
    """For notes, of which ``quiet`` prints none."""
    return Terminal(stderr=True, quiet=quiet)


def say(console: Console, text: object) -> None:
    """One line, as it is: never cut, coloured or read as markup."""
    console.print(escape_controls(text), markup=False, emoji=False, highlight=False, soft_wrap=True)


def complain(text: object) -> None:
    """One line on the standard error."""
    with contextlib.suppress(OSError, AttributeError, ValueError):
        print(escape_controls(text), file=sys.stderr, flush=True)


def lines(text: object) -> str:
    """Several lines without control characters."""
    return '\n'.join(map(escape_controls, str(text).split('\n')))


def let_go() -> None:
    """Drops what cannot be written any more, of which Python itself would complain at its end."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
