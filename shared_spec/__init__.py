"""segparity's framework-neutral spec: every loss and metric with its parameters and a NumPy float64 reference."""

from shared_spec import losses, metrics
from shared_spec._discover import import_all
from shared_spec.spec import LOSSES as _LOSSES
from shared_spec.spec import METRICS as _METRICS
from shared_spec.spec import Example, LossSpec, MetricSpec, SpecError, from_dict

import_all(losses)
import_all(metrics)

for _registry in (_LOSSES, _METRICS):
    for _name in sorted(_registry):
        _registry[_name] = _registry.pop(_name)  # sorted by name, whatever file came first
LOSSES, METRICS = _LOSSES, _METRICS

__all__ = ['LOSSES', 'METRICS', 'Example', 'LossSpec', 'MetricSpec', 'SpecError', 'from_dict']
