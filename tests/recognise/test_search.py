"""The search recovers the parameters of forms that it is given, and the numbers that it prints are simple."""

import numpy as np
import pytest

from segparity.recognise.probes import fitting
from segparity.recognise.search import fit, regions
from segparity.recognise.simple import simple
from segparity.recognise.sums import Sums

WEIGHTS = (0.5, 0.5), (1, 1), (0.3, 0.7), (0.8, 0.2)


@pytest.mark.parametrize('channels', [1, 3])
def test_random_parameters_are_found(channels):
    rng, sums = np.random.default_rng(0), Sums(fitting(channels))
    forms = [r for r in regions(channels, ('linear', 'power', 'log')) if not r.means and r.cells != 'pixels']
    for region in forms[:: 2 if channels == 1 else 5]:
        for smooth in 10.0 ** rng.uniform(-7, 2, 2):
            weights = WEIGHTS[rng.integers(4)]
            theta = np.array([[np.log(smooth)] * 2 + [*weights] + [0.75] * (region.transform == 'power')])
            columns = region.columns(sums, theta)[0]
            values = columns @ rng.uniform(0.3, 2, columns.shape[1]) + 0.3
            assert fit(sums, values, (region,)).error < 1e-7, (region, smooth, weights)


@pytest.mark.parametrize(
    ('x', 'found'), [(0.30000001, 0.3), (1.33333334, 4 / 3), (4.9999e-7, 4.9999e-7), (0.123456, 0.123456), (2.0, 2.0)]
)
def test_simple_numbers(x, found):
    assert simple(x, 1e-6) == found
