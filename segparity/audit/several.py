"""Tables of several models: the same classes, and the images that they have in common."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segparity.audit.tables import Table, load_table


def load_tables(paths: Sequence[str | Path], names: list[str] | None = None) -> list[Table]:
    """The tables of several models, which must have the same classes; names default to the files' stems."""
    if names is None:
        names = [Path(path).stem for path in paths]
        if len(set(names)) < len(names):
            names = [Path(path).parent.name + '/' + Path(path).stem for path in paths]
    if len(names) != len(paths):
        raise ValueError(f'--names: one name for each of the {len(paths)} tables, got {len(names)}')
    if len(set(names)) < len(names) or not all(names):
        raise ValueError(f'the models need different names, got {", ".join(map(repr, names))}: name them with --names')
    tables = [load_table(path, name) for path, name in zip(paths, names)]
    first = tables[0]
    for other in tables[1:]:
        if other.classes != first.classes:
            raise ValueError(
                f'{other.path}: classes differ from those of {first.path}: {class_difference(first, other)}'
            )
        if (other.present_in, other.binary) != (first.present_in, first.binary):
            raise ValueError(f"{other.path}: 'present' follows another rule than in {first.path}")
    return tables


def class_difference(first: Table, other: Table) -> str:
    """What distinguishes two lists of class names, in a few words."""
    if len(first.classes) != len(other.classes):
        return f'{len(other.classes)} instead of {len(first.classes)}'
    c = next(c for c, (a, b) in enumerate(zip(first.classes, other.classes)) if a != b)
    return f'class {c} is {other.classes[c]!r} instead of {first.classes[c]!r}'


def in_common(tables: list[Table]) -> tuple[list[Table] | None, dict[str, list[str]]]:
    """The tables restricted to the images that all have, in the first one's order, and the images that not all have."""
    shared = set(tables[0].images).intersection(*(table.images for table in tables[1:]))
    kept = [image for image in tables[0].images if image in shared]
    odd = {table.name: [image for image in table.images if image not in shared] for table in tables}
    if not kept:
        return None, odd
    return [table.take(kept) for table in tables], {name: images for name, images in odd.items() if images}


def other_labels(tables: list[Table]) -> list[str]:
    """Images, in common, whose labelled pixels differ between the tables: other labels or other ignored pixels."""
    differs = np.zeros(len(tables[0].images), bool)
    for other in tables[1:]:
        differs |= (other.sizes != tables[0].sizes).any(1)
    return [image for image, d in zip(tables[0].images, differs) if d]
