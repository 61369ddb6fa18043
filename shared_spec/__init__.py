"""segparity's framework-neutral spec: every loss and metric with its parameters and a NumPy float64 reference.

>>> import numpy as np
>>> spec = LOSSES['JaccardMetricLoss'](from_logits=False, smooth=0, granularity={'I': 0.5, 'C': 0.5})
>>> pred, target = np.array([[[0.8, 0.6], [0.2, 0.4]]]), np.array([[0, 1]])  # (N, C, pixels), (N, pixels)
>>> round(spec.reference(pred, target), 6) == round(((1 - 0.8 / 1.6) + (1 - 0.4 / 1.2)) / 2, 6)
True
>>> spec.to_keras()
{'from_logits': False, 'ignore_class': None, 'granularity': {'I': 0.5, 'C': 0.5}, 'smooth': 0.0}
>>> LOSSES['JaccardMetricLoss'](smoth=1)
Traceback (most recent call last):
shared_spec.parameters.SpecError: JaccardMetricLoss: unknown parameter 'smoth', did you mean 'smooth'?
"""

from typing import Any

from shared_spec import losses, metrics
from shared_spec._discover import import_all
from shared_spec.parameters import SpecError
from shared_spec.registry import LOSSES as _LOSSES
from shared_spec.registry import METRICS as _METRICS
from shared_spec.registry import from_dict
from shared_spec.spec import Example, LossSpec, MetricSpec

import_all(losses)
import_all(metrics)

_registries: tuple[dict[str, Any], ...] = _LOSSES, _METRICS
for _registry in _registries:
    for _name in sorted(_registry):
        _registry[_name] = _registry.pop(_name)  # sorted by name, whatever file came first
LOSSES, METRICS = _LOSSES, _METRICS

__all__ = ['LOSSES', 'METRICS', 'Example', 'LossSpec', 'MetricSpec', 'SpecError', 'from_dict']
