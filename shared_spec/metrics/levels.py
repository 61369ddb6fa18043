"""The names of results as a matrix: what is measured, and over which mean."""

from collections.abc import Iterable


def level_of(name: str, rows: Iterable[str]) -> tuple[str, str] | None:
    """(score, level) of the name of a result, such as ('mIoU', 'C5'), or None where it has no level."""
    found = [row for row in rows if name.startswith(row) and len(name) > len(row)]
    return (max(found, key=len), name[len(max(found, key=len)) :]) if found else None
