"""``segparity check``: the parity table in the terminal."""

import contextlib

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from segparity.parity import check_parity
from segparity.parity.frameworks import FRAMEWORKS, installed, missing
from segparity.parity.tolerances import GRADIENT, VALUE
from shared_spec import SpecError
from shared_spec.spec import unknown_name


@contextlib.contextmanager
def progress_of(console):
    """A callback (done, total, text) that draws a bar on a terminal and nothing in a pipe."""
    if not console.is_terminal:
        yield None
        return
    columns = TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task('starting', total=None)
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=text)


def check(names, frameworks, console):
    """Checks, prints one row per loss, framework and precision; returns 1 where something disagrees."""
    for framework in frameworks or ():
        if framework not in FRAMEWORKS:
            raise SpecError(unknown_name('framework', framework, list(FRAMEWORKS)))
        if missing(framework):
            raise RuntimeError(missing(framework))
    for framework in () if frameworks else FRAMEWORKS:
        if missing(framework):
            console.print(f'left out: {missing(framework)}', style='yellow')
    with progress_of(console) as progress:
        rows = check_parity(names or None, frameworks=frameworks or installed(), progress=progress)
    table = Table(title='Against the NumPy float64 reference', title_justify='left', box=None, padding=(0, 2, 0, 0))
    for column, justify in (
        ('name', 'left'), ('framework', 'left'), ('precision', 'left'), ('cases', 'right'),
        ('value', 'right'), ('gradient', 'right'), ('', 'left'),
    ):  # fmt: skip
        table.add_column(column, justify=justify, no_wrap=True)
    for row in rows:
        verdict = '[green]ok[/]' if row.ok else f'[red]DIFFERS[/] ({row.worst})'
        table.add_row(
            row.name,
            row.framework,
            row.dtype,
            str(row.cases),
            f'{row.value_error:.1e}',
            f'{row.grad_error:.1e}',
            verdict,
        )
    console.print(table)
    for row in rows:
        if row.error:
            console.print(f'{row.name} in {row.framework} ({row.worst}): {row.error}', style='red', markup=False)
    wrong = sum(not row.ok for row in rows)
    console.print(
        f'{len(rows) - wrong} of {len(rows)} agree; allowed: value {VALUE["float32"]:g} of max(1, |value|), gradient '
        f'{GRADIENT["float32"]:g} of the largest, in float64 {VALUE["float64"]:g} and {GRADIENT["float64"]:g}'
    )
    return 1 if wrong else 0
