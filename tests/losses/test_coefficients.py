"""A part of a loss whose factor is 0 is absent, infinite or not; a prediction that is NaN shows all the same."""

import math

import numpy as np
import pytest

from shared_spec import LOSSES
from tests.losses.coefficients import CASES, IDS, LOW, inputs
from tests.support.assertions import TOLERANCES, assert_gradient, assert_same
from tests.support.frameworks import axis

EACH = pytest.mark.parametrize('k', range(len(CASES)), ids=IDS)


def spec_of(k):
    name, params, _ = CASES[k]
    return LOSSES[name](**params)


def test_reference_by_hand():
    """Two pixels of foreground, one predicted with p = 1/2, one with p = 0."""
    pred, target = np.array([[[0.0, -np.inf]]]), np.array([[1, 1]])
    dice = (0.5 + 0.5) / (0.5 + 1.5 / 2 + 0.5)  # tp 0.5, fn 1.5, smooth 0.5
    for params in (dict(alpha=0.0), dict(alpha=0.0, beta=0.0)):
        assert_same(LOSSES['ComboLoss'](smooth=0.5, **params).reference(pred, target), -dice, 'float64')
    half = LOSSES['ComboLoss'](smooth=0.5, alpha=0.4, beta=0.0).reference(pred, target)
    assert_same(half, -0.6 * dice, 'float64')
    assert LOSSES['ComboLoss']().reference(pred, target) == math.inf
    assert LOSSES['WeightedCrossEntropyLoss'](loss_weight=0.0).reference(pred, target) == 0
    assert LOSSES['LovaszHingeLoss'](loss_weight=0.0).reference(pred, target) == 0


@EACH
def test_reference_as_with_finite_logits(k):
    channels = CASES[k][2]
    value, low = (spec_of(k).reference(*inputs(channels, x)) for x in (-np.inf, LOW))
    assert_same(value, low, 'float64', IDS[k])
    pred, target = inputs(channels, -np.inf)
    pred[0, 0, 3, 3] = np.nan
    assert math.isnan(spec_of(k).reference(pred, target)), IDS[k]


@EACH
@pytest.mark.parametrize('where', ['torch', 'torch_fused', 'eyes_shut', 'eyes_shut_fused'])
def test_pytorch(where, k):
    pytest.importorskip('mmseg', reason='mmseg is not installed')
    from tests.losses.test_values import counted_channels, run

    (_, params, channels), spec = CASES[k], spec_of(k)
    value, slope = run(where, spec, *inputs(channels, -np.inf), None)
    low, low_slope = run(where, spec, *inputs(channels, LOW), None)
    assert_same(value, low, 'float64', IDS[k])
    assert_gradient(slope, low_slope, 'float64', IDS[k])
    assert_same(value, spec.reference(*inputs(channels, -np.inf)), 'float64', IDS[k])
    pred, target = inputs(channels, -np.inf)
    pred[0, 0, 3, 3] = np.nan
    value, slope = run(where, spec, pred, target, None)
    slope = np.isnan(counted_channels(spec, slope))
    assert np.isnan(value) and slope.any() and (slope.all() or params.get('activation') == 'sigmoid'), IDS[k]


def test_pytorch_map_and_parameters():
    """The unreduced map, NaN at the pixel alone; nu, which a loss of factor 0 learns with a slope of 0."""
    torch = pytest.importorskip('torch', reason='torch is not installed')
    pytest.importorskip('mmseg', reason='mmseg is not installed')
    from tests.losses.test_values import MODELS, run

    pred, target = inputs(3, -np.inf)
    pred[0, 0, 3, 3] = np.nan
    spec = LOSSES['WeightedCrossEntropyLoss'](loss_weight=0.0)
    found, _ = run('torch', spec, pred, target, None, reduction_override='none')
    want = np.where(np.isnan(pred[:, 0]), np.nan, 0.0)
    assert np.array_equal(found, want, equal_nan=True)
    assert np.array_equal(spec.reference(pred, target, reduction='none'), want, equal_nan=True)
    loss = MODELS.build(dict(type='RobustTLoss', loss_weight=0.0))
    loss(torch.tensor(inputs(3, 0.0)[0], requires_grad=True), torch.tensor(target)).backward()
    assert loss.log_nu.grad.item() == 0


@pytest.mark.slow
@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_keras(framework, worker):
    """TensorFlow's graph and JAX compiled, on the losses that can be infinite; PyTorch eagerly, on all."""
    jit = dict(keras_tensorflow=False, keras_jax=True, keras_torch=None)[framework]
    infinite = {'WeightedCrossEntropyLoss', 'FocalCrossEntropyLoss', 'ComboLoss', 'LovaszHingeLoss', 'WeightedSumLoss'}
    cases = [k for k, (name, _, _) in enumerate(CASES) if framework == 'keras_torch' or name in infinite]
    cases = cases[::2] if framework == 'keras_jax' else cases  # each compiles
    found, _ = worker.call('tests.losses.coefficient_calls:outcomes', jit=jit, cases=cases)
    for k, value, low, difference, seen in found:
        assert_same(value, low, 'float32', IDS[k])
        assert difference <= TOLERANCES['float32_gradient'][0] * max(1, abs(low)), IDS[k]
        assert seen == [True, True], IDS[k]
