"""Colours of classes: from a palette file, or a built-in cycle told apart with every common colour blindness.

The first eight are Okabe and Ito's; further rounds are lighter and darker shades of them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from segparity.evaluate.palette import Colour, Palette

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


def built_in(count: int) -> np.ndarray:
    """uint8 (count, 3): the cycle; it repeats after 8 x 16 shades and then goes on between them."""
    rounds = -(-count // len(BASE))
    colours = []
    for k in range(rounds):
        shade = SHADES[k] if k < len(SHADES) else ((k * 0.618) % 1 - 0.5) * 1.3
        end = 255 if shade > 0 else 0
        colours += [[channel + abs(shade) * (end - channel) for channel in base] for base in BASE]
    return np.array(colours[:count]).round().astype(np.uint8)


def of_palette(path: Path, palette: Palette, classes: Sequence[str]) -> tuple[np.ndarray, Palette]:
    """What a palette file says of the table's classes: (uint8 (C, 3), colours with their class ids for reading maps).

    A palette that names its colours is taken by name, any other in order; ValueError where a class has no colour.
    """
    own = [entry for entry in palette.colours if entry[3] is not None]
    if all(palette.names):
        missing = [name for name in classes if name not in palette.names]
        if missing:
            raise ValueError(f'{path}: the palette lacks {len(missing)} classes, the first is {missing[0]!r}')
        order = [palette.names.index(name) for name in classes]
    elif len(own) < len(classes):
        raise ValueError(
            f'{path}: a palette has a colour for each of the {len(classes)} classes, got {len(own)} colours'
        )
    else:
        order = list(range(len(classes)))
    ids = {place: c for c, place in enumerate(order)}
    coded = tuple((*colour, None if place is None else ids.get(place)) for *colour, place in palette.colours)
    return np.array([own[place][:3] for place in order], np.uint8), palette._replace(
        colours=cast(tuple[Colour, ...], coded)
    )
