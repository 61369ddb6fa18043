"""Probabilities that do not add up to 1 over the classes, of sigmoid channels say, are taken as they are, everywhere."""

import numpy as np
import pytest

from segparity.parity.check import side
from segparity.parity.frameworks import FRAMEWORKS
from shared_spec import LOSSES
from tests.support.assertions import assert_same
from tests.support.frameworks import axis
from tests.support.losses import PLAIN

NAMES = [
    name
    for name, loss in PLAIN.items()
    if 'many' in loss.channels and 'from_logits' in loss.parameters() and not loss.needs_logits
]


@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize('framework', axis('torch', 'keras_torch', 'keras_tensorflow'))
@pytest.mark.parametrize('name', NAMES)
def test_the_value_is_the_reference_s(name, framework, worker):
    rng = np.random.default_rng(0)
    p, y = rng.uniform(0.1, 0.9, (2, 3, 8, 9)), rng.integers(0, 3, (2, 8, 9))
    spec = LOSSES[name](from_logits=False, **(dict(learn_nu=False) if name == 'RobustTLoss' else {}))
    dtype = FRAMEWORKS[framework]['precisions'][-1]
    _, found = worker.call(
        f'{side(framework)}:value_and_gradient', dict(pred=p, target=y), loss=spec.to_dict(), dtype=dtype
    )
    assert_same(found['value'], spec.reference(p, y), dtype, name)
