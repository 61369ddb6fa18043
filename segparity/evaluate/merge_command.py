"""``segparity merge``: states of several runs as if they had been one."""

from segparity.evaluate.command import check_outputs, write_outputs
from segparity.evaluate.options import reported
from segparity.evaluate.settings import difference
from segparity.evaluate.state_file import read_state
from segparity.evaluate.tables import say
from segparity.evaluate.totals import Totals


def run(options, console):
    """Runs the command; see ``segparity.evaluate``. Raises ValueError or OSError for states that cannot be merged."""
    check_outputs(options)
    totals, skipped, repeats = merged(options.states, reported(options))
    if repeats and not options.quiet and str(options.json) != '-':
        say(console, f'{repeats} images were in more than one state and count once')
    write_outputs(options, totals, skipped, console)
    return 0


def merged(paths, changes=None):
    """(totals, skipped, number of repeats) of the states at ``paths``, under their settings with these changes."""
    totals, skipped, repeats = None, {}, 0
    for path in paths:
        state, missing = read_state(path)
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
    left = sorted((image, reason) for image, reason in skipped.items() if image not in totals.rows)
    return totals, left, repeats
