"""Which other parameters of the same loss would make it what an opponent is: one changed, or two."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from segparity.parity.against.comparison import VALUE, Meeting, of_ours, values_of
from shared_spec import LossSpec, SpecError

CHANGES: dict[str, tuple[Any, ...]] = {
    'granularity': ('D', 'I', 'C'),
    'classes': ('auto', 'present', 'all', 'foreground'),
    'smooth': (0.0, 1e-7, 5e-7, 1e-6, 5e-6, 1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 50.0, 100.0),
    'norm': (1, 2),
    'activation': ('softmax', 'sigmoid'),
    'log_loss': (False, True),
    'label_smoothing': (0.0, 0.1),
    'gamma': (0.5, 0.75, 1.0, 4 / 3, 1.5, 2.0, 3.0),
    'absent': ('max', 'drop'),
    'weighting': ('square', 'simple', 'uniform', 'default', 'gdl'),
    'asymmetric': (False, True),
    'per_image': (False, True),
    'class_weight': (None,),
}
SWAPPED = ('alpha', 'beta')


def variants(spec: LossSpec, channels: int) -> Iterator[tuple[dict[str, Any], LossSpec]]:
    """(what is changed, spec) of every configuration that differs in one parameter, then in two."""
    single: list[dict[str, Any]] = []
    for name, values in CHANGES.items():
        if name in spec.parameters():
            for value in values:
                value = list(range(1, channels)) if value == 'foreground' else value
                if value != [] and value != spec.builtin_value(name):
                    single.append({name: value})
    if all(name in spec.parameters() for name in SWAPPED):
        single.append(dict(zip(SWAPPED, (spec.builtin_value(name) for name in SWAPPED[::-1]))))
        single.append(dict(alpha=0.5, beta=0.5))
    pairs = ({**a, **b} for a, b in itertools.combinations(single, 2) if not set(a) & set(b))
    for change in itertools.chain(single, pairs):
        try:
            yield change, type(spec).from_dict({**spec.to_dict(), **change})
        except SpecError:
            continue


def equal_variant(spec: LossSpec, meetings: Sequence[Meeting]) -> tuple[dict[str, Any], float, float] | None:
    """(change, factor, offset) by which ours becomes theirs in all cases, or None: theirs = factor * ours + offset.

    Only a factor of 1 or -1 and an offset of 0 or 1 are tried, which a score in place of a loss has.
    """
    usable = [m for m in meetings if not m.error and np.isfinite(m.theirs)]
    if len(usable) < 3 or 'losses' in spec.parameters():
        return None
    theirs = np.array([m.theirs for m in usable])
    channels = usable[0].case.pred.shape[1]
    for change, other in variants(spec, channels):
        try:
            first = of_ours(other, usable[0].case)
        except ValueError:
            continue
        for factor, offset in ((1.0, 0.0), (-1.0, 1.0), (-1.0, 0.0)):
            if abs(factor * first + offset - theirs[0]) <= VALUE * max(1.0, abs(first)):
                ours = values_of(other, usable)
                if (np.abs(factor * ours + offset - theirs) <= VALUE * np.maximum(1, np.abs(ours))).all():
                    return change, factor, offset
    return None
