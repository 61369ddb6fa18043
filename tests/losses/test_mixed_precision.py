"""Keras' mixed policies: float16 scales the loss by itself, losses compute in float32, nothing overflows, all train.

What a loss makes of predictions in half precision, the largest included: tests/parity/test_losses.py.
"""

import numpy as np
import pytest

from tests.support.frameworks import axis
from tests.support.losses import PLAIN

FRAMEWORKS = 'keras_tensorflow', 'keras_jax', 'keras_torch'
POLICIES = ('mixed_float16', 'mixed_bfloat16')
# Keras on PyTorch trains every loss, the others one; JAX would compile each operation of each loss by itself
EVERY_LOSS = [
    pytest.param(*f.values, policy, marks=[*f.marks, *([] if f.values[0] == 'keras_torch' else [pytest.mark.slow])])
    for f in axis(*FRAMEWORKS)
    for policy in POLICIES
]


def trains(worker, policy, names):
    found, weights = worker.call('tests.losses.keras_calls:mixed_precision', policy=policy, names=names)
    assert found['scaled'] == (policy == 'mixed_float16')
    assert set(found['losses']) == set(names)
    for name, losses in found['losses'].items():
        assert np.isfinite(losses).all(), (name, losses)
        if name != 'HausdorffDistanceLoss':  # its weights are those of the prediction, anew at each step: it may rise
            assert losses[-1] < losses[0], (name, losses)
    assert all(np.isfinite(w).all() for w in weights.values())


@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize('framework', axis(*FRAMEWORKS))
@pytest.mark.parametrize('policy', [POLICIES[0], pytest.param(POLICIES[1], marks=pytest.mark.slow)])
def test_trains_compiled(policy, framework, worker):
    trains(worker, policy, ['WeightedSumLoss'])


@pytest.mark.slow
@pytest.mark.parametrize(('framework', 'policy'), EVERY_LOSS)
def test_every_loss_trains(framework, policy, worker):
    trains(worker, policy, list(PLAIN))
