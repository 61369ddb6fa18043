"""Calls that are evaluated: builtins and methods of plain values, each bounded.

Arguments were weighed, and are plain throughout where ``DEEP`` or ``COMPARING`` names the call, else plain themselves.
"""

import copy
import itertools
import posixpath
import string
from collections.abc import Callable
from typing import Any

from segparity.migrate.items import Place
from segparity.migrate.reading.operators import bounded, formatted, limited, small
from segparity.migrate.reading.values import SCALARS, Limits, Table
from segparity.migrate.reading.weight import TooMuch, clone


def as_list(value: Any, limits: Limits) -> list[Any]:
    """The items of a plain iterable; TooMuch where there are too many, TypeError where it is none."""
    if not isinstance(value, (str, bytes, list, tuple, dict, set, frozenset, range)):
        raise TypeError('this is nothing to go through')
    if isinstance(value, range) and (value.stop - value.start) // value.step > limits.size:
        raise TooMuch('the range is too long')
    closed(value)
    bounded(len(value), [], limits)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=lambda item: (type(item).__name__, repr(item)))  # one order in every process
    return list(value)


def closed(value: Any) -> Any:
    """The value; TooMuch where it is a dict whose keys are not known."""
    if isinstance(value, Table) and not value.whole:
        raise TooMuch('which keys it has is not known')
    return value


def _dict(limits: Limits, place: Place, *args: Any, **kwargs: Any) -> Table:
    table = Table(place=place)
    if len(args) > 1:
        raise TypeError('dict takes one argument')
    if args:
        table.take(args[0] if isinstance(args[0], dict) else dict(_pairs(args[0], limits)), place)
    for key, value in kwargs.items():
        table.put(key, value, place)
    bounded(len(table), table, limits)
    return table


def _pairs(value: Any, limits: Limits) -> list[tuple[Any, Any]]:
    return [(key, item) for key, item in (as_list(pair, limits) for pair in as_list(value, limits))]


def _range(limits: Limits, place: Place, *args: Any) -> range:
    return range(*args)


def _sum(limits: Limits, place: Place, items: Any, start: Any = 0) -> Any:
    total = start
    for item in as_list(items, limits):
        if not all(isinstance(part, (bool, int, float)) for part in (item, total)):
            if not isinstance(item, (list, tuple)) or not isinstance(total, (list, tuple)):
                raise TypeError('these cannot be added up')
            bounded(len(total) + len(item), total, limits)
        total = total + item  # type: ignore[operator]
    return small(total, limits)


def _int(limits: Limits, place: Place, *args: Any) -> int:
    if args and isinstance(args[0], (str, bytes)) and len(args[0]) > 1000:
        raise TooMuch('the number is too large')
    return int(small(int(*args), limits))


def _round(limits: Limits, place: Place, value: Any, digits: Any = None) -> Any:
    if digits is not None and abs(digits) > 400:
        raise TooMuch('the number is too large')
    return round(value, digits)


def _sorted(limits: Limits, place: Place, items: Any, reverse: Any = False) -> list[Any]:
    return sorted(as_list(items, limits), reverse=bool(reverse))


def _least(function: Callable[..., Any]) -> Callable[..., Any]:
    def least(limits: Limits, place: Place, *args: Any, **kwargs: Any) -> Any:
        if set(kwargs) - {'default'}:
            raise TypeError('it has a key')
        items = as_list(args[0], limits) if len(args) == 1 else list(args)
        return function(items, **kwargs) if len(args) == 1 else function(items)

    return least


def _join(limits: Limits, place: Place, first: str, *others: str) -> str:
    return str(limited(posixpath.join(first, *others), limits))


