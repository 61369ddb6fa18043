"""The comparison itself must be able to fail."""

import numpy as np
import pytest

from tests.support.assertions import TOLERANCES, assert_gradient, assert_same


@pytest.mark.parametrize('tol', [t for t in TOLERANCES if t != 'exact'])
def test_fails_just_above_and_passes_just_below(tol):
    allowed = TOLERANCES[tol][0]
    assert_same([1.0, 1 + 0.9 * allowed], [1.0, 1.0], tol)
    with pytest.raises(AssertionError, match=r'at \(1,\).*allowed'):
        assert_same([1.0, 1 + 2 * allowed], [1.0, 1.0], tol)


def test_exact_allows_nothing():
    assert_same(3, 3, 'exact')
    with pytest.raises(AssertionError):
        assert_same(1 + 1e-15, 1.0, 'exact')


@pytest.mark.parametrize(
    ('got', 'want'),
    [
        (np.nan, 1.0),
        (1.0, np.nan),
        (np.inf, 1.0),
        (np.inf, -np.inf),
        ([1.0], [[1.0]]),
        (True, 1.0),
        ([1.0, 2.0], [1.0]),
    ],
)
def test_fails_on_shape_kind_and_what_is_not_finite(got, want):
    with pytest.raises(AssertionError):
        assert_same(got, want, 'bfloat16')


def test_names_the_case_and_both_numbers():
    with pytest.raises(AssertionError, match='absent_class, keras_jax: 2.0 at .*expected 1.0'):
        assert_same([0.0, 2.0], [0.0, 1.0], 'float32', 'absent_class, keras_jax')


def test_gradient_scale_is_the_largest_entry_not_one():
    with pytest.raises(AssertionError):
        assert_gradient([2e-2 + 1e-6], [2e-2], 'float32_gradient')
    assert_gradient([2e-2 + 1e-8], [2e-2], 'float32_gradient')


def test_the_gradient_of_a_loss_that_is_nan_is_nan_where_it_has_to_be():
    for got in ([np.nan, 0.0], [np.nan, np.nan]):
        assert_gradient(got, [np.nan, 0.0], 'float32_gradient')
    for got in ([0.0, 0.0], [np.nan, 1.0], [1.0, np.nan], [np.nan, np.inf]):
        with pytest.raises(AssertionError):
            assert_gradient(got, [np.nan, 0.0], 'float32_gradient')
    with pytest.raises(AssertionError):
        assert_gradient([1.0, np.nan], [1.0, 0.0], 'float32_gradient')
