"""What an expression of a source that is not run can be, besides plain Python."""

import ast
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from segparity.migrate.items import Place, Unread


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much a source may ask for; beyond it a value is ``Unread``, or the file is refused in a sentence (ValueError).

    steps: expressions and statements evaluated in all. turns: of one loop or comprehension. nesting: of statements and
    expressions in each other. calls: of functions of the source in each other. size: of a collection. weight: of a value
    with all that is in it. length: of a string. bits: of an integer. file_bytes, words: of a file.
    """

    steps: int = 200_000
    turns: int = 2_000
    nesting: int = 70
    calls: int = 4
    size: int = 20_000
    weight: int = 50_000
    length: int = 100_000
    bits: int = 2_048
    file_bytes: int = 5_000_000
    words: int = 400_000


LIMITS = Limits()
NOWHERE = Place('')


class Table(dict[Any, Any]):
    """A dict of the source that knows where it stands (``place``) and where each key was written (``places``).

    rest: why it may have more keys than these, where it may. unsure: whether keys whose values are Unread may be absent.
    attributes: whether its keys are attributes as well, and
    ``update`` goes into what both have: a dict that MMEngine has read.
    """

    def __init__(
        self, items: Iterable[tuple[Any, Any]] = (), place: Place = NOWHERE, places: Mapping[Any, Place] | None = None
    ) -> None:
        super().__init__(items)
        self.place = place
        self.places: dict[Any, Place] = dict(places or {})
        self.rest: Unread | None = None
        self.unsure = False
        self.attributes = False

    def put(self, key: Any, value: Any, place: Place) -> None:
        self[key] = value
        self.places[key] = place

    def take(self, other: Mapping[Any, Any], place: Place) -> None:
        """As ``update``; keys keep the places of the other table, or get ``place``."""
        known = places(other)
        if isinstance(other, Table):
            self.rest, self.unsure = self.rest or other.rest, self.unsure or other.unsure
        for key, value in other.items():
            self.put(key, value, known.get(key, place))

    def copy(self) -> 'Table':
        return self.like(self.items())

    def like(self, items: Iterable[tuple[Any, Any]]) -> 'Table':
        """Another one with these items, which says the same about itself."""
        made = Table(items, self.place, self.places)
        made.rest, made.unsure, made.attributes = self.rest, self.unsure, self.attributes
        return made

    def clear(self) -> None:
        super().clear()
        self.places.clear()
        self.rest, self.unsure = None, False

    @property
    def whole(self) -> bool:
        """Whether its keys are known."""
        return self.rest is None and not self.unsure


def places(value: Mapping[Any, Any]) -> Mapping[Any, Place]:
    """Where each key of a dict of the source was written last; keys of which it is not known are left out."""
    return value.places if isinstance(value, Table) else {}


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Reference:
    """A name that the source imports or never defines, not called: 'keras.losses.Dice', '.unet.build', 'print'.

    on: for an attribute of a value that is no reference (``model.output``), that value; ``name`` is then '.output'.
    """

    name: str
    place: Place
    on: Any = None

    def __repr__(self) -> str:
        return f'<{self.name}>'


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Function:
    """A function or lambda that the source defines; ``scope`` is that in which it stands."""

    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    place: Place
    scope: 'Scope'

    def __repr__(self) -> str:
        return f'<function {self.name}>'


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Class:
    """A class that the source defines: its bases, and ``scope`` with what its body assigns and defines."""

    name: str
    node: ast.ClassDef
    place: Place
    scope: 'Scope'
    bases: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f'<class {self.name}>'


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Called:
    """A call that is not evaluated.

    name: dotted, resolved through imports ('keras.losses.Dice'); '.compile' for a method of a value that is no reference,
    which is ``on``; '' where a value is called (``Conv2D(3)(x)``, ``on`` is the layer); 'operator.add' and so on for an
    operator one side of which is no plain value (``dice + 2 * focal``); 'operator.getitem' for a subscript.
    args and kwargs are copies as they were at the call: plain values, ``Called``, ``Reference``, ``Function``, ``Unread``.
    starred: whether * or ** brought arguments that are not known. target: the ``Function`` or ``Class`` of the source.
    A value may be an argument of several calls, thousands deep (a network is written so): walk with a stack and a memo.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    place: Place
    text: str
    on: Any = None
    target: 'Function | Class | None' = None
    starred: bool = False

    def __repr__(self) -> str:
        return f'<{self.text}>'


@dataclasses.dataclass(frozen=True)
class Maybe(Unread):
    """A value that may be one of several collections, which it changes where it is changed."""

    of: tuple[Any, ...] = dataclasses.field(default=(), compare=False, repr=False)


def maybe(unread: Unread, *values: Any) -> Unread:
    """``unread``, which knows the collections among the values that it may be."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, Maybe):
            found += value.of
        elif isinstance(value, (dict, list, set, tuple)):
            found.append(value)
    return Maybe(unread.reason, unread.place, unread.text, tuple(found[:20])) if found else unread


class Scope(dict[str, Any]):
    """Names and their values. parent: the scope around it. places: where each name was bound last.

    stars: modules of which everything is imported. defaults: parameters that hold the default of the function.
    unread: what stopped before its end.
    """

    def __init__(self, parent: 'Scope | None' = None) -> None:
        super().__init__()
        self.parent = parent
        self.places: dict[str, Place] = {}
        self.stars: list[str] = []
        self.defaults: set[str] = set()
        self.outer: set[str] = set()  # declared global or nonlocal
        self.unread: list[Unread] = []

    def bind(self, name: str, value: Any, place: Place) -> None:
        owner: Scope = self
        if name in self.outer:
            while owner.parent is not None:
                owner = owner.parent
        owner[name] = value
        owner.places[name] = place
        owner.defaults.discard(name)

    def holder(self, name: str) -> 'Scope | None':
        """The innermost scope that has the name."""
        scope: Scope | None = self
        while scope is not None and name not in scope:
            scope = scope.parent
        return scope


SCALARS = (bool, int, float, str, bytes, type(None))
PLAIN = (*SCALARS, complex, tuple, list, dict, set, frozenset, range)


def is_plain(value: Any) -> bool:
    """Whether a value is plain Python itself; what is in it may be anything."""
    return isinstance(value, PLAIN)
