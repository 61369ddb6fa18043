"""Colours of classes: from a palette file, or a built-in cycle told apart with every common colour blindness.

The first eight are Okabe and Ito's; further rounds are lighter and darker shades of them.
"""

import json
from pathlib import Path

import numpy as np

BASE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (110, 110, 110),
)
SHADES = (0, 0.4, -0.4, 0.65, -0.6, 0.2, -0.2, 0.5, -0.5, 0.3, -0.3, 0.75, -0.7, 0.1, -0.1, 0.57)
OUTSIDE = (255, 255, 255)  # pixels that are ignored or belong to no class


def built_in(count):
    """uint8 (count, 3): the cycle; it repeats after 8 x 16 shades and then goes on between them."""
    rounds = -(-count // len(BASE))
    colours = []
    for k in range(rounds):
        shade = SHADES[k] if k < len(SHADES) else ((k * 0.618) % 1 - 0.5) * 1.3
        end = 255 if shade > 0 else 0
        colours += [[channel + abs(shade) * (end - channel) for channel in base] for base in BASE]
    return np.array(colours[:count]).round().astype(np.uint8)


def read_palette(path, classes):
    """uint8 (C, 3) from {"name": [r, g, b]} or [[r, g, b], ...]; ValueError in one sentence for anything else."""
    path = Path(path)
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except (UnicodeDecodeError, ValueError) as error:
        raise ValueError(
            f'{path}: a palette is JSON, {{"name": [r, g, b]}} or a list of [r, g, b] ({error})'
        ) from error
    if isinstance(found, dict):
        missing = [name for name in classes if name not in found]
        if missing:
            raise ValueError(f'{path}: the palette lacks {len(missing)} classes, the first is {missing[0]!r}')
        found = [found[name] for name in classes]
    if not isinstance(found, list) or len(found) < len(classes):
        given = f'{len(found)} colours' if isinstance(found, list) else type(found).__name__
        raise ValueError(f'{path}: a palette has a colour for each of the {len(classes)} classes, got {given}')
    for colour in found[: len(classes)]:
        whole = isinstance(colour, list) and len(colour) == 3 and all(type(v) is int and 0 <= v <= 255 for v in colour)
        if not whole:
            raise ValueError(f'{path}: a colour is [r, g, b] with whole numbers from 0 to 255, got {colour!r}')
    return np.array(found[: len(classes)], np.uint8)


def css(colour):
    """(230, 159, 0) -> '#e69f00'."""
    return '#{:02x}{:02x}{:02x}'.format(*map(int, colour))
