"""Versions of a library as text, and the ranges in which a name means one thing."""

import dataclasses
import re


def parse_version(version: str) -> tuple[int, ...]:
    """The numbers at the start of a version: '1.2.2' -> (1, 2, 2), 'v1.0.0rc1' -> (1, 0, 0); () where there is none."""
    found = re.match(r'v?(\d+(?:\.\d+)*)', version.strip())
    return tuple(int(part) for part in found.group(1).split('.')) if found else ()


@dataclasses.dataclass(frozen=True)
class Versions:
    """Versions >= ``since`` and < ``before``; None is without end. ``text``: how a report says it."""

    text: str = 'any'
    since: str | None = None
    before: str | None = None

    def __contains__(self, version: str) -> bool:
        numbers = parse_version(version)
        if self.since is not None and numbers < parse_version(self.since):
            return False
        return self.before is None or numbers < parse_version(self.before)


ANY = Versions()
