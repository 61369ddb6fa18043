"""Logarithms of probabilities near 1: gradients that are steep there keep their digits."""

import pytest

torch = pytest.importorskip('torch', reason='PyTorch is not installed')


def test_the_gradient_of_the_logarithm_of_a_probability_near_one():
    """log p of the largest has the slope 1 - p, not what rounding leaves of it."""
    from mmseg_plugin.kernels.log_probabilities import LogBoth

    numbers = [[11.0, -1.0, -0.5], [0.0, 12.0, -2.0], [1.0, 1.5, 2.0]]
    slopes = []
    for dtype in (torch.float32, torch.float64):
        z = torch.tensor(numbers, dtype=dtype).T[None].clone().requires_grad_()
        log_p = LogBoth.apply(z)[0] if dtype == torch.float32 else z.log_softmax(1)
        ((-log_p) ** 0.3).sum().backward()
        slopes.append(z.grad.double())
    assert (slopes[0] - slopes[1]).abs().max() < 1e-6 * slopes[1].abs().max()
