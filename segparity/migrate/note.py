"""Notes of a migration's report, and the evidence in a source that calls for one; data, compared and never executed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

DEEPEST = 32  # configs that people write have ten parts


@dataclass(frozen=True)
class SeenCall:
    """A call in a source: the last part of its dotted name, and its arguments as plain values where they are.

    Positional arguments stand under their position as text, '0', '1'. A value that could not be read may be any object;
    it counts as given and equals nothing. An operator with a constant is a call of its sign: ``mask / 255`` is
    ``SeenCall('/', {'1': 255})``. A ``dict(type='BN')`` of a config may be given as a call of 'BN'.
    """

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Argument:
    """What an argument has to be: one of ``among`` (anything but None if that is empty), or not given at all.

    names: its keyword, and its position as text where it has one. default: whether leaving it out counts as well.
    """

    names: tuple[str, ...]
    among: tuple[object, ...] = ()
    absent: bool = False
    default: bool = False

    def holds(self, arguments: Mapping[str, object]) -> bool:
        """Whether the arguments of a call are as said."""
        given = [arguments[name] for name in self.names if name in arguments]
        if not given or self.absent:
            return not given and (self.absent or self.default)
        return any(is_among(value, self.among) for value in given)


@dataclass(frozen=True)
class Call:
    """Evidence: a call of one of ``names``, '*' for any, whose arguments are all as said; of '*' the first is given."""

    names: tuple[str, ...]
    arguments: tuple[Argument, ...] = ()

    def seen(self, source: 'Source') -> bool:
        """Whether a call of the source is evidence."""
        if '*' in self.names:
            lists = [source.by_argument.get(name, []) for name in self.arguments[0].names]
        else:
            lists = [source.by_name.get(name, []) for name in self.names]
        return any(
            all(argument.holds(call.arguments) for argument in self.arguments) for some in lists for call in some
        )


@dataclass(frozen=True)
class Key:
    """Evidence: a config key whose dotted path has the parts of ``path`` in a row, with a value of ``among``.

    Indices of lists do not count: 'decode_head.norm_cfg' is in 'model.decode_head.0.norm_cfg.type'. An empty ``among``
    takes every value but None. last: whether the path has to end there.
    """

    path: str
    among: tuple[object, ...] = ()
    last: bool = True

    def seen(self, source: 'Source') -> bool:
        """Whether a key of the source is evidence."""
        want = self.path.split('.')
        return any(
            self.stands_in(parts, want) and is_among(value, self.among)
            for parts, value in source.by_part.get(want[-1], [])
        )

    def stands_in(self, parts: list[str], want: list[str]) -> bool:
        """Whether the wanted parts stand in those of a key one after the other, and at its end where they have to."""
        if self.last:
            return parts[-len(want) :] == want
        return any(parts[start : start + len(want)] == want for start in range(len(parts) - len(want) + 1))


@dataclass(frozen=True)
class Note:
    """One sentence for the report, the anchor of docs/moving.md that says more, and evidence, of which any suffices."""

    title: str
    sentence: str
    anchor: str
    evidence: tuple[Call | Key, ...]

    def called_for(self, source: 'Source') -> bool:
        """Whether a source has evidence for the note."""
        return any(evidence.seen(source) for evidence in self.evidence)


class Source:
    """What was seen in a source, found by name: its calls, and its config keys, also those inside values."""

    def __init__(self, calls: Iterable[SeenCall], keys: Mapping[str, object]) -> None:
        self.by_name: dict[str, list[SeenCall]] = {}
        self.by_argument: dict[str, list[SeenCall]] = {}
        for call in calls:
            self.by_name.setdefault(call.name, []).append(call)
            for name in call.arguments:
                self.by_argument.setdefault(name, []).append(call)
        self.by_part: dict[str, list[tuple[list[str], object]]] = {}
        for parts, value in leaves(keys):
            for part in set(parts):
                self.by_part.setdefault(part, []).append((parts, value))


def is_among(value: object, among: tuple[object, ...]) -> bool:
    """Whether a plain value, or a member of a list, is one of ``among``; True is not 1. Any but None if that is empty."""
    if not among:
        return value is not None
    members = value if isinstance(value, list | tuple) else (value,)
    plain = [member for member in members if isinstance(member, str | int | float | None)]
    return any(
        isinstance(member, bool) == isinstance(want, bool) and member == want for member in plain for want in among
    )


def leaves(keys: Mapping[str, object]) -> Iterator[tuple[list[str], object]]:
    """(parts of the path without indices, value) of every key and of those inside values, as deep as DEEPEST."""
    waiting = [([part for part in key.split('.') if not part.isdigit()], value) for key, value in keys.items()]
    while waiting:
        parts, value = waiting.pop()
        yield parts, value
        if len(parts) < DEEPEST and isinstance(value, Mapping):
            waiting += [([*parts, str(key)], inner) for key, inner in value.items()]
        elif len(parts) < DEEPEST and isinstance(value, list | tuple):
            waiting += [(parts, inner) for inner in value if isinstance(inner, Mapping)]
