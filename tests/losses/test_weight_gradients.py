"""Gradients of weights of pixels and images that are learnt, by differences of the reference."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='needs PyTorch')

from mmseg_plugin import losses
from shared_spec import LOSSES

STEP = 1e-6
CASES = [
    ('WeightedCrossEntropyLoss', dict(class_weight=[1.0, 2.0, 3.0])),
    ('WeightedCrossEntropyLoss', {}),
    ('FocalCrossEntropyLoss', {}),
    ('TopKCrossEntropyLoss', dict(k=50)),
    ('OhemCrossEntropyLoss', dict(thresh=0.4, min_kept=3)),
    ('JaccardMetricLoss', dict(granularity='I')),
]


@pytest.mark.parametrize(('name', 'params'), CASES, ids=lambda x: x if isinstance(x, str) else '-'.join(x))
@pytest.mark.parametrize('shape', [(2, 4, 5), (2,)], ids=['pixels', 'images'])
def test_gradient_of_weights(name, params, shape):
    rng = np.random.default_rng(0)
    z, y, w = rng.normal(0, 2, (2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5)), rng.uniform(0.5, 2, shape)
    given = torch.tensor(w, requires_grad=True)
    (found,) = torch.autograd.grad(getattr(losses, name)(**params)(torch.tensor(z), torch.tensor(y), given), given)
    spec = LOSSES[name](**params)
    for place in np.ndindex(shape):
        step = np.zeros(shape)
        step[place] = STEP
        slope = (spec.reference(z, y, w + step) - spec.reference(z, y, w - step)) / (2 * STEP)
        assert abs(found[place] - slope) < 1e-7, place
