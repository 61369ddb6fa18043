"""The packages to compare with. Each may be missing: it is then left out and named."""

import importlib
import importlib.util
import sys
import types

PACKAGES = {
    'MONAI': 'monai',
    'SMP': 'segmentation_models_pytorch',
    'mmseg': 'mmseg',
    'torchmetrics': 'torchmetrics',
    'keras': 'keras',
}


class LeftOut(Exception):
    """A contender that cannot take part, and why."""


def load(peer, module):
    """A module of a peer's package; LeftOut where the package is missing."""
    package = PACKAGES[peer]
    if importlib.util.find_spec(package) is None:
        raise LeftOut(f'{package} is not installed')
    if peer == 'mmseg':
        import mmseg_plugin  # noqa: F401  it makes mmseg importable beside mmcv-lite
    if peer == 'SMP' and package not in sys.modules:
        bare = types.ModuleType(package)  # its own __init__ imports every encoder, and with them timm and torchvision
        bare.__spec__ = importlib.util.find_spec(package)
        bare.__path__ = list(bare.__spec__.submodule_search_locations)
        sys.modules[package] = bare
    return importlib.import_module(f'{package}.{module}')
