"""Values with all that is in them: how heavy they are, and copies that are cut off from the source."""

from collections.abc import Callable, Iterable
from typing import Any

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
    """Whether nothing but plain Python is in a value that was weighed, and the keys of its dicts are known."""
    stack = [value]
    while stack:
        value = stack.pop()
        if not is_plain(value) or (isinstance(value, Table) and not value.whole):
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
