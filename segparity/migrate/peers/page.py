"""The page ``docs/peers.md``: ``python -m segparity.migrate.peers.page > docs/peers.md``, from the table and its record."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from segparity.catalogue import markdown
from segparity.migrate.items import WORDS, Context, Item, Reading, World
from segparity.migrate.peers import read_item
from segparity.migrate.peers.recorded import call_text, context_text, key_of, records
from segparity.migrate.peers.rows import ROWS, Example, Row
from shared_spec.spec import Spec

TITLES = {
    'mmseg': 'MMSegmentation',
    'keras': 'Keras',
    'segmentation_models': 'segmentation_models (Keras)',
    'smp': 'segmentation_models_pytorch',
    'monai': 'MONAI',
    'kornia': 'Kornia',
    'torch': 'PyTorch',
    'torchmetrics': 'torchmetrics',
}

HEAD = """\
# Peers: what their losses and metrics are in ours

`segparity migrate` reads the losses and metrics of other libraries by this table, version by version. The page is what
`python -m segparity.migrate.peers.page > docs/peers.md` writes; its figures are those that
`python -m segparity.migrate.measure > segparity/migrate/peers/measured.json` measured, with the versions named below. The
tests measure every row again (`tests/migrate/test_peers.py`) and fail where a verdict or a difference has changed.

| verdict | the difference on small pictures with absent classes, ignored pixels where a label is ignored, and certain ones |
|---|---|
| exact | at most 1e-12 in the value, 1e-10 in the gradient, in float64 |
| equal up to float32 | at most 1e-6 and 1e-5: the peer computes a part in float32, or adds 1e-7 somewhere |
| nearest | larger; what differs is said |
| not yet | larger, and a loss or a parameter that closes the gap is planned; the nearest that there is now stands beside it |
| no equivalent | none of ours is meant for that |

A value's difference is in units of max(1, \\|value\\|), a gradient's in units of the largest derivative along random
directions. "Formula" in place of a version: the library (or this version of it) cannot be installed beside the others, and
what it computes was written down from its formulas (`segparity/migrate/formulas.py`). "inf": one of both is infinite or
undefined where the other is a number. `ignore_index` of a head, the number of channels, the form of labels and the
activation of the model change what a name means; they stand below the name.
"""


def page() -> str:
    """The page in Markdown."""
    lines = [HEAD]
    for library, title in TITLES.items():
        measured = sorted(
            {r['version'] for key, r in records().items() if key.startswith(f'{library} |') and r['version']}
        )
        with_version = (
            f'Measured with {", ".join(measured)}.' if measured else 'Not run here: computed from its formulas.'
        )
        lines += ['', f'## {title}', '', with_version, '']
        lines += ['| its item | in ours | verdict | value, gradient | what differs |', '|---|---|---|---|---|']
        lines += table(library)
    return '\n'.join(lines) + '\n'


def table(library: str) -> Iterator[str]:
    """A line for each example of a library; those without equivalent together, where one sentence speaks of several."""
    nothing: dict[tuple[str, ...], list[str]] = {}
    for row in ROWS[library]:
        for example in row.examples:
            found = reading_of(row, example)
            if found.spec is None and not example.arguments:
                nothing.setdefault((WORDS[found.verdict], *sentences_of(found)), []).append(f'`{row.name}`')
            else:
                yield line(row, example, found)
    for (verdict, *sentences), names in nothing.items():
        yield f'| {", ".join(names)} | | {verdict} | | {"; ".join(sentences)} |'


def reading_of(row: Row, example: Example) -> Reading:
    world: World = 'keras' if row.library in ('keras', 'segmentation_models') else 'mmseg'
    item = Item(row.library, row.name, dict(example.arguments))
    return read_item(row, item, Context(world, **example.context), example.compat)


def line(row: Row, example: Example, found: Reading) -> str:
    record = records().get(key_of(row, example), {})
    name = f'`{call_text(row.name, example.arguments)}`'
    facts = [] if row.versions.text == 'any' else [row.versions.text]
    facts += [context_text(example.context)] if example.context else []
    facts += ['`--compat`'] if example.compat else []
    first = f'{name}<br>{", ".join(facts)}' if facts else name
    ours = f'`{brief(found.spec)}`' if found.spec else ''
    if found.results:
        ours += f'<br>{", ".join(found.results)}'
    if found.offset:
        ours += f'<br>plus {found.offset:g}'
    figures = ''
    if record.get('value') is not None:
        figures = figure(record['value']) + (
            f', {figure(record["gradient"])}' if record['gradient'] is not None else ''
        )
        figures += '<br>formula' if record['how'] == 'formula' else ''
    return f'| {first} | {ours} | {WORDS[found.verdict]} | {figures} | {"; ".join(sentences_of(found))} |'


def sentences_of(found: Reading) -> list[str]:
    """The sentences of a reading, its bug last."""
    bug = [f'**bug**: {markdown(found.bug)}'] if found.bug else []
    return [markdown(sentence) for sentence in found.differences] + bug


def figure(x: float) -> str:
    """Two digits."""
    return '0' if x == 0 else f'{x:.1e}' if x < 1e-3 else f'{x:.2g}'


def brief(spec: Spec | None) -> str:
    """A spec in one line: what is off its default; a sum by its parts."""
    parts: Any = getattr(spec, 'losses', None)
    if parts:
        shares: Any = getattr(spec, 'shares', ())
        return ' + '.join(f'{share:g} * {brief(part)}' for share, part in zip(shares, parts))
    if spec is None:
        return ''
    off = {}
    for field in dataclasses.fields(spec):
        value = spec.builtin_value(field.name)
        if field.default is dataclasses.MISSING or getattr(spec, field.name) != field.metadata['allowed'].freeze(
            field.default
        ):
            off[field.name] = round(value, 6) if isinstance(value, float) else value
    return call_text(type(spec).__name__, off)


if __name__ == '__main__':
    print(page(), end='')
