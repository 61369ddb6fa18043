"""segparity for PyTorch: losses, metrics and soft labels; and for MMSegmentation, where that is installed.

``from mmseg_plugin.losses import JaccardMetricLoss`` needs PyTorch alone. In a config of MMSegmentation
``custom_imports = dict(imports=['mmseg_plugin'])`` registers every loss and evaluator.
"""

import importlib
import importlib.util
from types import ModuleType

if importlib.util.find_spec('torch') is None:
    raise ImportError(
        "mmseg_plugin needs PyTorch, which is not installed: pip install 'segparity[torch]'", name='torch'
    )

from mmseg_plugin import compat, host, losses, metrics, soft_labels
from mmseg_plugin.own_configs import bases

host.register_in_mmseg()


def __getattr__(name: str) -> ModuleType:
    if name != 'evaluation':
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return importlib.import_module('mmseg_plugin.evaluation')


__all__ = ['bases', 'compat', 'evaluation', 'host', 'losses', 'metrics', 'soft_labels']
