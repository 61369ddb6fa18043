"""MMSegmentation where it is installed: the repairs, and its registries with our losses and evaluators.

PyTorch alone is enough for everything else, so that a host which is missing or broken stops nobody who does not ask for
it; who does gets the reason.
"""

import importlib
import sys
import warnings
from typing import TypeGuard

from mmseg_plugin import compat
from mmseg_plugin.registry import LOSSES

reason: Exception | None = None  # why the registries have nothing of ours: an exception


def register_in_mmseg() -> None:
    """Repairs MMSegmentation and registers the losses, evaluators and hook in it; keeps the reason where that fails."""
    global reason
    try:
        compat.apply()
        from mmseg.registry import MODELS

        for cls in LOSSES.values():
            MODELS.register_module(module=cls)
        importlib.import_module('mmseg_plugin.evaluation')
        importlib.import_module('mmseg_plugin.heads.branched')
        importlib.import_module('mmseg_plugin.heads.hook')
        importlib.import_module('mmseg_plugin.heads.distance_map_hook')
        importlib.import_module('mmseg_plugin.soft_labels.hooks')
        importlib.import_module('mmseg_plugin.soft_labels.distillation')
        importlib.import_module('mmseg_plugin.soft_labels.mean_teacher')
        importlib.import_module('mmseg_plugin.soft_labels.annotator_maps')
        importlib.import_module('mmseg_plugin.soft_labels.unlabelled')
        importlib.import_module('mmseg_plugin.transforms')
    except Exception as error:  # whatever an installation of theirs raises
        reason = error
        if not is_missing(error) and 'mmengine' in sys.modules:
            warnings.warn(f'mmseg_plugin: nothing is registered in MMSegmentation, {told(error)}', stacklevel=3)


def require() -> None:
    """ImportError, with the reason, where the registries have nothing of ours."""
    if reason is None:
        return
    if is_missing(reason):
        raise ImportError(str(reason), name=reason.name) from None
    raise ImportError(f'mmseg_plugin: MMSegmentation cannot be used, {told(reason)}') from reason


def is_missing(error: BaseException) -> TypeGuard[compat.MissingHost]:
    """Whether a package is not installed, rather than broken."""
    return isinstance(error, compat.MissingHost)


def told(error: BaseException) -> str:
    return f'{type(error).__name__}: {str(error).strip() or "no reason given"}'.splitlines()[0]
