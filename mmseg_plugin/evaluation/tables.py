"""What an evaluator logs to be read: its results as a matrix of score and level, and those of every class."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prettytable import PrettyTable

from shared_spec.metrics.levels import level_of


def tables(
    owner: str,
    specs: Sequence[Any],
    results: Mapping[str, float],
    class_names: Sequence[str],
    columns: Mapping[str, Iterable[float]],
) -> str:
    """The tables of one evaluator, titled with its name, two decimals as in MMSegmentation's own."""
    rows = {metric: unit(spec, metric) for spec in specs for metric in spec.metrics}
    results = {
        name: value
        for name, value in results.items()
        if not of_missed(name) or (results['missed'] and name != 'missed')
    }
    units = ', '.join(dict.fromkeys(rows.values()))
    texts = [matrix(f'{owner}: results, {units}', rows, results), *without_level(rows, results)]
    if columns:
        classes = zip(class_names, zip(*columns.values()))
        texts.append(titled(f'{owner}: classes, {units}', ['Class', *columns], classes))
    return '\n'.join(texts)


def matrix(title: str, rows: Collection[str], results: Mapping[str, float]) -> str:
    """Score x level: D, I and C, and the worst of I and C, as ``segparity evaluate`` prints them."""
    at = {level_of(name, rows): value for name, value in results.items()}
    levels = list(dict.fromkeys(level for _, level in filter(None, at)))
    return titled(title, ['', *levels], ((row, [at.get((row, level)) for level in levels]) for row in rows))


def without_level(rows: Collection[str], results: Mapping[str, float]) -> Iterator[str]:
    """One line for the results that have none: aAcc, FWIoU."""
    found = [f'{name} {two_decimals(value)}' for name, value in results.items() if not level_of(name, rows)]
    if found:
        yield ', '.join(found)


def of_missed(name: str) -> bool:
    """Whether a result is about objects that were missed; how many were is said in a sentence."""
    return name == 'missed' or name.endswith('_rest')


def unit(spec: Any, metric: str) -> str:
    if spec.is_fraction(metric + spec.levels[0]):
        return 'in per cent'
    return 'distances in pixels' if spec.spacing is None else 'distances in the unit of spacing'


def titled(title: str, header: Sequence[str], body: Iterable[tuple[str, Iterable[float | None]]]) -> str:
    """A table of numbers; what is not measured stays empty."""
    table = PrettyTable(header, title=title, align='r')
    table.align[header[0]] = 'l'
    for name, values in body:
        table.add_row([name, *map(two_decimals, values)])
    return table.get_string()


def two_decimals(value: float | None) -> str:
    return '' if value is None else f'{value:.2f}'
