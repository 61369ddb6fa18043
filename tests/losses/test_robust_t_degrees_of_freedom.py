"""RobustTLoss along log nu, which is learnt: the slope by hand, for nu from tiny to as large as a number can be."""

import math

import numpy as np
import pytest
from scipy.special import digamma

from shared_spec import LOSSES
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

COUNT, SQUARE = 20.0, 4.0
MODERATE = (0.1, 1.0, 3.0, 15.0, 17.0, 300.0)
HUGE = (1e9, 1e12, 1e16, 9e16, 2e17, 1e20, 1e25, 1e30, 1e34, 1e37)
BEYOND = (1e40, 1e100, 1e155, 1e300)  # for float64
TINY = (1e-37, 1e-30, 1e-12)


def slope(nu):
    """nu * d/dnu of lgamma(nu/2) - lgamma((nu + D)/2) + D/2*log(nu) + (nu + D)/2*log(1 + S/nu), without what cancels."""
    if nu > 1e8:
        return ((SQUARE - COUNT) ** 2 / 4 - COUNT / 2) / nu  # and of the order of 1/nu^2
    if nu < 1e-9:
        return -1.0 + 0.5 * nu * math.log(SQUARE / nu)  # and of the order of nu: lgamma(nu/2) is -log(nu/2)
    rising = nu / 2 * (digamma(nu / 2) - digamma((nu + COUNT) / 2) + math.log1p(SQUARE / nu))
    return rising + COUNT / 2 - (nu + COUNT) / 2 * SQUARE / (nu + SQUARE)


def check(got, log_nu, tolerance, case):
    want = np.array([slope(math.exp(x)) for x in np.asarray(log_nu, np.float64)])
    np.testing.assert_allclose(got, want, tolerance, 0, err_msg=case)


def test_the_slope_by_hand_is_that_of_the_reference():
    def value(log_nu):
        return LOSSES['RobustTLoss'](nu=math.exp(log_nu), epsilon=0).negative_log_likelihood(COUNT, SQUARE)

    for nu in (1e-12, *MODERATE):
        x = math.log(nu)
        assert (value(x + 1e-4) - value(x - 1e-4)) / 2e-4 == pytest.approx(slope(nu), abs=1e-7)
    gaussian = COUNT / 2 * math.log(2 * math.pi) + SQUARE / 2
    for nu in (*HUGE[3:], *BEYOND):
        loss = LOSSES['RobustTLoss'](nu=nu, epsilon=0)
        assert_same(loss.negative_log_likelihood(COUNT, SQUARE), gaussian, 'float64', str(nu))


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_pytorch(dtype):
    torch = pytest.importorskip('torch', reason='torch is not installed')
    pytest.importorskip('mmseg', reason='mmseg is not installed')
    import mmseg_plugin  # noqa: F401
    from mmseg_plugin.losses.region.robust_t import RobustTLoss

    kind, tolerance = getattr(torch, dtype), dict(float32=1e-4, float64=1e-6)[dtype]
    nu = np.array([*TINY, *MODERATE, *HUGE, *(BEYOND if dtype == 'float64' else ())])
    log_nu = torch.tensor(np.log(nu), dtype=kind, requires_grad=True)
    loss = RobustTLoss(epsilon=0)
    count, square = (torch.tensor(x, dtype=kind) for x in (COUNT, SQUARE))
    loss.negative_log_likelihood(count, square, log_nu).sum().backward()
    check(log_nu.grad.numpy(), log_nu.detach().numpy(), tolerance, dtype)

    pred, label = torch.full((1, 1, 4, 5), 0.5), torch.zeros(1, 4, 5, dtype=torch.long)
    for value in (1e9, 1e33, 1e300):  # D = 20 and S = 5
        learnt = RobustTLoss(epsilon=0, nu=value, from_logits=False)
        learnt(pred, label).backward()
        want = (15.0**2 / 4 - 10) / math.exp(learnt.log_nu.item())
        assert learnt.log_nu.grad.item() == pytest.approx(want, 1e-6, abs=1e-44)


@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_jax_x64', 'keras_torch'))
def test_keras(framework, worker):
    """TensorFlow eagerly and compiled, JAX compiled."""
    jits = dict(keras_tensorflow=dict(float32=None, float64=True), keras_torch=dict(float32=None, float64=None))
    for dtype, jit in jits.get(framework, {'float32' if framework == 'keras_jax' else 'float64': True}).items():
        nu = np.array([*TINY[1:], *MODERATE, *HUGE, *(BEYOND if dtype == 'float64' else ())])
        arrays = dict(count=np.array(COUNT), square=np.array(SQUARE), log_nu=np.log(nu).astype(dtype))
        kind, found = worker.call('tests.losses.nu_calls:slopes', arrays, jit=jit, dtype=dtype)
        assert kind == dtype
        check(found['slope'], arrays['log_nu'], dict(float32=1e-4, float64=1e-6)[dtype], f'{dtype}, jit={jit}')
