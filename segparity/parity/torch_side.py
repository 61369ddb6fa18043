"""What a parity check asks of PyTorch: a loss's value and gradient, a metric's results; through MMSegmentation where it is."""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch

from mmseg_plugin import host, metrics, overlap, registry
from mmseg_plugin.kernels import pixel_sums
from mmseg_plugin.kernels.overlap import choice, cpu, fused, triton_launch
from segparity.parity.extras import joined_by_name, mapped, unpacked
from segparity.parity.large_cases import BLOCK
from segparity.parity.ways import OVERLAP
from shared_spec import from_dict


def hosted() -> bool:
    """Whether MMSegmentation is installed; ImportError where it is and cannot be used."""
    if host.reason is not None and host.is_missing(host.reason):
        return False
    host.require()
    return True


def build(config: dict[str, Any]) -> Any:
    """The loss of a configuration, as a head builds it where there are heads."""
    if not hosted():
        return registry.build(config)
    from mmseg.registry import MODELS

    return MODELS.build(config)


def ways(arrays: dict[str, np.ndarray]) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Way -> '' where it can run here, else what it needs."""
    kernels = ''
    if not triton_launch.INSTALLED:
        kernels = 'Triton, which is not installed'
    elif not (torch.cuda.is_available() or triton_launch.INTERPRETED):
        kernels = 'a CUDA device, and PyTorch sees none'
    operators = '' if choice.HAS_OPERATORS else 'PyTorch 2.4'
    return dict(plain='', fused=operators, kernels=operators or kernels), {}


def value_and_gradient(
    arrays: dict[str, np.ndarray],
    loss: dict[str, Any],
    dtype: str = 'float32',
    ignore_index: int | None = None,
    way: str | None = None,
    large: bool = False,
    device: str | None = None,
) -> tuple[str | None, dict[str, np.ndarray]]:
    """Value and d value / d pred of the loss whose ``to_dict`` is ``loss``; arrays pred (N, C, *space), target, weight, extras.

    way: see ``segparity.parity.ways``; as a user has it by default. large: the fused operator takes the logits by
    itself, in several blocks. The answer is None where the loss has nothing to do with a way.
    """
    device = device or ('cuda' if way == 'kernels' and torch.cuda.is_available() else 'cpu')
    spec: Any = from_dict(loss)
    module = build(spec.to_mmseg()).to(device)
    given = arrays.get('weight')
    weight = None if given is None else torch.tensor(given, device=device)

    def tensor(name: str, x: np.ndarray) -> torch.Tensor:
        kind = getattr(torch, dtype) if x.dtype.kind == 'f' else None
        return torch.tensor(x, dtype=kind, device=device, requires_grad=name in ('pred', *spec.gradient_of))

    pred, extras = tensor('pred', arrays['pred']), mapped(unpacked(arrays), tensor)
    target, call = torch.tensor(arrays['target'], device=device), dict(ignore_index=ignore_index, **extras)
    with running(way, large) as taken:
        value = module(pred, target, weight=weight, **call)
        value.sum().backward()
    if way in OVERLAP and not taken:
        return None, {}
    if way in OVERLAP and not all(taken):
        raise RuntimeError(f'{way}: plain operators ran in place of the fused one')
    if way == 'kernels' and triton_launch.refusals:
        raise RuntimeError(f'{way}: refused, {triton_launch.refusals[0]}')
    return str(value.dtype).removeprefix('torch.'), {
        'value': value.detach().cpu().numpy(),
        'gradient': joined_by_name(spec.gradient_of, mapped(dict(pred=pred, **extras), gradient_by)),
    }


def gradient_by(name: str, x: torch.Tensor) -> np.ndarray:
    """The gradient that a tensor has got, 0 where it has no part in the loss."""
    return (torch.zeros_like(x) if x.grad is None else x.grad).double().cpu().numpy()


@contextlib.contextmanager
def running(way: str | None, large: bool) -> Iterator[list[bool]]:
    """Sums over pixels in a ``way``; a list of whether an operator that works in blocks took each call that asked for it."""
    taken: list[bool] = []
    if way is None:
        yield taken
        return

    def asked(*call: Any, **how: Any) -> Any:
        statistics = fused.fused_overlap(*call, **how)
        if statistics is not None or not how:  # logarithms are had where they can be, and summed otherwise where not
            taken.append(statistics is not None)
        return statistics

    def asked_for_blocks(batch: Any) -> bool:
        taken.append(in_blocks(batch))
        return taken[-1]

    in_blocks = pixel_sums.in_blocks
    mode = 'plain' if way == 'plain' else 'auto' if large else 'fused'
    with contextlib.ExitStack() as changes:
        changes.enter_context(mock.patch.object(overlap, 'fused_overlap', asked))
        changes.enter_context(mock.patch.object(choice, 'MODE', mode))
        if way == 'fused':
            changes.enter_context(mock.patch.object(triton_launch, 'INTERPRETED', False))
            changes.enter_context(mock.patch.object(pixel_sums, 'in_blocks', asked_for_blocks))
            if large:
                changes.enter_context(mock.patch.object(pixel_sums, 'SMALL', choice.SMALL))
                for owner in (cpu, pixel_sums):
                    changes.enter_context(mock.patch.object(owner, 'BLOCK', BLOCK))
        yield taken


def metric_results(arrays: dict[str, np.ndarray], metric: dict[str, Any]) -> tuple[list[str], dict[str, np.ndarray]]:
    """Name -> value of the metric whose ``to_dict`` is ``metric``, by its evaluator, or where there is none by its class.

    pred: ids (N, *space) or logits (N, C, *space).
    """
    spec: Any = from_dict(metric)
    if not hosted():
        arguments = {name: value for name, value in metric.items() if name != 'type'}
        counted = getattr(metrics, type(spec).__name__)(**arguments)
        counted.update(*(torch.tensor(arrays[name]) for name in ('pred', 'target')))
        found = counted.compute()
        return list(found), {'values': np.array(list(found.values()))}
    from mmseg.registry import METRICS

    evaluator = METRICS.build(spec.to_mmseg())
    evaluator.dataset_meta = dict(classes=[str(k) for k in range(spec.num_classes)])
    for i, (pred, target) in enumerate(zip(arrays['pred'], arrays['target'])):
        maps = {'pred_sem_seg': pred[None], 'gt_sem_seg': target[None]}
        if spec.takes == 'probabilities':
            maps.update(seg_logits=pred, pred_sem_seg=pred.argmax(0)[None])
        sample = {name: {'data': torch.tensor(value)} for name, value in maps.items()}
        evaluator.process({}, [{**sample, 'sample_idx': i}])
    results = evaluator.evaluate(size=len(arrays['pred']))
    second_names = evaluator.aliases(results)
    results = {name: value for name, value in results.items() if name not in second_names}
    return list(results), {'values': np.array([v / 100 if spec.is_fraction(k) else v for k, v in results.items()])}
