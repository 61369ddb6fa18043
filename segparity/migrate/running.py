"""Installed peers, called on a probe: value and gradient of a loss, results of a metric. Imports what it runs."""

import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
import types
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from segparity.migrate.items import Context, Item

PACKAGES = {
    'mmseg': ('mmseg', 'mmsegmentation'),
    'keras': ('keras', 'keras'),
    'smp': ('segmentation_models_pytorch', 'segmentation-models-pytorch'),
    'monai': ('monai', 'monai'),
    'kornia': ('kornia', 'kornia'),
    'torch': ('torch', 'torch'),
    'torchmetrics': ('torchmetrics', 'torchmetrics'),
}


def installed_version(library: str) -> str | None:
    """The version of a peer that is installed, without importing it; None where it is not."""
    if library not in PACKAGES:
        return None
    module, distribution = PACKAGES[library]
    try:
        if importlib.util.find_spec(module) is None:
            return None
        return importlib.metadata.version(distribution).split('+')[0]  # a build for the CPU says the same
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None


def module_of(library: str, path: str) -> Any:
    """A module of a peer's package."""
    package = PACKAGES[library][0]
    if library == 'mmseg':
        importlib.import_module('mmseg_plugin')  # which makes mmseg importable beside mmcv-lite
    if library == 'smp' and package not in sys.modules:
        bare = types.ModuleType(package)  # its own __init__ imports every encoder, and with them timm and torchvision
        bare.__spec__ = found = importlib.util.find_spec(package)
        bare.__path__ = list(found.submodule_search_locations or ()) if found else []
        sys.modules[package] = bare
    return importlib.import_module(f'{package}.{path}' if path else package)


PATHS = {
    'mmseg': 'models.losses',
    'smp': 'losses',
    'monai': 'losses',
    'kornia': 'losses',
    'torch': 'nn',
    'torchmetrics': 'segmentation',
}


def build(item: Item) -> Any:
    """The peer's own object of an item; functions of PyTorch and MONAI by the class that they belong to."""
    module = module_of(item.library, PATHS[item.library])
    if item.library == 'monai' and not hasattr(module, item.name):
        module = module_of('monai', 'metrics')
    if item.library == 'torchmetrics' and not hasattr(module, item.name):
        module = module_of('torchmetrics', 'classification')
    return call_of(getattr(module, item.name), item.arguments)


def call_of(function: Any, arguments: Mapping[str, Any]) -> Any:
    """``function`` with the arguments of an item, those named '0', '1', ... by position."""
    given = dict(arguments)
    positional = [given.pop(str(k)) for k in range(len(given)) if str(k) in given]
    return function(*positional, **given)


def loss_of_torch(
    item: Item, context: Context, logits: np.ndarray, target: np.ndarray, activation: str | None
) -> tuple[float, np.ndarray]:
    """(value, gradient with respect to the logits) of a peer that runs on PyTorch, in float64 where it can."""
    import torch

    try:
        return _loss_of_torch(item, context, logits, target, activation, torch.float64)
    except RuntimeError as error:
        if 'dtype' not in str(error):
            raise
        return _loss_of_torch(item, context, logits, target, activation, torch.float32)


def _loss_of_torch(
    item: Item, context: Context, logits: np.ndarray, target: np.ndarray, activation: str | None, dtype: Any
) -> tuple[float, np.ndarray]:
    import torch

    tensors = {
        name: torch.tensor(value, dtype=dtype)
        if name in ('weight', 'pos_weight', 'dist_matrix')
        and isinstance(value, (list, tuple))
        and item.library != 'mmseg'
        else value
        for name, value in item.arguments.items()
    }
    if item.library == 'monai' and item.name == 'GeneralizedWassersteinDiceLoss':
        tensors['dist_matrix'] = np.array(item.arguments['dist_matrix'])
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of constructors, about what the table says
        loss = build(Item(item.library, item.name, tensors))
    z = torch.tensor(logits, dtype=dtype, requires_grad=True)
    pred = {None: lambda x: x, 'softmax': lambda x: x.softmax(1), 'sigmoid': lambda x: x.sigmoid()}[activation](z)
    if item.name in ('NLLLoss', 'KLDivLoss'):
        pred = pred.log_softmax(1)
    if isinstance(loss, torch.nn.Module):
        loss = loss.to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        value = loss(pred, *labels_for(item, torch.tensor(target), pred), **extras_for(item, loss, context)).mean()
    value.backward()
    gradient = torch.zeros_like(z) if z.grad is None else z.grad
    return float(value.detach()), gradient.numpy()


