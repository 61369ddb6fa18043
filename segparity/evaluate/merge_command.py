"""``segparity merge``: states of several runs as if they had been one."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from segparity.evaluate.command import check_outputs, output_files, print_outputs, write_files
from segparity.evaluate.options import report_settings
from segparity.evaluate.settings import difference
from segparity.evaluate.state_file import read_state
from segparity.evaluate.totals import Totals
from segparity.evaluate.wording import name_options
from segparity.outputs import refuse_clashes
from segparity.terminal import say


def run(options: argparse.Namespace, console: Console) -> int:
    """Runs the command; see ``segparity.evaluate``. Raises ValueError or OSError for states that cannot be merged."""
    check_outputs(options)
    refuse_clashes(
        {**output_files(options), '--state': None}, options.states
    )  # a state may take the place of one merged
    refuse_clashes(output_files(options), ())
    totals, skipped, repeats = merge_states(options.states, report_settings(options))
    write_files(options, totals, skipped)
    if repeats and not options.quiet and str(options.json) != '-':
        say(console, f'{repeats} images were in more than one state and count once')
    print_outputs(options, totals, skipped, console)
    return 0


def merge_states(
    paths: list[Path], changes: Mapping[str, Any] | None = None
) -> tuple[Totals, list[tuple[str, str]], int]:
    """(totals, skipped, number of repeats) of the states at ``paths``, under their settings with these changes."""
    totals: Totals | None = None
    skipped: dict[str, str] = {}
    repeats = 0
    for path in paths:
        state, missing = read_state(path)
        with name_options():
            settings = state.settings.replace(**changes or {})
        if totals is None:
            totals = Totals(settings)
        different = difference(totals.settings, settings)
        if different:
            raise ValueError(f'{paths[0]} and {path} were evaluated with different settings: {different}')
        for image, row in state.rows.items():
            try:
                repeats += not totals.add(image, state.files[image], row)
            except ValueError as error:
                raise ValueError(f'{path}: {error}') from None
        skipped.update(missing)
    found = cast(Totals, totals)  # of one state at least
    left = sorted((image, reason) for image, reason in skipped.items() if image not in found.rows)
    return found, left, repeats
