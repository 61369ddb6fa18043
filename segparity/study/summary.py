"""What the runs say together: means, spreads, and differences paired by seed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from segparity.study.conditions import CONDITIONS, PAIRS
from segparity.study.judging import MEASURES

CONFIDENCE = 0.95


def summary(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """data -> ``conditions``: condition -> measure -> mean, spread, values; ``differences``: a list of pairs.

    A pair is judged by the seeds that both conditions have.
    """
    found: dict[str, dict[str, dict[int, Mapping[str, Any]]]] = {}
    for record in records:
        found.setdefault(record['data'], {}).setdefault(record['condition'], {})[record['seed']] = record['measures']
    return {
        data: {
            'conditions': {
                condition: {name: spread(values_of(seeds, name)) for name in MEASURES}
                for condition in CONDITIONS
                if (seeds := conditions.get(condition))
            },
            'differences': [
                {'one': one, 'other': other, 'measures': compared(conditions[one], conditions[other])}
                for one, other in PAIRS.values()
                if one in conditions and other in conditions
            ],
        }
        for data, conditions in found.items()
    }


def values_of(seeds: Mapping[int, Mapping[str, Any]], name: str) -> list[float]:
    """A measure of every seed; what was no number in JSON is NaN."""
    return [number(seeds[seed][name]) for seed in sorted(seeds)]


def number(value: Any) -> float:
    return float('nan') if value is None else float(value)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean and standard deviation (of a sample: over n - 1), NaN for the latter where there is one value."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float('nan')
    return {'mean': float(np.mean(values)), 'spread': deviation, 'values': list(values)}


def compared(
    one: Mapping[int, Mapping[str, Any]], other: Mapping[int, Mapping[str, Any]]
) -> dict[str, dict[str, float]]:
    """Measure -> the mean difference one - other over common seeds, and its t interval."""
    common = sorted(set(one) & set(other))
    return {name: paired([number(one[seed][name]) - number(other[seed][name]) for seed in common]) for name in MEASURES}


def paired(differences: Sequence[float]) -> dict[str, float]:
    """Mean, and the interval in which 95 % lie by Student's t with n - 1 degrees of freedom: NaN for fewer than two."""
    n = len(differences)
    mean = float(np.mean(differences)) if n else float('nan')
    if n < 2:
        return {'mean': mean, 'low': float('nan'), 'high': float('nan')}
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(differences, ddof=1) / np.sqrt(n)
    return {'mean': mean, 'low': float(mean - half), 'high': float(mean + half)}


def verdict(difference: Mapping[str, float], better: int) -> str:
    """'better', 'worse' or 'higher', 'lower' where the interval leaves out 0; else 'open'."""
    low, high = difference['low'], difference['high']
    if not (low > 0 or high < 0):
        return 'open'
    up = low > 0
    if better == 0:
        return 'higher' if up else 'lower'
    return 'better' if up == (better > 0) else 'worse'