def labels_for(item: Item, target: Any, pred: Any) -> tuple[Any, ...]:
    """The label as the library's training loops give it."""
    maps = target.ndim == pred.ndim
    if item.library == 'mmseg':
        return (target[:, 0] if item.name == 'BoundaryLoss' and maps else target,)
    if item.library == 'monai':
        if item.name == 'GeneralizedWassersteinDiceLoss':
            return (target[:, None],)
        return (target if maps else target[:, None].to(pred.dtype),)
    if maps:
        return (target.to(pred.dtype),)
    if pred.shape[1] == 1 and (item.library == 'torch' or item.name.startswith('SoftBCE') or item.name == 'FocalLoss'):
        return (target[:, None].to(pred.dtype),)
    return (target,)


def extras_for(item: Item, loss: Any, context: Context) -> dict[str, Any]:
    """What a head of MMSegmentation adds to the call, as far as the loss takes it."""
    if item.library != 'mmseg' or context.ignore_index is None:
        return {}
    takes = inspect.signature(loss.forward).parameters
    if 'ignore_index' in takes or any(p.kind is p.VAR_KEYWORD for p in takes.values()):
        return {'ignore_index': context.ignore_index}
    return {}


def metric_of_torch(
    item: Item, context: Context, pred: np.ndarray, target: np.ndarray, results: Sequence[str]
) -> list[float]:
    """The results of a metric that runs on PyTorch, in the order of ours; pred and target: ids (N, H, W)."""
    import torch

    classes = context.num_classes or item.arguments.get('num_classes') or 2
    ids, labels = torch.tensor(pred), torch.tensor(target)
    if item.library == 'mmseg':
        return mmseg_results(item, ids, labels, classes, results)
    metric = build(item)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for k in range(len(ids)):  # image by image, as evaluation goes
            one = slice(k, k + 1)
            if item.library == 'monai':
                metric(*(one_hot(x[one], classes) for x in (ids, labels)))
            else:
                metric.update(ids[one], labels[one])
        if item.library == 'torchmetrics':
            return [float(metric.compute().mean())]
        found = metric.aggregate()
    return [float(torch.nanmean(torch.as_tensor(found).double()))]


def one_hot(ids: Any, classes: int) -> Any:
    """(N, C, H, W) of zeros and ones; an ignored pixel is zero in every channel, which tells MONAI to mask it."""
    import torch

    return torch.stack([(ids == k).float() for k in range(classes)], 1)


def mmseg_results(item: Item, ids: Any, labels: Any, classes: int, results: Sequence[str]) -> list[float]:
    """Fractions of ``IoUMetric``, before they are rounded."""
    metric = module_of('mmseg', 'evaluation').IoUMetric
    given = dict(item.arguments)
    if item.name != 'IoUMetric':  # the words of 0.x, whose formulas are the same
        given['iou_metrics'] = [item.name]
    areas = [metric.intersect_and_union(p, y, classes, given.get('ignore_index', 255)) for p, y in zip(ids, labels)]
    sums = [sum(parts) for parts in zip(*areas)]
    found = metric.total_area_to_metrics(
        *sums, given.get('iou_metrics', ['mIoU']), given.get('nan_to_num'), given.get('beta', 1)
    )
    names = {'aAcc': 'aAcc', 'mIoUD': 'IoU', 'mAccD': 'Acc', 'mDiceD': 'Dice', 'mFscoreD': 'Fscore',
             'mPrecisionD': 'Precision'}  # fmt: skip
    values = [found['Recall'] if name == 'mAccD' and 'Acc' not in found else found[names[name]] for name in results]
    return [float(np.nanmean(value)) for value in values]
