"""Palettes: which colour stands for which class."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from segparity.evaluate.structured import YAML, parse, read_text, shown

UNKNOWN = np.iinfo(np.int16).min  # the id of a colour that is not in the palette
HEADS = {'r': 'r', 'red': 'r', 'g': 'g', 'green': 'g', 'b': 'b', 'blue': 'b'}
HEX = re.compile('#[0-9a-fA-F]{6}')
HEX_LINE = re.compile(r'(?P<colour>#[0-9a-fA-F]{6})(?:[\s,]+(?P<name>.*))?$')
Colour = tuple[int, int, int, int | None]  # r, g, b, id


class Palette(NamedTuple):
    """``colours``: (r, g, b, id) each; id None is ignored. ``names``: of the classes, '' where it has none."""

    colours: tuple[Colour, ...]
    names: tuple[str, ...]


def read_palette(path: str | Path) -> Palette:
    """The palette of a file: JSON or YAML, {name: colour}, [colour, ...] or [{name: .., color: ..}, ...] where a colour
    is [r, g, b] or '#804080', or text, ``r g b [name]`` or ``#804080 [name]`` on each line.

    Classes are numbered in order. An entry named 'ignore' is no class: its colour is ignored. Text may have commas, and
    a first line that names its columns (name,r,g,b). In a text of r g b, what follows a # is a comment.
    """
    path = Path(path)
    text = read_text(path, kind='palette')
    structured = path.suffix.lower() in YAML or text.lstrip()[:1] in ('[', '{')
    entries = from_structure(path, text) if structured else from_lines(path, text)
    colours: list[Colour] = []
    names: list[str] = []
    seen: dict[tuple[int, ...], str] = {}
    for place, name, colour in entries:
        if len(colour) != 3 or not all(type(v) is int and 0 <= v <= 255 for v in colour):
            raise ValueError(f'{path}, {place}: a colour is three integers from 0 to 255, got {shown(list(colour))}')
        if tuple(colour) in seen:
            raise ValueError(f'{path}, {place}: the colour {list(colour)} is also that of {seen[tuple(colour)]}')
        seen[tuple(colour)] = place
        ignored = name.lower() == 'ignore'
        colours.append((*colour, None if ignored else len(names)))
        if not ignored:
            names.append(name)
    if not names:
        raise ValueError(f'the palette {path} has no class')
    return Palette(tuple(colours), tuple(names))


def from_structure(path: Path, text: str) -> Iterator[tuple[str, str, list[Any]]]:
    """(place, name, colour) of each entry of JSON or YAML."""
    found = parse(path, text, 'palette')
    if not isinstance(found, (dict, list)):
        raise ValueError(f'{path} is no palette: expected {{name: colour}} or a list of colours')
    items = found.items() if isinstance(found, dict) else [name_and_colour(entry) for entry in found]
    for number, (name, colour) in enumerate(items):
        if not isinstance(name, str):
            raise ValueError(f'{path}, entry {number}: a name must be a text, got {shown(name)}')
        if isinstance(colour, str) and HEX.fullmatch(colour):
            colour = rgb_of(colour)
        yield f'entry {number}', name.strip(), colour if isinstance(colour, list) else [colour]


def name_and_colour(entry: Any) -> tuple[Any, Any]:
    """Of an entry of a list: a colour, or {name: .., color: ..}."""
    if isinstance(entry, dict):
        return entry.get('name', ''), next((entry[key] for key in ('color', 'colour') if key in entry), None)
    return '', entry


def rgb_of(text: str) -> list[int]:
    """'#804080' -> [128, 64, 128]."""
    return list(bytes.fromhex(text.lstrip('#')))


def from_lines(path: Path, text: str) -> Iterator[tuple[str, str, list[int]]]:
    hexes = [HEX_LINE.match(line.strip()) for line in text.splitlines()]
    if any(hexes) and all(found or not line.split('#')[0].strip() for found, line in zip(hexes, text.splitlines())):
        yield from (
            (f'line {number}', (found['name'] or '').split('#')[0].strip(), rgb_of(found['colour']))
            for number, found in enumerate(hexes, 1)
            if found
        )
        return
    columns = None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split('#')[0].strip()
        if not line:
            continue
        words = [w.strip() for w in line.split(',')] if ',' in line else line.split()
        head = [HEADS.get(w.lower(), w.lower()) for w in words]
        if columns is None and {'r', 'g', 'b'} <= set(head):
            columns = head
            continue
        columns = columns or ['r', 'g', 'b']
        row = dict(zip(columns, words))
        name = row.get('name', ' '.join(words[3:]) if columns == ['r', 'g', 'b'] else '')
        try:
            yield f'line {number}', name, [int(row[c]) for c in 'rgb']
        except (KeyError, ValueError):
            raise ValueError(f'{path}, line {number}: expected {" ".join(columns)} [name], got {line!r}') from None


def encode_colours(colours: np.ndarray) -> np.ndarray:
    """(..., 3) or (..., 4) uint8 -> one int32 for each colour; alpha is not looked at."""
    code = colours[..., 0].astype(np.int32)
    for channel in (1, 2):
        code <<= 8
        code |= colours[..., channel]
    return code


@functools.lru_cache(maxsize=2)  # one for the predictions, one for the ground truth
def table(colours: tuple[Colour, ...], ignore_index: int | None) -> np.ndarray:
    """The id of each of the 2^24 colours, int16."""
    ids = np.full(1 << 24, UNKNOWN, np.int16)
    for r, g, b, class_id in colours:
        # whoever reads a palette that ignores colours has an ignore_index
        ids[r << 16 | g << 8 | b] = cast(int, ignore_index) if class_id is None else class_id
    return ids


def to_ids(image: np.ndarray, colours: tuple[Colour, ...], ignore_index: int | None) -> np.ndarray:
    """(H, W, 3 or 4) uint8 -> (H, W) int16 ids, UNKNOWN where the palette lacks the colour."""
    return table(colours, ignore_index)[encode_colours(image)]
