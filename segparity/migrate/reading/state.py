"""What every name and collection holds at a moment: taken before a way that may not be gone, put back, and compared.

Collections stay the objects that they are, as names, other collections and calls under way hold them.
"""

from collections.abc import Callable, Iterable
from typing import Any

from segparity.migrate.items import Unread
from segparity.migrate.reading.values import SCALARS, Class, Function, Maybe, Reference, Scope, Table, maybe
from segparity.migrate.reading.weight import TooMuch, parts

COLLECTIONS = (dict, list, set)
DEEPEST = 60


def reachable(values: Iterable[Any], charge: Callable[[int], None]) -> dict[int, Any]:
    """Every dict, list and set in values and in scopes of functions and classes that they hold, by identity."""
    found: dict[int, Any] = {}
    met: set[int] = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, (Class, Function)):
            waiting.append(value.scope)
        elif isinstance(value, Maybe):
            waiting.extend(value.of)
        elif isinstance(value, (*COLLECTIONS, tuple)) and id(value) not in met:
            met.add(id(value))
            charge(1 + len(value) // 8)
            if not isinstance(value, tuple):
                found[id(value)] = value
            waiting.extend(part for part in parts(value) if not isinstance(part, SCALARS))
    return found


class State:
    """The contents of all collections that can be reached from ``roots``."""

    def __init__(self, roots: Iterable[Any], charge: Callable[[int], None]) -> None:
        self.roots = list(roots)
        self.charge = charge
        self.held = reachable(self.roots, charge)
        self.contents = {number: _content(value) for number, value in self.held.items()}
        self.pairs: dict[int, Any] = {}
        self.taken: dict[int, Any] = {}
        self.spoilt: dict[int, Any] = {}

    def after(self) -> 'State':
        """The state now, of all that was there before too."""
        return State([*self.roots, *self.held.values()], self.charge)

    def restore(self) -> None:
        for number, value in self.held.items():
            _fill(value, self.contents[number])

    def merge(self, other: 'State', unread: Unread) -> None:
        """Leaves in every collection of this state what ``other``, another way, and the present have in common."""
        for number, value in self.held.items():
            self.charge(1)
            first, second = other.contents[number], _content(value)
            if isinstance(value, dict):
                self.merge_tables(value, first, second, unread, 0)
            elif isinstance(value, list):
                if len(first) == len(second):
                    value[:] = [self.common(a, b, unread, 0) for a, b in zip(first, second)]
                else:
                    self.spoilt[number] = value
            elif first != second:
                self.spoilt[number] = value
        if self.spoilt:
            spoil(self.spoilt, [*self.roots, *self.held.values()], unread, self.charge)

    def merge_tables(self, target: dict[Any, Any], first: Any, second: Any, unread: Unread, depth: int) -> None:
        merged, unsure = {}, first[3] or second[3]
        for key in {**first[0], **second[0]}:
            both = key in first[0] and key in second[0]
            merged[key] = self.common(first[0][key], second[0][key], unread, depth + 1) if both else unread
            unsure = unsure or not both
            if not both and isinstance(target, Scope):
                target.places.setdefault(key, unread.place)
        _fill(target, (merged, {**second[1], **first[1]}, first[2] or second[2], unsure))

    def common(self, one: Any, other: Any, unread: Unread, depth: int) -> Any:
        """What two values of one name have in common."""
        made = self.shared(one, other, unread, depth)
        return maybe(unread, one, other) if made is unread else made

    def shared(self, one: Any, other: Any, unread: Unread, depth: int) -> Any:
        if one is other:
            return one
        if depth > DEEPEST or type(one) is not type(other):
            return unread
        if isinstance(one, (*SCALARS, complex, range)):
            return one if one == other or (one != one and other != other) else unread
        if isinstance(one, Reference):
            return one if one.name == other.name and one.on is None and other.on is None else unread
        if isinstance(one, tuple):
            if len(one) != len(other):
                return unread
            return tuple(self.common(a, b, unread, depth + 1) for a, b in zip(one, other))
        if not isinstance(one, (dict, list)) or id(one) in self.held or id(other) in self.held:
            return unread
        if id(one) in self.pairs or id(other) in self.taken:  # one object in one way has to be one in the other
            return one if self.pairs.get(id(one)) is other else unread
        self.pairs[id(one)], self.taken[id(other)] = other, one
        self.charge(1 + len(one))
        if isinstance(one, dict):
            self.merge_tables(one, _content(one), _content(other), unread, depth)
        elif len(one) == len(other):
            one[:] = [self.common(a, b, unread, depth + 1) for a, b in zip(one, other)]
        else:
            return unread
        return one


def _content(value: Any) -> Any:
    if isinstance(value, dict):
        known = dict(value.places) if isinstance(value, (Table, Scope)) else {}
        rest, unsure = (value.rest, value.unsure) if isinstance(value, Table) else (None, False)
        return dict(value), known, rest, unsure
    return set(value) if isinstance(value, set) else list(value)


def _fill(value: Any, content: Any) -> None:
    if isinstance(value, dict):
        value.clear()
        value.update(content[0])
        if isinstance(value, (Table, Scope)):
            value.places = dict(content[1])
        if isinstance(value, Table):
            value.rest, value.unsure = content[2], content[3]
    elif isinstance(value, set):
        value.clear()
        value.update(content)
    else:
        value[:] = content


def spoil(spoilt: dict[int, Any], roots: Iterable[Any], unread: Unread, charge: Callable[[int], None]) -> None:
    """Every name and collection that holds one of these collections holds ``unread`` in its place."""
    for value in reachable(roots, charge).values():
        if isinstance(value, dict):
            for key, part in value.items():
                if _holds(part, spoilt):
                    value[key] = unread
        elif isinstance(value, list):
            value[:] = [unread if _holds(part, spoilt) else part for part in value]


def _holds(value: Any, spoilt: dict[int, Any], depth: int = 0) -> bool:
    """Whether a value is one of these, or a tuple of them."""
    if isinstance(value, tuple):
        if depth > DEEPEST:
            raise TooMuch('tuples are nested too deeply')
        return any(_holds(part, spoilt, depth + 1) for part in value)
    return id(value) in spoilt
