"""What stands for the reference's gradient in the tests: slopes along directions, beside every entry."""

import numpy as np
import pytest

from segparity.parity import replay
from segparity.parity.derivative import NotSmoothError, gradient, slopes
from tests.support.expected import Slopes, assert_expected_gradient, directions_of, expected_result

LABEL = 'JaccardMetricLoss', 'default', 'soft_label'


@pytest.mark.parametrize(
    ('loss', 'example', 'case'),
    [LABEL, pytest.param('ConditionalBoundaryLoss', 'default', 'two_areas', marks=pytest.mark.slow)],
)
def test_slopes_are_those_of_every_entry(loss, example, case):
    spec, inputs, value, found = expected_result(loss, example, case)
    *_, same, entries = expected_result(loss, example, case, every_entry=True)
    assert isinstance(found, Slopes) and value == same
    assert len(found.shapes) == 1 + len(replay.of_extras(spec, inputs.adapted(spec)))
    assert not found.differ_from(entries, 'float64_gradient', '')
    np.testing.assert_array_equal(found.entries(), entries)


def test_one_wrong_entry_is_found_wherever_it_is():
    *_, found = expected_result(*LABEL)
    entries = found.entries()
    allowed = 1e-5 * np.abs(entries).max()
    for index in np.ndindex(entries.shape):
        wrong = entries.copy()
        wrong[index] += 3 * allowed
        assert found.differ_from(wrong, 'float32_gradient', '')
        with pytest.raises(AssertionError, match=str(index).replace('(', r'\(').replace(')', r'\)')):
            assert_expected_gradient(wrong, found, 'float32_gradient', '')


def test_errors_that_cancel_in_a_sum_are_found():
    *_, found = expected_result(*LABEL)
    entries = found.entries()
    off = 1e-4 * np.abs(entries).max()
    shifted = np.roll(entries, 1, axis=-1)
    swapped = entries[:, [1, 0, 2, 3]]
    pairs = entries + off * np.resize([1, -1], entries.size).reshape(entries.shape)
    for wrong in (entries + off, shifted, swapped, pairs, -entries, 0 * entries, entries * 1.0001):
        assert found.differ_from(wrong, 'float32_gradient', '')
    assert 'shape' in found.differ_from(entries[:1], 'float32_gradient', '')


def test_every_entry_is_in_one_direction():
    directions = directions_of(np.zeros((2, 4, 3, 4)))
    assert ((directions != 0).sum(0) == 1).all() and (np.abs(directions).sum(0) >= 0.5).all()


def test_a_kink_is_no_slope():
    x = np.array([0.003, 1.0])
    with pytest.raises(NotSmoothError):
        slopes(lambda x: np.abs(x).sum(), x, directions_of(x))
    np.testing.assert_allclose(
        slopes(lambda x: np.sin(x).sum(), x, directions_of(x)), directions_of(x) @ np.cos(x), rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(gradient(lambda x: np.sin(x).sum(), x), np.cos(x), rtol=0, atol=1e-12)
