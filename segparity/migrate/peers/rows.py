"""The table of peers: one row for each loss or metric of a library, found by its name and version."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from segparity.migrate.items import Reading
from segparity.migrate.peers.call import Call
from segparity.migrate.peers.versions import ANY, Versions

Read = Callable[[Call], Reading]


@dataclasses.dataclass(frozen=True)
class Example:
    """Arguments with which a row is measured and recorded, and the context in which they are read.

    how: 'run' measures the installed library, 'formula' what ``segparity.migrate.formulas`` has of it (a version or a
    library that cannot be installed beside the others), 'none' nothing: there is nothing near, or nothing to compare.
    """

    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    context: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    how: str = 'run'
    compat: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    """What one name of a library is, in a range of its versions.

    signature: argument -> default, in the order of positions. examples: measured by ``segparity.migrate.measure``.
    """

    library: str
    name: str
    kind: str
    signature: Mapping[str, Any]
    read: Read
    versions: Versions = ANY
    examples: Sequence[Example] = ()
    aliases: Sequence[str] = ()

    def accepts(self, arguments: Iterable[str]) -> bool:
        """Whether every argument has a parameter."""
        return all(name in self.signature or _position(name) < len(self.signature) for name in arguments)


def _position(name: str) -> float:
    return int(name) if name.isdecimal() else float('inf')


ROWS: dict[str, list[Row]] = {}
_BY_NAME: dict[tuple[str, str], list[Row]] = {}


def row(
    library: str,
    name: str,
    signature: Mapping[str, Any],
    *,
    kind: str = 'loss',
    versions: Versions = ANY,
    aliases: Sequence[str] = (),
    examples: Sequence[Example] = (),
) -> Callable[[Read], Read]:
    """Function decorator: makes a ``Row`` of what reads a call of the peer."""

    def register(read: Read) -> Read:
        made = Row(library, name, kind, signature, read, versions, tuple(examples), tuple(aliases))
        ROWS.setdefault(library, []).append(made)
        for known in (name, *aliases):
            _BY_NAME.setdefault((library, known), []).append(made)
        return read

    return register


def rows_of(library: str, name: str) -> list[Row]:
    """The rows of a name, one for each range of versions; [] for an unknown one."""
    return _BY_NAME.get((library, name), [])


def names_of(library: str) -> list[str]:
    """Every name that a library has in the table, aliases too."""
    return [name for known, name in _BY_NAME if known == library]
