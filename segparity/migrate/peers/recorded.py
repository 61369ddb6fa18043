"""The recorded differences: what ``python -m segparity.migrate.measure`` wrote."""

import functools
import importlib.resources
import json
from collections.abc import Mapping
from typing import Any

from segparity.migrate.items import Context, Item, Reading
from segparity.migrate.peers.rows import Example, Row

FILE = 'measured.json'


def value_text(value: Any) -> str:
    """A value as a call would have it; an item in an item by its name."""
    if isinstance(value, Item):
        return call_text(value.name, value.arguments)
    if isinstance(value, (list, tuple)):
        return '[' + ', '.join(value_text(part) for part in value) + ']'
    return repr(value)


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """``name(argument=value, ...)`` in one line."""
    return f'{name}({", ".join(f"{key}={value_text(value)}" for key, value in arguments.items())})'


def context_text(context: Mapping[str, Any]) -> str:
    """What a context says, in few words: '3 channels, ignored label 255'."""
    words = []
    for name, value in context.items():
        if value is not None:
            words.append({
                'channels': f'{value} channel{"s" if value != 1 else ""}',
                'num_classes': f'{value} classes',
                'ignore_index': f'ignored label {value}',
                'labels': f'{str(value).replace("ids", "class ids").replace("one_hot", "one-hot")} labels',
                'activation': 'logits' if value == 'logits' else f'{value} output',
            }.get(name, f'{name} {value}'))  # fmt: skip
    return ', '.join(words)


def key_of(row: Row, example: Example) -> str:
    """How a record is found: library, versions, call, context."""
    parts = [row.library, row.versions.text, call_text(row.name, example.arguments), context_text(example.context)]
    return ' | '.join([*parts, '--compat'] if example.compat else parts)


@functools.cache
def records() -> dict[str, dict[str, Any]]:
    """Key -> record; {} where the file has not been written yet."""
    file = importlib.resources.files('segparity.migrate.peers').joinpath(FILE)
    if not file.is_file():
        return {}
    content: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding='utf-8'))
    return content


def measured_difference(row: Row, item: Item, context: Context, compat: bool, reading: Reading) -> float | None:
    """The recorded difference of an item: that of the same example, else the largest of the row with the same verdict."""
    if reading.spec is None:
        return None
    largest: float | None = None
    for example in row.examples:
        record = records().get(key_of(row, example))
        if not record or record['value'] is None or record['verdict'] != reading.verdict or example.compat != compat:
            continue
        same = all(getattr(context, name) == value for name, value in example.context.items())
        if same and example.arguments == dict(item.arguments):
            return float(record['value'])
        largest = max(largest or 0.0, float(record['value']))
    return largest
