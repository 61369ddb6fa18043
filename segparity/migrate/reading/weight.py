"""Values with all that is in them: how heavy they are, copies that are cut off from the source, and what two have in common."""

from collections.abc import Callable, Iterable
from typing import Any

from segparity.migrate.items import Unread
from segparity.migrate.reading.values import NOWHERE, Table, is_plain


class TooMuch(Exception):
    """A value or a calculation is beyond a limit; the text ends a sentence "was not read: ..."."""


def parts(value: Any) -> Iterable[Any]:
    """What is in a collection, keys of dicts included."""
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, (list, tuple, set, frozenset)) else ()


def weigh(value: Any, limit: int, depth: int = 40) -> int:
    """How many values are in it, each as often as it is reached; TooMuch beyond the limit, or where it contains itself."""
    count, stack = 0, [(value, 0)]
    while stack:
        value, level = stack.pop()
        count += 1
        if count > limit or level > depth:
            raise TooMuch('the value is too large, or contains itself')
        if isinstance(value, (dict, list, tuple, set, frozenset)):
            count += len(value) // 8
            if count > limit:
                raise TooMuch('the value is too large, or contains itself')
            stack.extend((part, level + 1) for part in parts(value))
    return count


def plain_throughout(value: Any) -> bool:
    """Whether nothing but plain Python is in a value that was weighed."""
    stack = [value]
    while stack:
        value = stack.pop()
        if not is_plain(value):
            return False
        stack.extend(parts(value))
    return True


def clone(value: Any, memo: dict[int, Any] | None = None, leaf: Callable[[Any], Any] | None = None) -> Any:
    """A copy of the collections of a value that was weighed; what occurs twice occurs twice in the copy as one."""
    memo = {} if memo is None else memo
    if id(value) in memo:
        return memo[id(value)][0]
    made: Any
    if isinstance(value, dict):
        made = value.like(()) if isinstance(value, Table) else Table(place=NOWHERE)
        memo[id(value)] = made, value
        for key, part in value.items():
            made[key] = clone(part, memo, leaf)
        return made
    if isinstance(value, list):
        made = []
        memo[id(value)] = made, value
        made.extend(clone(part, memo, leaf) for part in value)
        return made
    if isinstance(value, tuple):
        made = tuple(clone(part, memo, leaf) for part in value)
    elif isinstance(value, set):
        made = set(value)
    else:
        return value if leaf is None else leaf(value)
    memo[id(value)] = made, value  # which stays alive as long as its number is used
    return made


def same(one: Any, other: Any) -> bool:
    """Whether two values, weighed, cannot be told apart; 1, 1.0 and True can."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(part, other[key]) for key, part in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other))
    if not is_plain(one):
        return False
    return bool(one == other)


def common(one: Any, other: Any, unread: Unread, met: set[tuple[int, int]] | None = None) -> Any:
    """What two values, weighed, have in common: ``one`` itself, in which keys that differ became ``unread``."""
    met = set() if met is None else met
    if same(one, other):
        return one
    if isinstance(one, dict) and isinstance(other, dict):
        if (id(one), id(other)) in met:
            return one
        met.add((id(one), id(other)))
        for key in list(one):
            one[key] = common(one[key], other[key], unread, met) if key in other else unread
        for key in other:
            if key not in one:
                one[key] = unread
        return one
    return unread
