"""The study in the terminal: how far it is, and its tables."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from rich.console import Console
from rich.table import Table

from segparity.study.conditions import CONDITIONS
from segparity.study.judging import MEASURES
from segparity.study.runs import Run
from segparity.study.settings import Settings
from segparity.terminal import say


class Bar:
    """One bar over the steps of all trainings, with the time that is left; without a terminal a line for each training."""

    def __init__(self, console: Console, runs: Sequence[Run], settings: Settings) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.console, self.count, self.done, self.started = console, len(runs), 0, time.monotonic()
        self.progress = Progress(
            TextColumn('{task.fields[which]}/' + str(len(runs))),
            BarColumn(bar_width=32),
            TimeElapsedColumn(),
            TextColumn('left'),
            TimeRemainingColumn(),
            TextColumn('{task.description}'),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=120,
        )
        self.task = self.progress.add_task('', total=len(runs) * settings.iterations, which='0')

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def step(self) -> None:
        self.progress.advance(self.task)

    def begin(self, run: Run) -> None:
        self.progress.update(self.task, description=run.title, which=str(self.done + 1))

    def end(self, run: Run, record: dict[str, Any]) -> None:
        self.done += 1
        if not self.console.is_terminal:
            left = (time.monotonic() - self.started) / self.done * (self.count - self.done)
            reached = f'mIoU^D {100 * record["measures"]["mIoUD"]:.1f} %'
            say(self.console, f'{self.done}/{self.count} {run.title}: {reached}; about {left / 60:.0f} min left')


def shown(value: float, spread: float | None = None) -> str:
    """'93.1 ± 0.2', in per cent; a spread or a value that is no number is left out or a dash."""
    if value != value:
        return '–'
    text = f'{100 * value:.1f}'
    return text if spread is None or spread != spread else f'{text} ± {100 * spread:.1f}'


def print_summary(found: Mapping[str, Any], titles: Mapping[str, str], console: Console) -> None:
    """A table for each data set."""
    for data, part in found.items():
        table = Table(title=f'{titles[data]} (per cent, mean ± deviation over seeds)', title_justify='left', box=None)
        table.add_column('')
        for title, _, _ in MEASURES.values():
            table.add_column(title, justify='right')
        for condition, measures in part['conditions'].items():
            cells = (shown(measures[name]['mean'], measures[name]['spread']) for name in MEASURES)
            table.add_row(CONDITIONS[condition].title, *cells)
        console.print(table)
