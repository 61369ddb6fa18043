"""Palettes: which colour stands for which class."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

UNKNOWN = np.iinfo(np.int16).min  # the id of a colour that is not in the palette
HEADS = {'r': 'r', 'red': 'r', 'g': 'g', 'green': 'g', 'b': 'b', 'blue': 'b'}
Colour = tuple[int, int, int, int | None]  # r, g, b, id


class Palette(NamedTuple):
    """``colours``: (r, g, b, id) each; id None is ignored. ``names``: of the classes, '' where it has none."""

    colours: tuple[Colour, ...]
    names: tuple[str, ...]


def read_palette(path: str | Path) -> Palette:
    """The palette of a file: JSON, {name: [r, g, b]} or [[r, g, b], ...], or text, ``r g b [name]`` on each line.

    Classes are numbered in order. An entry named 'ignore' is no class: its colour is ignored. Text may have commas, and
    a first line that names its columns (name,r,g,b).
    """
    path = Path(path)
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError:
        raise ValueError(f'{path} is no palette: not a text in UTF-8') from None
    entries = from_json(path, text) if text.lstrip()[:1] in ('[', '{') else from_lines(path, text)
    colours: list[Colour] = []
    names: list[str] = []
    seen: dict[tuple[int, ...], str] = {}
    for place, name, colour in entries:
        if len(colour) != 3 or not all(type(v) is int and 0 <= v <= 255 for v in colour):
            raise ValueError(f'{path}, {place}: a colour is three integers from 0 to 255, got {list(colour)}')
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


def from_json(path: Path, text: str) -> Iterator[tuple[str, str, list[Any]]]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f'{path} is no palette: {error}') from None
    except RecursionError:
        raise ValueError(f'{path} is no palette: it is nested too deeply') from None
    items = found.items() if isinstance(found, dict) else [('', colour) for colour in found]
    for number, (name, colour) in enumerate(items):
        yield f'entry {number}', name.strip(), colour if isinstance(colour, list) else [colour]


def from_lines(path: Path, text: str) -> Iterator[tuple[str, str, list[int]]]:
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
