"""The losses that take log p and log(1 - p) of every class, on two channels, whose complements are each other."""

import numpy as np
import pytest

from segparity.parity.check import side
from segparity.parity.frameworks import FRAMEWORKS
from shared_spec import LOSSES
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

NAMES = {
    'ComboLoss': dict(beta=0.3),
    'ExponentialLogarithmicLoss': dict(class_weight=[1, 3]),
    'FocalCrossEntropyLoss': dict(gamma=0.5, alpha=[1, 3]),
    'OhemCrossEntropyLoss': dict(thresh=0.4, min_kept=4, class_weight=[1, 3]),
    'TopKCrossEntropyLoss': dict(k=60, class_weight=[1, 3]),
    'UnifiedFocalLoss': dict(delta=0.7, asymmetric=False),
}
RNG = np.random.default_rng(0)
LABEL = np.array([[[0, 0, 0, 1, 1]]])
LOGITS = RNG.normal(0, 1, (1, 2, 1, 5)).astype(np.float32).astype(np.float64)
INPUTS = {
    'logits': (True, LOGITS),
    'probabilities': (False, np.stack([1 - (p := np.array([[[0.5, 0.25, 0.125, 0.75, 0.25]]])), p], 1)),
    # the other class cannot be: 0 * log 0 is 0
    'certain': (True, np.where(np.arange(2)[:, None, None] == LABEL[:, None], LOGITS, -np.inf)),
}


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('framework', axis('torch', 'keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_value_is_the_reference_s(framework, name, worker):
    dtype = FRAMEWORKS[framework]['precisions'][-1]
    for what, (from_logits, pred) in INPUTS.items():
        spec = LOSSES[name](from_logits=from_logits, **NAMES[name])
        way = 'eager' if framework == 'keras_jax' else None  # which compiles nothing
        _, got = worker.call(
            f'{side(framework)}:value_and_gradient',
            dict(pred=pred, target=LABEL),
            loss=spec.to_dict(),
            dtype=dtype,
            way=way,
        )
        want = spec.reference(pred, LABEL)
        assert np.isfinite(want)
        assert_same(got['value'], want, dtype, f'{name} of {what}, {framework}')
