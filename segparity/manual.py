"""The manual in the terminal: what ``segparity list`` and ``segparity show`` print, read from the spec."""

import dataclasses
from collections.abc import Iterator

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from segparity.usage import SpecClass, keras_lines, known_names, mmseg_lines, named, specs_of, torch_lines
from shared_spec import LOSSES, METRICS
from shared_spec.extras import needs_in_words
from shared_spec.registry import unknown_name


def overview() -> Table:
    """A table of every loss and metric."""
    table = Table(title='Losses and metrics', title_justify='left', box=None, padding=(0, 2, 0, 0))
    for column in ('name', 'family', 'what it is'):
        table.add_column(column, overflow='fold')
    for name, spec in LOSSES.items():
        table.add_row(name, spec.family, Text(spec.title))
    for name, metric in METRICS.items():
        table.add_row(name, 'metric', Text(metric.title))
    return table


def page(name: str) -> Iterator[Panel | Table | Text]:
    """The parts of the page of a loss, a metric, or a class of either world. Raises SpecError for an unknown name."""
    specs = specs_of(name)
    if not specs:
        raise unknown_name('loss or metric', name, known_names())
    for spec in specs:
        yield description(spec, name)
        yield parameters(spec)
        for world, text in lines(spec, name):
            yield Text(f'\n# {world}', style='bold')
            yield Text(text)


def description(spec: SpecClass, name: str) -> Panel:
    """What it is, where it comes from, and what to beware of."""
    text = Text()
    text.append(f'{spec.title}\n', style='bold')
    text.append(f'\n{spec.formula}\n')
    if spec.remarks:
        text.append(f'\n{spec.remarks}\n')
    for sentence in needs_in_words(getattr(spec, 'needs', ()), getattr(spec, 'extras', ())):
        text.append(f'\n{sentence}\n')
    caution = getattr(spec, 'caution', '')
    if caution:
        text.append(f'\nBeware: {caution}\n', style='yellow')
    text.append(f'\nSource: {spec.source}')
    title = name if name == spec.__name__ else f'{name}: {spec.__name__}'
    return Panel(text, title=title, title_align='left')


def parameters(spec: SpecClass) -> Table:
    """A table of the parameters: name, default (in each world where they differ), what is allowed, meaning."""
    table = Table(title='Parameters', title_justify='left', box=None, padding=(0, 2, 0, 0))
    for column in ('name', 'default', 'allowed', 'meaning'):
        table.add_column(column, overflow='fold')
    for name, field in spec.parameters().items():
        meta = field.metadata
        if meta['keras_name']:
            name = f'{name} (Keras: {meta["keras_name"]})'
        default = 'required' if field.default is dataclasses.MISSING else repr(field.default)
        if meta['keras_default'] != field.default:
            default += f' (Keras: {meta["keras_default"]!r})'
        table.add_row(*map(Text, (name, default, meta['allowed'].describe(), meta['meaning'])))
    return table


def lines(spec: SpecClass, name: str) -> Iterator[tuple[str, str]]:
    """(world and use, what to write there) for both worlds."""
    yield 'MMSegmentation, in a configuration file', mmseg_lines(spec)
    yield 'PyTorch, in any loop', torch_lines(spec)
    yield f'Keras: {use_in_keras(spec)}', keras_lines(spec, name)


def use_in_keras(spec: SpecClass) -> str:
    """How a model of Keras takes what the lines make."""
    if spec.__name__ not in LOSSES:
        return 'model.compile(metrics=[metric]), model.fit(callbacks=[callback])'
    needs = LOSSES[spec.__name__].needs
    return f'a BranchedModel hands it over, or loss(y, pred, {named(needs)})' if needs else 'model.compile(loss=loss)'
