"""One comparison for every test of results: names, their order, where they are NaN, and their values."""

import math

from tests.support.assertions import TOLERANCES

SAME, FLOAT32, PUBLISHED = (TOLERANCES[name][0] for name in ('float64', 'float32', 'published'))


def assert_results(got, want, tolerance, case=''):
    """``got`` has exactly the names of ``want`` in its order, NaN where it is NaN, and its values to ``tolerance``."""
    assert list(got) == list(want), f'{case}: names {list(got)} instead of {list(want)}'
    assert_agrees(got, want, tolerance, case)


def assert_agrees(got, want, tolerance, case=''):
    """As ``assert_results``, for the names of ``want`` only."""
    wrong = []
    for name, value in want.items():
        a, b = float(got[name]), float(value)
        if math.isnan(a) != math.isnan(b) or abs(a - b) > tolerance:
            wrong.append(f'{name}: got {a!r}, want {b!r}')
    assert not wrong, f'{case}: ' + '; '.join(wrong)
