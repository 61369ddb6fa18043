"""All that the file of a loss or a metric imports to declare it, beside the ``checks`` of its own parameters."""

from shared_spec.parameter_groups import (
    CellWeighted,
    ClassWeighted,
    Compound,
    Counted,
    Granular,
    Region,
    Shared,
    Smoothed,
    Weighted,
    as_shared,
)
from shared_spec.parameters import REQUIRED, SpecError, param
from shared_spec.registry import loss_spec, metric_spec
from shared_spec.spec import Example, LossSpec, MetricSpec, shared_parameters

__all__ = [
    'REQUIRED',
    'CellWeighted',
    'ClassWeighted',
    'Compound',
    'Counted',
    'Example',
    'Granular',
    'LossSpec',
    'MetricSpec',
    'Region',
    'Shared',
    'Smoothed',
    'SpecError',
    'Weighted',
    'as_shared',
    'loss_spec',
    'metric_spec',
    'param',
    'shared_parameters',
]
