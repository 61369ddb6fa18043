"""Lists of class names: text, JSON or YAML."""

from pathlib import Path
from typing import Any

from segparity.evaluate.structured import YAML, parse, read_text, shown

WRAPPERS = ('classes', 'names', 'labels', 'categories')  # where a file about more than classes has them
ID = ('id', 'index')
NAME = ('name', 'title', 'label')


def read_classes(path: str | Path) -> list[str]:
    """The names of the classes, in the order of their ids.

    A text has one on each line. JSON and YAML have a list of names, {id: name}, {name: id} or a list of
    {id: .., name: ..}, alone or under the key 'classes', 'names', 'labels' or 'categories'; ids are those from 0 on, each
    once. Raises ValueError for everything else, ImportError where YAML lacks PyYAML.
    """
    path = Path(path)
    text = read_text(path)
    if path.suffix.lower() not in ('.json', *YAML):
        return [line.strip() for line in text.splitlines() if line.strip()]
    found = unwrap(parse(path, text, 'list of classes'))
    if isinstance(found, list) and any(isinstance(entry, dict) for entry in found):
        named = in_order(path, [described(path, entry) for entry in found])
    elif isinstance(found, list):
        named = found
    elif isinstance(found, dict) and found and all(is_id(v) for v in found.values()):
        named = in_order(path, [(v, k) for k, v in found.items()])
    elif isinstance(found, dict):
        named = in_order(path, list(found.items()))
    else:
        raise ValueError(f'{path} is no list of classes: expected a list of names or {{id: name}}, got {shown(found)}')
    return [name_of(path, k, name) for k, name in enumerate(named)]


def unwrap(found: Any) -> Any:
    """The list or dict under one of the keys that stand for classes, where there is one."""
    if isinstance(found, dict):
        for key in WRAPPERS:
            if isinstance(found.get(key), (list, dict)):
                return found[key]
    return found


def described(path: Path, entry: Any) -> tuple[Any, Any]:
    """(id, name) of {id: .., name: ..}."""
    found = (
        [next((entry[key] for key in keys if key in entry), None) for keys in (ID, NAME)]
        if isinstance(entry, dict)
        else []
    )
    if None in found or not found:
        raise ValueError(f"{path}: every class must have an 'id' and a 'name', got {shown(entry)}")
    return found[0], found[1]


def in_order(path: Path, entries: list[tuple[Any, Any]]) -> list[Any]:
    """The names of (id, name) in the order of the ids, which must be all from 0 on."""
    by_id: dict[int, Any] = {}
    for given, name in entries:
        number = int(given) if isinstance(given, str) and is_number(given) else given
        if not is_id(number):
            raise ValueError(f'{path}: the id of a class must be a whole number from 0 on, got {shown(given)}')
        if number in by_id:
            raise ValueError(f'{path}: the id {number} is that of {shown(by_id[number])} and of {shown(name)}')
        by_id[number] = name
    absent = next((k for k in range(len(by_id)) if k not in by_id), None)
    if absent is not None:
        raise ValueError(
            f'{path}: the ids of {len(by_id)} classes must be 0 to {len(by_id) - 1}, got {max(by_id)} and no {absent}'
        )
    return [by_id[k] for k in range(len(by_id))]


def is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def is_id(value: Any) -> bool:
    return type(value) is int and value >= 0


def name_of(path: Path, number: int, name: Any) -> str:
    if not isinstance(name, str) or not name.strip():
        advice = '; in YAML such a word needs quotes' if isinstance(name, (bool, int, float)) else ''
        raise ValueError(f'{path}: the name of class {number} must be a text, got {shown(name)}{advice}')
    return ' '.join(name.split())
