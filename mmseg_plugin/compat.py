"""What MMSegmentation 1.2 needs on today's PyTorch, NumPy and setuptools: each repair with the reason beside it.

``apply()`` comes before anything else imports ``mmseg.models``. A repair acts only where it is needed: an installation
with a compiled mmcv, CUDA, an old setuptools, or a fork that mended its own copy stays as it is.
"""

import importlib
import importlib.metadata
import importlib.util
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from mmseg_plugin.one_channel_tta import merge_probabilities_once
from mmseg_plugin.own_configs import find_own_configs
from mmseg_plugin.pictures import draw_on_any_layout

_applied: list[str] = []


def apply() -> None:
    """Makes every repair that this installation needs, once. ImportError, with the pip command, where a host lacks."""
    require_hosts()
    for repair in REPAIRS:
        if repair.__name__ not in _applied and repair():
            _applied.append(repair.__name__)


def applied() -> list[str]:
    """Names of the repairs that ``apply()`` made in this process, for diagnosis."""
    return list(_applied)


class MissingHost(ImportError):
    """A package that MMSegmentation needs is not installed."""


def require_hosts() -> None:
    """MissingHost, an ImportError, in one sentence for the first host package that is not installed."""
    for name, package, extra in (
        ('torch', 'PyTorch', 'mmseg,mmcv-lite'),
        ('mmengine', 'MMEngine', 'mmseg,mmcv-lite'),
        ('mmcv', 'mmcv', 'mmcv-lite'),
        ('mmseg', 'MMSegmentation', 'mmseg,mmcv-lite'),
    ):
        if importlib.util.find_spec(name) is None:
            raise MissingHost(
                f"mmseg_plugin needs {package}, which is not installed: pip install 'segparity[{extra}]'", name=name
            )


def answer_for_missing_mmcv_ops() -> bool:
    """mmcv without its compiled extension (mmcv-lite): importing ``mmcv.ops`` works, calling an op fails.

    ``mmseg.models`` imports ``mmcv.ops``, and each of its modules asks ``load_ext('_ext', ...)`` for its functions at
    import, though most models call none of them. No stub enters ``sys.modules``: mmengine looks there to learn
    whether mmcv is compiled.
    """
    if importlib.util.find_spec('mmcv._ext') is not None:
        return False
    from mmcv.utils import ext_loader

    load_ext = ext_loader.load_ext
    ext_loader.load_ext = lambda name, funcs: MissingExtension() if name == '_ext' else load_ext(name, funcs)
    return True


class MissingExtension:
    """Stands for ``mmcv._ext``: has every op, and each raises RuntimeError when called."""

    def __getattr__(self, op: str) -> Callable[..., NoReturn]:
        if op.startswith('__'):
            raise AttributeError(op)

        def missing(*args: Any, **kwargs: Any) -> NoReturn:
            raise RuntimeError(
                f'mmcv op {op!r} needs a compiled mmcv, and the installed one is pure Python: '
                "pip uninstall mmcv-lite, then mim install 'mmcv>=2.0.0,<2.2.0'"
            )

        missing.__name__ = op
        return missing


def let_torch_load_checkpoints() -> bool:
    """``torch.load`` reads mmengine's own checkpoints with ``weights_only``, its default since PyTorch 2.6.

    Beside tensors they hold the log's ``HistoryBuffer``, NumPy arrays and scalars (losses, best scores) and references
    to methods. Exactly those are declared safe; anything else in a file is refused as before.
    """
    import torch
    from mmengine.runner import checkpoint

    mended_by_host = hasattr(checkpoint, 'get_torch_safe_globals')  # onedl-mmengine
    if mended_by_host or torch.__version__ < '2.6':  # a TorchVersion, compares as versions do
        return False
    torch.serialization.add_safe_globals(checkpoint_types())
    return True


