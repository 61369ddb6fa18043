"""What ``segparity list`` and ``segparity show`` print, read from the spec."""

import dataclasses

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from shared_spec import LOSSES, METRICS, SpecError
from shared_spec.spec import unknown_name


def overview():
    """A table of every loss and metric."""
    table = Table(title='Losses and metrics', title_justify='left', box=None, padding=(0, 2, 0, 0))
    for column in ('name', 'family', 'what it is'):
        table.add_column(column, overflow='fold')
    for name, spec in LOSSES.items():
        table.add_row(name, spec.family, spec.title)
    for name, spec in METRICS.items():
        table.add_row(name, 'metric', spec.title)
    return table


def page(name):
    """The parts of the page of one loss or metric. Raises SpecError for an unknown name."""
    known = {**LOSSES, **METRICS}
    if name not in known:
        raise SpecError(unknown_name('loss or metric', name, list(known)))
    spec = known[name]
    text = Text()
    text.append(f'{spec.title}\n', style='bold')
    text.append(f'\n{spec.formula}\n')
    if spec.remarks:
        text.append(f'\n{spec.remarks}\n')
    text.append(f'\nSource: {spec.source}')
    yield Panel(text, title=name, title_align='left')
    yield parameters(spec)
    for world, line in config_lines(spec):
        yield Text(f'\n{world}', style='bold')
        yield Text(line)


def parameters(spec):
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
        table.add_row(name, default, meta['allowed'].describe(), meta['meaning'])
    return table


def config_lines(spec):
    """(world, the line to write there) for both worlds."""
    if spec.__name__ in LOSSES:
        yield 'MMSegmentation, in loss_decode (with custom_imports = dict(imports=["mmseg_plugin"]))', mmseg_line(spec)
        yield 'Keras', keras_line(spec)
    else:
        yield 'MMSegmentation, as val_evaluator (with custom_imports = dict(imports=["mmseg_plugin"]))', spec.mmseg_line
        yield 'Keras', spec.keras_line


def mmseg_line(spec):
    example = {'ignore_index': 255} if 'ignore_index' in spec.parameters() else {}
    return call('dict', {'type': spec.__name__, **example})


def keras_line(spec):
    example = {'from_logits': True} if 'from_logits' in spec.parameters() else {}
    return f'model.compile(loss={call("keras_plugin.losses." + spec.__name__, example)})'


def call(function, arguments):
    """``function(a=1, b='x')`` as source text."""
    return f'{function}({", ".join(f"{k}={v!r}" for k, v in arguments.items())})'
