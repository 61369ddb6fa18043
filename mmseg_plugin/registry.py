"""The losses by name, for whoever has PyTorch; MMSegmentation's registries have the same classes: ``host.join``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from mmseg_plugin.losses.base import Loss

LOSSES: dict[str, type[Loss]] = {}
L = TypeVar('L', bound='Loss')


def register(cls: type[L]) -> type[L]:
    """Gives a loss its name."""
    LOSSES[cls.__name__] = cls
    return cls


def build(config: Mapping[str, Any]) -> Loss:
    """The loss of a configuration such as ``dict(type='JaccardMetricLoss', smooth=1.0)``."""
    arguments = dict(config)
    return LOSSES[arguments.pop('type')](**arguments)
