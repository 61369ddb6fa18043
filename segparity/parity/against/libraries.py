"""``segparity check NAME --against monai``: a configuration of ours beside the nearest item of a library that is installed."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from segparity.as_json import print_json
from segparity.parity.against.comparison import GRADIENT, VALUE
from segparity.terminal import say
from shared_spec import LossSpec

LIBRARIES = 'mmseg', 'keras', 'monai', 'smp'


def against_library(library: str, specs: Mapping[str, LossSpec], console: Console, as_json: bool) -> int:
    """Compares every loss with what comes nearest to it in a library; 0 where each is the same, else 1.

    RuntimeError where the library is not installed.
    """
    from segparity.migrate.peers.against import compare_with_peer

    found = [(label, row) for label, spec in specs.items() for row in compare_with_peer(spec, library)]
    rows = [
        dict(
            name=label,
            ours=row.ours,
            theirs=row.item,
            value_error=row.value,
            gradient_error=row.gradient,
            ok=is_same(row),
            reason=row.reason,
        )
        for label, row in found
    ]
    if as_json:
        found_json = dict(ok=all(row['ok'] for row in rows), against=library, peers=rows)
        print_json(console, 'check --against', found_json)
    else:
        console.print(table(library, rows))
        for row in rows:
            if row['reason']:
                say(console, f'- {row["name"]}: {row["reason"]}')
    return 0 if all(row['ok'] for row in rows) else 1


def is_same(row: Any) -> bool:
    """Whether both differences are within what is allowed; False where nothing was compared."""
    return row.value is not None and row.value <= VALUE and (row.gradient is None or row.gradient <= GRADIENT)


def table(library: str, rows: list[dict[str, Any]]) -> Table:
    shown = Table(title=f'Against {library}, on small pictures', title_justify='left', box=None, padding=(0, 2, 0, 0))
    for column in ('ours', 'theirs', 'value', 'gradient', ''):
        shown.add_column(column, justify='right' if column in ('value', 'gradient') else 'left', overflow='fold')
    for row in rows:
        numbers = ['' if row[key] is None else f'{row[key]:.1e}' for key in ('value_error', 'gradient_error')]
        verdict = '[green]ok[/]' if row['ok'] else '[red]DIFFERS[/]'
        shown.add_row(Text(row['ours']), Text(row['theirs'] or 'nothing near'), *numbers, verdict)
    return shown