def _one(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda limits, place, *args, **kwargs: function(*args, **kwargs)


def _listed(function: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    return lambda limits, place, *args: function(as_list(args[0], limits) if args else [])


def _float(limits: Limits, place: Place, *args: Any) -> float:
    if args and isinstance(args[0], (str, bytes)) and len(args[0]) > 1000:
        raise TooMuch('the number is too long')
    return float(*args)


def _zip(limits: Limits, place: Place, *args: Any, strict: Any = False) -> list[Any]:
    return list(zip(*(as_list(value, limits) for value in args)))


def _enumerate(limits: Limits, place: Place, items: Any, start: int = 0) -> list[Any]:
    return list(enumerate(as_list(items, limits), small(start, limits)))


def _str(limits: Limits, place: Place, value: Any = '') -> str:
    return formatted(value, '', limits) if isinstance(value, SCALARS) else str(limited(str(value), limits))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    'dict': _dict,
    'collections.OrderedDict': _dict,
    'mmengine.ConfigDict': _dict,
    'mmengine.config.ConfigDict': _dict,
    'list': _listed(list),
    'tuple': _listed(tuple),
    'set': _listed(set),
    'frozenset': _listed(frozenset),
    'len': _one(lambda value: len(closed(value))),
    'range': _range,
    'min': _least(min),
    'max': _least(max),
    'sum': _sum,
    'int': _int,
    'float': _float,
    'str': _str,
    'bool': _one(lambda value: bool(closed(value))),
    'round': _round,
    'abs': _one(abs),
    'zip': _zip,
    'enumerate': _enumerate,
    'sorted': _sorted,
    'reversed': _listed(lambda items: items[::-1]),
    'any': _listed(any),
    'all': _listed(all),
    'copy.copy': _one(lambda value: value.copy() if isinstance(value, Table) else copy.copy(value)),
    'copy.deepcopy': _one(clone),
    'os.path.join': _join,
    'os.path.basename': _one(posixpath.basename),
    'os.path.dirname': _one(posixpath.dirname),
    'os.path.splitext': _one(posixpath.splitext),
}
DEEP = frozenset(
    'set frozenset min max sum int float str sorted round abs any all os.path.join os.path.basename os.path.dirname '
    'os.path.splitext'.split()
)


CONVERSIONS: dict[str, Callable[[Any], str]] = {'s': str, 'r': repr, 'a': ascii}


def _format(limits: Limits, text: str, *args: Any, **kwargs: Any) -> str:
    made, counter = [], itertools.count()
    for literal, field, spec, conversion in string.Formatter().parse(text):
        made.append(literal)
        if field is None:
            continue
        if not (field == '' or field.isdecimal() or field.isidentifier()) or '{' in (spec or ''):
            raise TooMuch('its format looks into the value')
        place: Any = next(counter) if field == '' else field
        value = kwargs[place] if isinstance(place, str) and not place.isdecimal() else args[int(place)]
        if not isinstance(value, SCALARS):
            raise TooMuch('its format has a value that is no text or number')
        value = value if conversion is None else CONVERSIONS[conversion](value)
        made.append(formatted(value, spec or '', limits))
        bounded(sum(map(len, made)), '', limits)
    return ''.join(made)


def _replace(limits: Limits, text: str, old: str, new: str, count: int = -1) -> str:
    times = text.count(old) if count < 0 else min(count, text.count(old))
    bounded(len(text) + times * max(len(new) - len(old), 0), '', limits)
    return text.replace(old, new, count)


def _text_join(limits: Limits, text: str, items: Any) -> str:
    words = as_list(items, limits)
    bounded(sum(len(word) for word in words) + len(text) * len(words), '', limits)
    return text.join(words)


def _wide(name: str) -> Callable[..., str]:
    def wide(limits: Limits, text: str, width: int, *fill: str) -> str:
        bounded(width, '', limits)
        return str(getattr(text, name)(width, *fill))

    return wide


def _plain(name: str) -> Callable[..., Any]:
    return lambda limits, value, *args, **kwargs: getattr(value, name)(*args, **kwargs)


def _extend(limits: Limits, items: list[Any], more: Any) -> None:
    added = as_list(more, limits)
    bounded(len(items) + len(added), items, limits)
    items.extend(added)


def _insert(limits: Limits, items: list[Any], index: int, item: Any) -> None:
    bounded(len(items) + 1, items, limits)
    items.insert(index, item)


def _append(limits: Limits, items: list[Any], item: Any) -> None:
    bounded(len(items) + 1, items, limits)
    items.append(item)


def _sort(limits: Limits, items: list[Any], reverse: Any = False) -> None:
    items.sort(reverse=bool(reverse))


def _get(limits: Limits, table: dict[Any, Any], key: Any, default: Any = None) -> Any:
    if key not in table and getattr(table, 'rest', None) is not None:
        closed(table)
    return table.get(key, default)


def _pop(limits: Limits, table: dict[Any, Any], key: Any, *default: Any) -> Any:
    if key not in table and getattr(table, 'rest', None) is not None:
        closed(table)
    return table.pop(key, *default)


def _setdefault(limits: Limits, table: dict[Any, Any], key: Any, default: Any = None) -> Any:
    bounded(len(table) + 1, table, limits)
    if key not in table and getattr(table, 'rest', None) is not None:
        closed(table)
    return table.setdefault(key, default)


def _plain_list(limits: Limits, value: tuple[Any, ...]) -> list[Any]:
    return list(value)


TEXT_METHODS: dict[str, Callable[..., Any]] = {
    name: _plain(name)
    for name in (
        'upper lower strip lstrip rstrip split rsplit startswith endswith title capitalize find rfind index count '
        'partition rpartition splitlines removeprefix removesuffix isdigit isidentifier swapcase casefold'
    ).split()
} | {
    'format': _format,
    'replace': _replace,
    'join': _text_join,
    **{name: _wide(name) for name in ('zfill', 'ljust', 'rjust', 'center')},
}
LIST_METHODS: dict[str, Callable[..., Any]] = {
    'append': _append,
    'extend': _extend,
    'insert': _insert,
    'sort': _sort,
    **{name: _plain(name) for name in 'index count copy pop remove reverse clear'.split()},
}
TABLE_METHODS: dict[str, Callable[..., Any]] = {
    'items': lambda limits, table: list(closed(table).items()),
    'keys': lambda limits, table: list(closed(table).keys()),
    'values': lambda limits, table: list(closed(table).values()),
    'get': _get,
    'pop': _pop,
    'setdefault': _setdefault,
    **{name: _plain(name) for name in 'copy clear'.split()},  # update: evaluated where its place is known
}
SET_METHODS: dict[str, Callable[..., Any]] = {
    name: _plain(name) for name in 'add discard remove union difference intersection copy issubset issuperset'.split()
}
METHODS: tuple[tuple[type, dict[str, Callable[..., Any]]], ...] = (
    (str, TEXT_METHODS),
    (list, LIST_METHODS),
    (tuple, {'as_list': _plain_list, **{name: LIST_METHODS[name] for name in ('index', 'count')}}),  # of a shape
    (dict, TABLE_METHODS),
    (set, SET_METHODS),
)
COMPARING = frozenset({'index', 'count', 'remove', 'sort', 'join', 'format', *SET_METHODS} - {'copy'})


def method(value: Any, name: str) -> Callable[..., Any] | None:
    """The method of a plain value that may be evaluated: ``f(limits, value, *args, **kwargs)``."""
    for kind, methods in METHODS:
        if isinstance(value, kind):
            return methods.get(name)
    return None
