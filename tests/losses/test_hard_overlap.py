"""Class ids take a way of their own through the Keras statistics: the derivatives are those of one-hot labels.

Values and gradients beside the reference: tests/parity/test_losses.py.
"""

import numpy as np
import pytest

from shared_spec import LOSSES
from tests.support.assertions import assert_same
from tests.support.frameworks import axis


@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax_x64', 'keras_torch'))
@pytest.mark.parametrize(
    ('name', 'from_logits', 'space'),
    [
        ('JaccardMetricLoss', True, (3, 131)),  # chunks of a prime number of pixels
        ('JaccardMetricLoss', False, (5, 7)),
        ('SoftDiceLoss', False, (5, 7)),
        ('FocalTverskyLoss', True, (1, 1)),
        ('ComboLoss', True, (3, 7)),
        ('UnifiedFocalLoss', True, (3, 7)),
        ('SensitivitySpecificityLoss', True, (3, 7)),
    ],
)
def test_derivatives_are_those_of_one_hot_labels(name, from_logits, space, framework, worker):
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(2, *space, 4)), rng.integers(0, 4, (2, *space))
    if not from_logits:
        z = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
        z[0, 0] = np.eye(4)[y[0, 0]]  # equal to the label, where the metric overlap splits the gradient
    given = dict(z=z, y=y, w=rng.uniform(0.5, 2, y.shape))
    second = from_logits
    options = dict(name=name, from_logits=from_logits, second=second)
    said, ids = worker.call('tests.losses.keras_calls:derivatives', given, dense=False, **options)
    _, one_hot = worker.call('tests.losses.keras_calls:derivatives', given, dense=True, **options)
    assert len(ids) == (4 if second else 2)
    for key, want in one_hot.items():
        scale = np.abs(want).max()
        assert scale > 0
        assert_same(ids[key], want, 'float64_gradient', f'{name}, {framework}, {key}', scale=scale)
    if framework == 'keras_torch' and not from_logits:
        sentence = 'RuntimeError: the gradient of overlap statistics of probabilities and class ids cannot be'
        assert said['refusal'].startswith(sentence)


@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_the_rest_of_a_probability_near_one_is_not_lost(framework, worker):
    """1 - p in float32 would be 0 there, and so the loss."""
    y = np.random.default_rng(0).integers(0, 3, (1, 8, 9))
    z = np.where(np.arange(3)[None, :, None, None] == y[:, None], 10.0, -10.0)
    spec = LOSSES['FocalTverskyLoss'](smooth=0.0, alpha=0.0, beta=1.0)
    given = dict(pred=z, target=y)
    _, found = worker.call('segparity.parity.keras_side:value_and_gradient', given, loss=spec.to_dict())
    want = spec.reference(z, y)
    assert 0 < want < 1e-5
    np.testing.assert_allclose(found['value'], want, rtol=1e-4)


@pytest.mark.parametrize('framework', axis('keras_jax'))
def test_no_one_hot_array_of_jaccard_metric_in_memory(framework, worker):
    """One array of probabilities beside the gradient; one-hot labels in float32 would be another one."""
    logits, _ = worker.call('tests.losses.keras_calls:temporary_memory', shape=[1, 256, 256, 19])
    assert 0.9 < logits < 1.6
