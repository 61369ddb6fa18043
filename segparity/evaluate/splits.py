"""Split files: the images of a data set that are evaluated, one name on each line, as Pascal VOC's ``val.txt``."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from segparity.evaluate.structured import read_text

EXTENSIONS = (
    '.png',
    '.tif',
    '.tiff',
    '.npy',
    '.npz',
    '.jpg',
    '.jpeg',
    '.bmp',
    '.nii',
    '.gz',
    '.webp',
)  # no part of a name
LIMIT = 64 << 20  # bytes


class Split(NamedTuple):
    """The lines of a split file at ``path``, and ``suffixes`` that may follow the names in it."""

    path: Path
    lines: tuple[str, ...]
    suffixes: tuple[str, ...] = ()


def read_split(path: str | Path, suffixes: tuple[str, ...] = ()) -> Split:
    """The split in a text file; a line that comes twice counts once. Raises ValueError for a file without a name."""
    path = Path(path)
    lines = [line.strip() for line in read_text(path, LIMIT, 'split').splitlines()]
    found = tuple(dict.fromkeys(line for line in lines if line))
    if not found:
        raise ValueError(f'the split {path} names no image')
    return Split(path, found, suffixes)


def chosen_names(split: Split, known: Collection[str], suffixes: Iterable[str]) -> tuple[set[str], list[str]]:
    """(names among ``known`` that the split chooses, lines that choose none).

    ``known``: names of images, with their folders, without suffix and extension. A line may have more or fewer folders
    than the name, and any of the ``suffixes`` and an extension behind it. Raises ValueError where it fits two names.
    """
    by_last = defaultdict(list)
    for name in known:
        by_last[name.rpartition('/')[2]].append(name)
    suffixes = sorted(
        {'', *(os.path.splitext(s)[0] if has_extension(s) else s for s in (*split.suffixes, *suffixes))}, key=len
    )
    chosen, absent = set(), []
    for line in split.lines:
        fitting = fits(line, by_last, suffixes)
        if len(fitting) > 1:
            one, other = sorted(fitting)[:2]
            raise ValueError(f'the split {split.path} names {line!r}, which is both {one!r} and {other!r}')
        chosen.update(fitting)
        if not fitting:
            absent.append(line)
    return chosen, absent


def fits(line: str, by_last: dict[str, list[str]], suffixes: Iterable[str]) -> set[str]:
    """The names that a line may mean: those of its first reading that is a name at all."""
    *folders, last = [part for part in line.replace('\\', '/').split('/') if part not in ('', '.')] or ['']
    for bare in readings(last):
        for suffix in suffixes:
            if bare.endswith(suffix) and bare != suffix:
                wanted = [*folders, bare[: len(bare) - len(suffix)]]
                same = {name for name in by_last.get(wanted[-1], ()) if same_end(name.split('/'), wanted)}
                if same:
                    exact = '/'.join(wanted)
                    return {exact} if exact in same else same
    return set()


def readings(last: str) -> list[str]:
    """A name as it stands, and without its extension."""
    found = [last]
    while has_extension(found[-1]):
        found.append(os.path.splitext(found[-1])[0])
    return found


def has_extension(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def same_end(one: list[str], other: list[str]) -> bool:
    """Whether two paths are the same as far as the shorter one goes."""
    shared = min(len(one), len(other))
    return one[-shared:] == other[-shared:]
