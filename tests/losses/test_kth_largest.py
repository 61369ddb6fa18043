"""The k-th largest of many numbers beside sorting: what TopKCrossEntropyLoss and OhemCrossEntropyLoss select by."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from tests.support.frameworks import axis

NUMBERS = np.array(
    [0, -0.0, 1, 1, 1, np.inf, np.inf, -np.inf, -1, -2.5, 3e-39, 1e-45, 2, 2, 0.5, 1e30, -3e38, np.nan, -np.nan, 1 + 2.0**-23],
    np.float32,
)  # fmt: skip
WITHOUT_SUBNORMAL = np.where(np.abs(NUMBERS) < 1e-38, 0, NUMBERS)  # which compilers take for 0


def lists():
    """name -> (numbers, which count)."""
    rng = np.random.default_rng(0)
    losses = rng.exponential(size=3000).astype(np.float32)
    rounded = np.round(losses, 1)
    return {
        'special': (NUMBERS, np.ones(len(NUMBERS), bool)),
        'some': (NUMBERS, rng.random(len(NUMBERS)) < 0.6),
        'losses': (losses, rng.random(3000) < 0.9),
        'tied': (rounded, rng.random(3000) < 0.9),
        'equal': (np.full(7, 0.3, np.float32), np.ones(7, bool)),
    }


LISTS = lists()


def ranks_of(number):
    return sorted({1, 2, number // 3 + 1, number - 1, number} - {0})


def by_sorting(x, counts, k):
    """(which numbers are at most the k-th largest, how many of those tied are in, how many are tied); NaN is above all."""
    counted = np.sort(x[counts])[::-1]  # NaN comes first
    edge = counted[k - 1]
    if np.isnan(edge):
        tied = int(np.isnan(counted).sum())
        return np.ones(len(x), bool), k, tied
    above = int((np.isnan(counted) | (counted > edge)).sum())
    return x <= edge, k - above, int((counted == edge).sum())


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('name', LISTS)
def test_pytorch(name, dtype, monkeypatch):
    """In one piece and in many, counted by the quick function of the CPU and by that which never waits."""
    torch = pytest.importorskip('torch')
    from mmseg_plugin.kernels import kth_largest

    x, counts = LISTS[name]
    x = x.astype(dtype)
    keys = kth_largest.keys_of(torch.from_numpy(x))
    assert keys.element_size() == x.itemsize
    for quick in (True, False):
        monkeypatch.setattr(kth_largest, 'can_look', lambda *given, quick=quick: quick)
        for piece in (2**18, 7):
            monkeypatch.setattr(kth_largest, 'PIECE', piece)
            for k in ranks_of(int(counts.sum())):
                edge = kth_largest.kth_largest(keys, torch.from_numpy(counts), lambda n, k=k: n * 0 + k, sync=True)
                low, left, tied = by_sorting(x, counts, k)
                assert np.array_equal((keys <= edge.key).numpy(), low), (name, k)
                assert (int(edge.left), int(edge.tied), int(edge.of)) == (left, tied, counts.sum()), (name, k)


def test_pytorch_of_no_number():
    torch = pytest.importorskip('torch')
    from mmseg_plugin.kernels.kth_largest import keys_of, kth_largest

    for x, counts in (
        (torch.ones(3), torch.zeros(3, dtype=torch.bool)),
        (torch.ones(0), torch.ones(0, dtype=torch.bool)),
    ):
        edge = kth_largest(keys_of(x), counts, lambda n: n * 0 + 1, sync=True)
        assert (int(edge.left), int(edge.tied), int(edge.of)) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_keras(framework, worker):
    """TensorFlow and JAX compiled."""
    for name, (x, counts) in LISTS.items():
        if framework != 'keras_torch' and name in ('special', 'some'):
            x = WITHOUT_SUBNORMAL
        ranks = ranks_of(int(counts.sum()))
        _, found = worker.call('tests.losses.selection_calls:edges', dict(x=x, counts=counts), ranks=ranks, jit=True)
        for k in ranks:
            low, left, tied = by_sorting(x, counts, k)
            assert np.array_equal(found[f'low {k}'], low), (name, k)
            assert (int(found[f'left {k}']), int(found[f'tied {k}'])) == (left, tied), (name, k)


@pytest.mark.parametrize('framework', axis('keras_torch'))
def test_keras_of_float64(framework, worker):
    for name, (x, counts) in LISTS.items():
        x, k = x.astype(np.float64), 1 + int(counts.sum()) // 3
        _, found = worker.call('tests.losses.selection_calls:edges', dict(x=x, counts=counts), ranks=[k])
        low, left, tied = by_sorting(x, counts, k)
        assert np.array_equal(found[f'low {k}'], low), name
        assert (int(found[f'left {k}']), int(found[f'tied {k}'])) == (left, tied), name


@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_a_share_of_a_number_of_pixels_in_32_bits(framework, worker):
    shares = [
        Fraction(1, 10),
        Fraction(1),
        Fraction(1, 3),
        Fraction(99_999_999, 10**8),
        Fraction(1, 10**8),
        Fraction(57, 100),
    ]
    numbers = [0, 1, 2, 9, 10, 99, 100, 7000, 2**24 + 1, 10**8, 2**31 - 1]
    found, _ = worker.call(
        'tests.losses.selection_calls:places', shares=[[s.numerator, s.denominator] for s in shares], numbers=numbers
    )
    assert found == [[floor(share * n) for n in numbers] for share in shares]
