"""Every loss and metric by its name."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from shared_spec.checks import nearest
from shared_spec.parameters import SpecError
from shared_spec.spec import LossSpec, MetricSpec, Spec, shared_parameters

LOSSES: dict[str, type[LossSpec]] = {}
METRICS: dict[str, type[MetricSpec]] = {}

L = TypeVar('L', bound=LossSpec)
M = TypeVar('M', bound=MetricSpec)


def loss_spec(cls: type[L]) -> type[L]:
    """Class decorator: a complete loss, found by its name in ``LOSSES``."""
    cls = shared_parameters(cls)
    LOSSES[cls.__name__] = cls
    return cls


def metric_spec(cls: type[M]) -> type[M]:
    """Class decorator: a complete metric, found by its name in ``METRICS``."""
    cls = shared_parameters(cls)
    METRICS[cls.__name__] = cls
    return cls


def from_dict(config: Mapping[str, Any]) -> Spec:
    """The spec that a configuration ``{'type': name, ...}`` describes, loss or metric."""
    kind = dict(config).get('type')
    known = {**LOSSES, **METRICS}
    if kind not in known:
        raise unknown_name('loss or metric', kind, sorted(known))
    return known[kind].from_dict(config)


def unknown_name(kind: str, name: object, known: Sequence[str], owner: str | None = None) -> SpecError:
    """The SpecError of a loss or metric that does not exist."""
    hint = nearest(name, known)
    meant = f'did you mean {hint!r}?' if hint else f'known are {", ".join(known)}'
    return SpecError(f'unknown {kind} {name!r}, {meant}', owner=owner, given=name, allowed=known)
