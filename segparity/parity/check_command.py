"""``segparity check``: the parity table in the terminal."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from segparity.parity import Row, check_parity
from segparity.parity.frameworks import FRAMEWORKS, installed_frameworks, missing_sentence
from segparity.parity.tolerances import GRADIENT, VALUE
from shared_spec.registry import unknown_name


@contextlib.contextmanager
def progress_of(console: Console) -> Iterator[Callable[[int, int, str], None]]:
    """A callback (done, total, text): a bar on a terminal, else a line on stderr at each tenth."""
    if not console.is_terminal:
        yield Tenths()
        return
    columns = TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task('starting', total=None)
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=text)


class Tenths:
    """Prints how far it is whenever another tenth is done."""

    tenth = 0

    def __call__(self, done: int, total: int, text: str) -> None:
        if 10 * done // total > self.tenth:
            self.tenth = 10 * done // total
            print(f'segparity check: {done} of {total}, {text}', file=sys.stderr, flush=True)


def check(names: list[str], frameworks: list[str] | None, ways: list[str] | None, console: Console) -> int:
    """Checks, prints one row per loss, framework, way and precision; returns 1 where something disagrees."""
    for framework in frameworks or ():
        if framework not in FRAMEWORKS:
            raise unknown_name('framework', framework, list(FRAMEWORKS))
        if missing_sentence(framework):
            raise RuntimeError(missing_sentence(framework))
    left_out = (
        [] if frameworks else [missing_sentence(framework) for framework in FRAMEWORKS if missing_sentence(framework)]
    )
    with progress_of(console) as progress:
        rows = check_parity(
            names or None,
            frameworks=frameworks or installed_frameworks(),
            progress=progress,
            ways=ways,
            notes=left_out.append,
        )
    for sentence in left_out:
        console.print(f'left out: {sentence}', style='yellow', markup=False, highlight=False, soft_wrap=True)
    if not rows:
        raise RuntimeError('nothing of what was named runs here in the ways that were named')
    console.print(table(rows))
    for row in rows:
        if row.error:
            console.print(
                f'{row.name} in {row.framework} {row.way} ({row.worst}): {row.error}', style='red', markup=False
            )
    wrong = sum(not row.ok for row in rows)
    console.print(
        f'{len(rows) - wrong} of {len(rows)} agree; allowed: value {VALUE["float32"]:g} of max(1, |value|), gradient '
        f'{GRADIENT["float32"]:g} of the largest, in float64 {VALUE["float64"]:g} and {GRADIENT["float64"]:g}'
    )
    return 1 if wrong else 0


def table(rows: Iterable[Row]) -> Table:
    found = Table(title='Against the NumPy float64 reference', title_justify='left', box=None, padding=(0, 2, 0, 0))
    columns: tuple[tuple[str, JustifyMethod], ...] = (
        ('name', 'left'), ('framework', 'left'), ('way', 'left'), ('precision', 'left'), ('cases', 'right'),
        ('value', 'right'), ('gradient', 'right'), ('', 'left'),
    )  # fmt: skip
    for column, justify in columns:
        found.add_column(column, justify=justify, no_wrap=True)
    for row in rows:
        verdict = '[green]ok[/]' if row.ok else f'[red]DIFFERS[/] {escape(f"({row.worst})")}'
        found.add_row(
            row.name,
            row.framework,
            row.way,
            row.dtype,
            str(row.cases),
            f'{row.value_error:.1e}',
            f'{row.grad_error:.1e}',
            verdict,
        )
    return found
