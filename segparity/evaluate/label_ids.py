"""Ids under which a data set publishes its labels, and the classes that they stand for."""

import numpy as np

from segparity.evaluate.palette import UNKNOWN

LabelIds = tuple[tuple[int, int | None], ...]  # (id in the file, class, or None for what is no class)


def to_classes(ids: np.ndarray, label_ids: LabelIds, void: int, kept: int | None = None) -> np.ndarray:
    """The classes of label ids, int64 of the same shape: ``void`` where an id stands for none, ``UNKNOWN`` where it is
    none of the label ids; ``kept`` stays what it is, unless it is one."""
    if ids.dtype == np.uint8:  # a table of all that there can be
        return to_classes(np.arange(256), label_ids, void, kept)[ids]
    known = {given: void if class_id is None else class_id for given, class_id in label_ids}
    low, high = min(known), max(known)
    table = np.full(high - low + 1, UNKNOWN, np.int64)
    table[np.array(list(known)) - low] = list(known.values())
    inside = ids <= high
    place = np.maximum(np.where(inside, ids, 0).astype(np.int64), low - 1) - low
    inside &= place >= 0
    found = np.where(inside, table[place], UNKNOWN)
    if kept is not None and kept not in known:
        found[ids == kept] = kept
    return found
