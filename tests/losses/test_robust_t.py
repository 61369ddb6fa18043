"""RobustTLoss by hand, against PyTorch's Student t, and its laws; on the reference."""

import math

import numpy as np
import pytest

from shared_spec.losses.region.robust_t import log_gamma_ratio
from tests.losses.by_hand import logits_and_label, loss, loss_of_logits, random_probabilities, weighted_mean
from tests.support.assertions import assert_same


def robust_t(residual, weight=None, **params):
    """Of one image of background, whose prediction is its residual."""
    residual = np.asarray(residual, float)[None, None]
    return loss('RobustTLoss', residual, np.zeros(residual[:, 0].shape, int), weight, **{'epsilon': 0, **params})


def test_robust_t():
    """One pixel and one degree of freedom are Cauchy's; two and two have the density 1 / (2*pi*(1 + S/2)^2)."""
    assert_same(robust_t([0.3]), math.log(math.pi * (1 + 0.3**2)), 'float64')
    assert_same(robust_t([0.3, 0.8], nu=2), math.log(2 * math.pi) + 2 * math.log(1 + 0.73 / 2), 'float64')
    assert_same(
        loss('RobustTLoss', np.array([[[0.3]]]), np.array([[1]]), epsilon=0), math.log(math.pi * 1.49), 'float64'
    )
    precise = math.log(math.pi * (1 + math.e**2 * 0.3**2)) - 1
    assert_same(robust_t([0.3], log_precision=2, loss_weight=3), 3 * precise, 'float64')


@pytest.mark.parametrize('nu', [1e9, 1e14, 1e17, 1e25])
def test_robust_t_of_many_degrees_of_freedom_is_gaussian(nu):
    """To the order of 1 / nu, whatever cancels on the way."""
    residual = np.linspace(0.01, 0.9, 50)
    want = 25 * math.log(2 * math.pi) - 25 * 0.3 + math.exp(0.3) * (residual**2).sum() / 2
    assert abs(robust_t(residual, nu=nu, log_precision=0.3) - want) < 1e-12 * want + 1e3 / nu


@pytest.mark.parametrize('x', [0.5, 9999.0, 1e4, 12345.5, 1e6, 1e12])
def test_log_gamma_ratio_is_the_logarithm_of_a_product(x):
    """Of x (x + 1) (x + 2); the two logarithms of a large x by themselves have no digit of it left."""
    want = sum(math.log(x + k) for k in range(3))
    assert abs(log_gamma_ratio(x, 3) - want) < (2e-11 if x < 1e4 else 1e-13)


def test_robust_t_epsilon_is_added_to_nu_and_to_both_logarithms():
    want = math.log(math.pi) + math.log(0.9) / 2 + math.log(1 + math.exp(0.1) * 0.3**2)
    assert_same(robust_t([0.3], nu=0.9, epsilon=0.1), want, 'float64')


@pytest.mark.parametrize(('nu', 'log_precision'), [(1.0, 0.0), (3.5, 1.0), (0.4, -0.7)])
def test_robust_t_is_a_chain_of_pytorch_s_student_t(nu, log_precision):
    """Given k residuals whose squares add up to S, the next has nu + k degrees and the scale^2 (nu + S)/(nu + k)."""
    torch = pytest.importorskip('torch')
    residual, unit = [0.1, 0.9, 0.4, 0.05, 0.6], math.exp(log_precision / 2)
    want, square = 0.0, 0.0
    for k, r in enumerate(residual):
        scale = math.sqrt((nu + square) / (nu + k)) / unit
        t = torch.distributions.StudentT(*(torch.tensor(x, dtype=torch.float64) for x in (nu + k, 0.0, scale)))
        want -= t.log_prob(torch.tensor(r, dtype=torch.float64)).item()
        square += (unit * r) ** 2
    assert_same(robust_t(residual, nu=nu, log_precision=log_precision), want, 'float64')


def test_robust_t_of_many_degrees_of_freedom_is_a_gaussian():
    residual, precision = [0.1, 0.9, 0.4], math.exp(1.5)
    gaussian = 3 / 2 * math.log(2 * math.pi / precision) + precision * (0.01 + 0.81 + 0.16) / 2
    assert_same(robust_t(residual, nu=1e8, log_precision=1.5), gaussian, 'float32')


def test_robust_t_of_an_outlier_grows_as_its_logarithm():
    """Of log(1 + exp(60)*S): twice the residual costs (nu + D)*log 2 more, not four times as much."""
    grown = robust_t([0, 0, 1], nu=2, log_precision=60) - robust_t([0, 0, 0.5], nu=2, log_precision=60)
    assert_same(grown, (2 + 3) * math.log(2), 'float64', scale=100)


def test_robust_t_slope_is_largest_where_the_residual_is_the_root_of_nu():
    """The slope (nu + 1)*r / (nu + r^2) is at most (nu + 1) / (2*sqrt(nu)), whatever the residual."""
    nu, h = 1 / 16, 3e-6
    slope = {
        r: (robust_t([r + h], nu=nu) - robust_t([r - h], nu=nu)) / (2 * h) for r in (0.0625, 0.125, 0.25, 0.5, 0.75)
    }
    assert_same(slope[0.25], (1 / 16 + 1) / (2 * 0.25), 'central_difference')
    assert_same(slope[0.75], (1 / 16 + 1) * 0.75 / (1 / 16 + 0.75**2), 'central_difference')
    assert max(slope, key=slope.get) == 0.25


def test_robust_t_is_the_mean_over_foreground_maps_and_over_images():
    pred, label = random_probabilities(10, space=(2, 3))
    alone = [
        [loss('RobustTLoss', pred[i : i + 1, k][:, None], label[i : i + 1] == k, nu=2.5) for k in (1, 2)]
        for i in (0, 1)
    ]
    assert_same(loss('RobustTLoss', pred, label, nu=2.5), np.mean(alone), 'float64')
    want = weighted_mean(*np.mean(alone, 1))
    assert_same(loss('RobustTLoss', pred, label, np.array([0.5, 2]), nu=2.5), want, 'float64')


def test_robust_t_of_one_channel_is_that_of_two():
    z, both, label = logits_and_label()
    assert_same(loss_of_logits('RobustTLoss', z, label), loss_of_logits('RobustTLoss', both, label), 'float64')
