"""What ``segparity migrate`` says of a plan: a table and sentences in the terminal, or JSON."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from segparity.migrate.items import WORDS, Item, Migrated, Place, Unread
from segparity.migrate.plan import Plan, chosen, sentences_of, verdict_of
from segparity.terminal import say
from shared_spec.control_characters import escape_controls

STYLES = {'exact': 'green', 'float32': 'green', 'nearest': 'yellow', 'not yet': 'yellow', 'none': 'red'}


def print_report(plan: Plan, console: Console, notes: Sequence[Any] = ()) -> None:
    """The table of items, then what differs, what was not read, and what else changes when a model moves."""
    table = Table(
        title=f'{plan.source.kind}: {escape_controls(next(iter(plan.source.files), ""))}',
        title_justify='left',
        box=None,
        padding=(0, 2, 0, 0),
    )
    for column in ('line', 'in the source', 'becomes', '', 'measured'):
        table.add_column(column, overflow='fold')
    for where, migrated in rows(plan):
        verdict = verdict_of(migrated)
        table.add_row(
            short_place(migrated.item.place, plan),
            Text(f'{where}: {named(migrated.item)}' if where else named(migrated.item)),
            Text(becomes(migrated)),
            Text(WORDS[verdict], style=STYLES[verdict]),
            measured_of(migrated),
        )
    console.print(table)
    for heading, sentences in sections(plan, notes):
        console.print(Text(f'\n{heading}', style='bold'))
        for sentence in sentences:
            say(console, f'- {sentence}')


def rows(plan: Plan) -> Iterator[tuple[str, Migrated]]:
    for output, losses in plan.outputs:
        for migrated in losses:
            yield output.name, migrated
    for migrated in plan.metrics:
        yield 'metric', migrated


def sections(plan: Plan, notes: Sequence[Any]) -> Iterator[tuple[str, list[str]]]:
    """Heading and sentences of each part that has any."""
    refused = [f'{output.place}: {output.name}: {output.refused}' for output, _ in plan.outputs if output.refused]
    differing = [
        f'{migrated.item.place}: {migrated.item.name}: {sentence}'
        for migrated in plan.items
        for sentence in sentences_of(migrated)
    ]
    unread = [
        f'{found.place}: {found.reason}' + (f': {found.text}' if found.text else '') for found in plan.source.unread
    ]
    moved = [f'{note.title}: {note.sentence} (docs/moving.md#{note.anchor})' for note in notes]
    for heading, sentences in (
        ('Not migrated', refused),
        ('What differs', differing),
        ('Not read', unread),
        ('To know', list(plan.source.remarks)),
        ('What else changes when the model moves', moved),
    ):
        if sentences:
            yield heading, list(dict.fromkeys(sentences))


def short_place(place: Place, plan: Plan) -> str:
    """The line, with the file where it is not the source itself."""
    given = next(iter(plan.source.files), '')
    own = place.file in (given, os.path.basename(given))
    return str(place.line or '') if own else str(place)


def named(item: Item) -> str:
    weight = item.weight
    factor = '' if weight == 1 else '? * ' if isinstance(weight, Unread) else f'{weight} * '
    return f'{factor}{item.library} {item.name}'


def becomes(migrated: Migrated) -> str:
    """Our spec, with the parameters that are not at their default."""
    reading = chosen(migrated)
    if reading is None or reading.spec is None:
        return ''
    given = {k: v for k, v in reading.spec.to_mmseg().items() if k not in ('type', 'losses')}
    if hasattr(reading.spec, 'parts'):
        return ' + '.join(type(part).__name__ for part in reading.spec.parts)
    return f'{type(reading.spec).__name__}({", ".join(f"{k}={v!r}" for k, v in given.items())})'


def measured_of(migrated: Migrated) -> str:
    reading = chosen(migrated)
    return '' if reading is None or reading.measured is None else f'{reading.measured:.1e}'


def as_found(plan: Plan, code: str, to: str, notes: Sequence[Any] = ()) -> dict[str, Any]:
    """Everything of the report and the code, under the keys that docs/migrate.md names."""
    return {
        'source': plan.source.files[0] if plan.source.files else '',
        'kind': plan.source.kind,
        'world': plan.source.world,
        'to': to,
        'complete': plan.complete,
        'losses': [
            {'output': output.name, **item_json(migrated)} for output, losses in plan.outputs for migrated in losses
        ],
        'metrics': [item_json(migrated) for migrated in plan.metrics],
        'refused': [
            {'output': output.name, 'why': output.refused, **place_json(output.place)}
            for output, _ in plan.outputs
            if output.refused
        ],
        'unread': [{'why': u.reason, 'text': u.text, **place_json(u.place)} for u in plan.source.unread],
        'remarks': list(plan.source.remarks),
        'notes': [{'title': n.title, 'sentence': n.sentence, 'anchor': n.anchor} for n in notes],
        'files': list(plan.source.files),
        'code': code,
    }


def place_json(place: Place) -> dict[str, Any]:
    return {'file': place.file, 'line': place.line}


def item_json(migrated: Migrated) -> dict[str, Any]:
    item = migrated.item
    return {
        'library': item.library,
        'name': item.name,
        'text': item.text,
        'weight': item.weight if isinstance(item.weight, (int, float)) else None,
        **place_json(item.place),
        'verdict': verdict_of(migrated),
        'readings': [
            {
                'versions': reading.versions,
                'verdict': reading.verdict,
                'spec': None if reading.spec is None else reading.spec.to_dict(),
                'offset': reading.offset,
                'differences': list(reading.differences),
                'measured': reading.measured,
                'bug': reading.bug,
            }
            for reading in migrated.readings
        ],
    }
