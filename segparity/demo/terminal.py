"""The demo's tables in the terminal."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console, JustifyMethod
from rich.table import Table

from segparity.demo.results import SHOWN_METRICS, largest
from segparity.demo.settings import LEARNED, SAME_TOLERANCE, STEP_0_TOLERANCE
from segparity.demo.worlds import World

PLAIN: dict[str, Any] = dict(title_justify='left', box=None, padding=(0, 2, 0, 0))


def print_results(results: Mapping[str, Any], worlds: Iterable[World], console: Console) -> None:
    """The models, why a world did not run, the differences between implementations, and what follows from them."""
    console.print()
    console.print(model_table(results))
    for world in worlds:
        if not world.runs:
            console.print(world.sentence, markup=False, highlight=False, soft_wrap=True)
    console.print(parity_table(results))
    for line in sentences(results):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def model_table(results: Mapping[str, Any]) -> Table:
    """A column for each trained model."""
    found = results['worlds']
    table = Table(title='The trained models on the validation scenes', **PLAIN)
    table.add_column('')
    for world in found.values():
        table.add_column(world['title'], justify='right')
    table.add_column('meaning', style='dim')
    for name, (title, meaning) in SHOWN_METRICS.items():
        table.add_row(title, *(f'{100 * world["metrics"][name]:.1f} %' for world in found.values()), meaning)
    table.add_row('training', *(f'{world["seconds"]:.0f} s' for world in found.values()), 'without start and judging')
    return table


def parity_table(results: Mapping[str, Any]) -> Table:
    """The implementations against each other: the first step, and the same predictions."""
    table = Table(title='The same numbers in every implementation', **PLAIN)
    columns: tuple[tuple[str, JustifyMethod], ...] = (
        ('compared', 'left'),
        ('largest difference', 'right'),
        ('allowed', 'right'),
        ('', 'left'),
    )
    for column, justify in columns:
        table.add_column(column, justify=justify)
    for title, difference, allowed in parity_rows(results):
        table.add_row(title, small(difference), small(allowed), verdict(difference <= allowed))
    return table


def parity_rows(results: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """(what, largest difference, allowed) of everything that has to agree."""
    rows = []
    if results['drift']:
        rows.append(('loss of step 0, MMSegmentation and Keras', results['drift'][0]['difference'], STEP_0_TOLERANCE))
    for kind in ('losses', 'metrics'):
        title = f'{kind} of the same predictions, with the NumPy reference'
        rows.append((title, largest(results['comparison'], kind), SAME_TOLERANCE))
    return rows


def small(value: float) -> str:
    """A small number in two digits, zero as 0."""
    return f'{value:.1e}' if value else '0'


def verdict(good: bool) -> str:
    return '[green]agrees[/]' if good else '[red bold]DIFFERS[/]'


def sentences(results: Mapping[str, Any]) -> Iterator[str]:
    """What the tables do not say."""
    if results['drift']:
        last = results['drift'][-1]
        yield (
            'The loss curves agree at step 0 and then drift apart '
            f'(by {small(last["difference"])} at step {last["step"]}): '
            'rounding in float32 differs between the frameworks, and training magnifies it.'
        )
    for name, good in results['learned'].items():
        world = results['worlds'][name]
        if not good:
            yield (
                f'{world["title"]} has not learned enough in {len(world["losses"])} iterations '
                f'(mIoU^D {100 * world["metrics"]["mIoUD"]:.1f} %, {100 * LEARNED:.0f} % is the mark).'
            )