def checkpoint_types() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What ``Runner.save_checkpoint`` stores beyond tensors and plain Python, as ``add_safe_globals`` takes it."""
    import numpy as np
    import torch
    from mmengine.logging import HistoryBuffer
    from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

    types = [HistoryBuffer, OneCycleParamScheduler, np.ndarray, np.dtype]
    types += {type(np.dtype(kind)) for kind in '?bBhHiIlLqQefd'}
    array, scalar = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]  # the functions that rebuild them
    for home in ('numpy.core.multiarray', 'numpy._core.multiarray'):  # NumPy 1 and 2, so that checkpoints travel
        types += [(array, f'{home}._reconstruct'), (scalar, f'{home}.scalar')]
    if getattr not in torch.serialization.get_safe_globals():
        types.append((named_method, 'builtins.getattr'))
    return types


def named_method(owner: object, name: str) -> Any:
    """The ``getattr`` of checkpoints, for the few methods that mmengine refers to and for nothing else.

    ``HistoryBuffer`` stores its statistics (``min``, ``max``, ``current``, ``mean``), the one-cycle schedule its
    annealing function. A free ``getattr`` in the hands of a file would undo ``weights_only``.
    """
    from mmengine.logging import HistoryBuffer
    from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

    known = {
        HistoryBuffer: ('min', 'max', 'current', 'mean'),
        OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
    }
    if not any(owner is cls and name in names for cls, names in known.items()):
        raise pickle.UnpicklingError(f'a checkpoint may not refer to attribute {name!r} of {owner!r}')
    return getattr(owner, name)


def launch_without_cuda() -> bool:
    """``launcher='pytorch'`` works where there is no CUDA: mmengine calls ``torch.cuda.set_device`` unconditionally.

    The process group is then gloo instead of nccl, which needs CUDA.
    """
    from mmengine.device import get_device
    from mmengine.dist import utils
    from torch import distributed

    if get_device() not in ('cpu', 'mps'):
        return False
    launch = utils._init_dist_pytorch

    def init_dist_without_cuda(backend: str, init_backend: str = 'torch', **kwargs: Any) -> None:
        if init_backend != 'torch':
            return launch(backend, init_backend=init_backend, **kwargs)
        return distributed.init_process_group(backend='gloo' if backend == 'nccl' else backend, **kwargs)

    utils._init_dist_pytorch = init_dist_without_cuda
    return True


def find_installed_packages() -> bool:
    """``_base_ = ['mmseg::...']`` in a config works: mmengine finds the folder where MMSegmentation is installed.

    mmengine asks ``pkg_resources``, which setuptools 82 has removed; onedl-mmengine asks for a distribution called
    mmsegmentation, and its own is called onedl-mmsegmentation. ``importlib`` knows both.
    """
    from mmengine.utils import package_utils

    asks_pkg_resources = 'pkg_resources' in package_utils.is_installed.__code__.co_names
    can_ask = not asks_pkg_resources or importlib.util.find_spec('pkg_resources') is not None
    if can_ask and any(importlib.metadata.Distribution.discover(name='mmsegmentation')):
        return False
    for old, new in (
        (package_utils.is_installed, is_installed),
        (package_utils.get_installed_path, get_installed_path),
    ):
        function = old.__name__
        for name, module in list(sys.modules.items()):
            if name.split('.')[0] == 'mmengine' and getattr(module, function, None) is old:
                setattr(module, function, new)
    return True


def is_installed(package: str) -> bool:
    """Whether a distribution or a module of this name is installed."""
    return _origin(package) is not None


def get_installed_path(package: str) -> str:
    """The folder of an installed package, as text; ModuleNotFoundError where there is none."""
    origin = _origin(package)
    if origin is None:
        raise ModuleNotFoundError(f'{package!r} is not installed', name=package)
    return str(Path(origin).parent)


def _origin(package: str) -> str | None:
    """The first file of the module that ``package``, a module's or a distribution's name, stands for, or None."""
    spec = importlib.util.find_spec('mmseg' if package == 'mmsegmentation' else package)
    if spec is None:
        distributions = importlib.metadata.packages_distributions().items()
        module = next((module for module, owners in distributions if package in owners), None)
        spec = importlib.util.find_spec(module) if module else None
    return spec.origin if spec else None


REPAIRS = (
    answer_for_missing_mmcv_ops,
    let_torch_load_checkpoints,
    launch_without_cuda,
    find_installed_packages,
    find_own_configs,
    merge_probabilities_once,
    draw_on_any_layout,
)
