"""How MMEngine puts a configuration on its bases."""

from typing import Any

from segparity.migrate.items import Unread
from segparity.migrate.reading.operators import bounded
from segparity.migrate.reading.values import LIMITS, Table, is_plain
from segparity.migrate.reading.weight import TooMuch, weigh

DELETE = '_delete_'


def merge(child: Table, base: Table, depth: int = 0, *, refuses: bool = True) -> Table:
    """The keys of ``child`` over those of ``base``, dicts in each other; ``_delete_`` drops what the base has.

    Where MMEngine would refuse, and where it is not known what it does, the value is ``Unread``. refuses: whether it refuses
    a dict over what is none, as it does for files and not for ``ConfigDict.merge``.
    """
    if depth > 40:
        raise TooMuch('dicts are nested too deeply')
    merged = base.copy()
    merged.rest = base.rest or child.rest
    for key, value in child.items():
        if key == DELETE:
            continue
        place = child.places.get(key, child.place)
        merged.put(key, over(key, value, merged, place, depth, refuses), place)
    bounded(len(merged), merged, LIMITS)
    return merged


def over(key: Any, value: Any, base: Table, place: Any, depth: int, refuses: bool) -> Any:
    """What a key of a child makes of the base's."""
    if not isinstance(value, dict):
        return value
    table = value if isinstance(value, Table) else Table(value.items(), place)
    deletes = table.get(DELETE, False)
    if not is_plain(deletes):
        return Unread('whether it replaces what its base has is not known', place)
    if deletes:
        return without_delete(table)
    if key not in base:
        return opened(without_delete(table), base.rest)
    before = base[key]
    if isinstance(before, Unread):
        return opened(without_delete(table), before)
    if not isinstance(before, dict) and not refuses:
        return without_delete(table)
    if not isinstance(before, dict):
        kind = type(before).__name__ if is_plain(before) else 'class'
        return Unread(f'MMEngine refuses it: {key} is a dict here and a {kind} in its base', place, str(key)[:60])
    return merge(table, before if isinstance(before, Table) else Table(before.items()), depth + 1, refuses=refuses)


def opened(table: Table, rest: Unread | None, depth: int = 0) -> Table:
    """A table below which a base may have more keys, and so may the dicts in it."""
    if rest is None or depth > 40:
        return table
    table.rest = table.rest or rest
    for key, value in table.items():
        if isinstance(value, Table) and not value.get(DELETE, False):
            table[key] = opened(value.copy(), rest, depth + 1)
    return table


def without_delete(table: Table) -> Table:
    """A copy without ``_delete_``."""
    kept = table.copy()
    kept.pop(DELETE, None)
    return kept


def as_read(value: Any) -> Any:
    """A copy of a value of a base as MMEngine hands it on: its dicts have attributes, and none is in two places."""
    weigh(value, LIMITS.weight)
    return _unshared(value, keep=False)


def hooked(value: Any) -> Any:
    """A value as a dict with attributes takes it: dicts that have none are copied, the others kept."""
    weigh(value, LIMITS.weight)
    return _unshared(value, keep=True)


def _unshared(value: Any, keep: bool) -> Any:
    if isinstance(value, dict):
        if keep and isinstance(value, Table) and value.attributes:
            return value
        made = value.like(()) if isinstance(value, Table) else Table()
        made.attributes = True
        for key, part in value.items():
            made[key] = _unshared(part, keep)
        return made
    if isinstance(value, (list, tuple)):
        parts = [_unshared(part, keep) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    return value
