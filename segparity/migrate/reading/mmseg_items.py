"""Losses and evaluators of a configuration as items, and the plain values in it."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from segparity.migrate.items import Item, Place, Unread
from segparity.migrate.reading import mmseg_facts
from segparity.migrate.reading.text import shorten
from segparity.migrate.reading.values import SCALARS, Called, Class, Function, Reference, Table

INTERNAL = ('type', '_delete_', '_scope_')
LIBRARIES = {
    'mmseg': 'mmseg',
    'mmseg_plugin': 'segparity',
    'segparity': 'segparity',
    'monai': 'monai',
    'torch': 'torch',
    'torchmetrics': 'torchmetrics',
    'kornia': 'kornia',
    'segmentation_models_pytorch': 'smp',
}
KEYS = 4000  # of a configuration that are handed on


@dataclasses.dataclass(frozen=True)
class Typed:
    """A dict with a ``type`` as a call: what ``segparity.migrate.moving`` takes."""

    name: str
    arguments: Mapping[str, Any]


def our_names() -> frozenset[str]:
    """Losses and evaluators of ours, as configurations name them."""
    import shared_spec
    from shared_spec.registry import LOSSES, METRICS

    assert shared_spec  # noqa: S101 - its import fills the registry
    return frozenset((*LOSSES, *(spec.mmseg_type for spec in METRICS.values())))


def library_of(kind: Any, scope: Any = None) -> tuple[str, str] | None:
    """(library, name) of a ``type``: text, dotted text or an imported class; None where it is neither."""
    if isinstance(kind, Reference) and kind.on is None:
        kind = kind.name
    elif isinstance(kind, (Class, Function)):
        return 'own', kind.name
    if not isinstance(kind, str) or not kind:
        return None
    package, _, name = kind.rpartition('.')
    name = name or kind
    root = package.split('.')[0] if package else (scope if isinstance(scope, str) else '')
    if package and root not in LIBRARIES:
        return 'own', kind if root else name
    if root in ('', 'mmseg'):
        if name in mmseg_facts.LOSSES or name in mmseg_facts.METRICS:
            return 'mmseg', name
        return ('segparity' if name in our_names() else 'own'), name
    return LIBRARIES.get(root, 'own'), name


def plain(value: Any, place: Place) -> Any:
    """A value of a configuration in plain Python: dicts with a type as items, what is no plain value as ``Unread``."""
    if isinstance(value, dict):
        if 'type' in value:
            return item_of(value, place)
        known = value.places if isinstance(value, Table) else {}
        return {key: plain(part, known.get(key, place)) for key, part in value.items()}
    if isinstance(value, (list, set)):
        return [plain(part, place) for part in value]
    if isinstance(value, tuple):
        return tuple(plain(part, place) for part in value)
    if isinstance(value, range):
        return list(value[:KEYS])
    if isinstance(value, (Unread, *SCALARS)):
        return value
    if isinstance(value, (Called, Reference, Function, Class)):
        return unknown(value, place)
    return Unread('it is no value of a configuration', place)


def unknown(value: Any, place: Place) -> Unread:
    """A call or a name as ``Unread``."""
    if isinstance(value, Called):
        return Unread('what the call gives is known only when the source runs', value.place, value.text)
    text = value.name if isinstance(value, (Reference, Function, Class)) else ''
    return Unread('the name is not defined in the source, or not by a plain value', place, text)


def item_of(table: Mapping[str, Any], place: Place) -> Item | Unread:
    """A dict with a ``type``; Unread where the type is not known."""
    known = table.places if isinstance(table, Table) else {}
    own = table.place if isinstance(table, Table) and table.place.file else place
    where = known.get('type', own)
    kind = table['type']
    if isinstance(kind, Unread):
        return dataclasses.replace(kind, reason=f'its type: {kind.reason}')
    found = library_of(kind, table.get('_scope_'))
    if found is None:
        return Unread('its type is neither a name nor a class', where, shorten(written(table)))
    arguments = {str(key): plain(value, known.get(key, own)) for key, value in table.items() if key not in INTERNAL}
    if isinstance(table, Table) and table.rest is not None:
        arguments['**'] = dataclasses.replace(table.rest, reason=f'it may have more arguments: {table.rest.reason}')
    return Item(*found, arguments, where, text=shorten(written(table)))


def written(value: Any, depth: int = 0) -> str:
    """A value as a configuration would write it, cut short."""
    if depth > 4:
        return '...'
    if isinstance(value, dict):
        parts = [
            f'{key}={written(part, depth + 1)}' for key, part in list(value.items())[:30] if key not in INTERNAL[1:]
        ]
        return f'dict({", ".join(parts)})'
    if isinstance(value, (list, tuple)):
        inside = ', '.join(written(part, depth + 1) for part in value[:30])
        return f'[{inside}]' if isinstance(value, list) else f'({inside})'
    if isinstance(value, (Reference, Function, Class)):
        return value.name.rpartition('.')[2]
    if isinstance(value, (Called, Unread)):
        return value.text or '...'
    return repr(value[:200]) if isinstance(value, (str, bytes)) else repr(value)


def unread_in(item: Any, path: str) -> Iterator[Unread]:
    """What was not read in an item and its arguments, each named by its key below ``path``."""
    if isinstance(item, Unread):
        yield named(path, item, item.place)
    elif isinstance(item, (Item, dict)):
        for key, value in (item.arguments if isinstance(item, Item) else item).items():
            yield from unread_in(value, path if key == '**' else f'{path}.{key}')
    elif isinstance(item, (list, tuple)):
        for index, value in enumerate(item):
            yield from unread_in(value, f'{path}[{index}]')


def named(name: str, value: Any, place: Place) -> Unread:
    """A value that was not read, with the key under which it stands."""
    if isinstance(value, Table) and value.rest is not None and 'type' not in value:
        value = value.rest
    elif isinstance(value, (Called, Reference, Function, Class)):
        value = unknown(value, place)
    elif isinstance(value, dict):
        value = Unread('it has no type', place, shorten(written(value)))
    elif not isinstance(value, Unread):
        value = Unread('it is not of the kind that belongs here', place, shorten(written(value)))
    return dataclasses.replace(value, reason=f'{name}: {value.reason}' if name else value.reason)


def keys_and_types(table: Table) -> tuple[dict[str, Any], list[Typed]]:
    """(dotted path -> plain value, every dict with a type as a call) of a configuration, the first few thousand."""
    keys: dict[str, Any] = {}
    types: list[Typed] = []
    waiting: list[tuple[str, Any]] = [('', table)]
    while waiting and len(keys) < KEYS:
        path, value = waiting.pop()
        before = f'{path}.' if path else ''
        if isinstance(value, dict):
            found = library_of(value['type'], value.get('_scope_')) if 'type' in value else None
            if found is not None and len(types) < KEYS:
                shown = {str(key): part for key, part in value.items() if key not in INTERNAL}
                types.append(Typed(found[1].rpartition('.')[2], {key: simple(part) for key, part in shown.items()}))
            waiting.extend((f'{before}{key}', part) for key, part in reversed(list(value.items())[:KEYS]))
        elif isinstance(value, (list, tuple)) and any(isinstance(part, (dict, list, tuple)) for part in value):
            waiting.extend((f'{before}{index}', part) for index, part in reversed(list(enumerate(value))[:KEYS]))
        else:
            keys[path] = simple(value)
    return keys, types


def simple(value: Any) -> Any:
    """A plain scalar, or list of them; the last part of a class's name; else None."""
    if isinstance(value, Reference):
        return value.name.rpartition('.')[2]
    if isinstance(value, (list, tuple)):
        return [simple(part) for part in value[:100]]
    return value if isinstance(value, SCALARS) else None
