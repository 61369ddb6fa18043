"""What a parity check asks of PyTorch: a loss's value and gradient."""

import contextlib
from unittest import mock

import numpy as np
import torch
from mmseg.registry import MODELS

import mmseg_plugin  # noqa: F401  registers the losses
from mmseg_plugin import fused_overlap, overlap, overlap_cpu, triton_overlap
from segparity.parity.large import BLOCK
from segparity.parity.ways import OVERLAP
from shared_spec import from_dict


def ways(arrays):
    """Way -> '' where it can run here, else what it needs."""
    kernels = ''
    if not triton_overlap.INSTALLED:
        kernels = 'Triton, which is not installed'
    elif not (torch.cuda.is_available() or triton_overlap.INTERPRETED):
        kernels = 'a CUDA device, and PyTorch sees none'
    operators = '' if fused_overlap.HAS_OPERATORS else 'PyTorch 2.4'
    return dict(plain='', fused=operators, kernels=operators or kernels), {}


def value_and_gradient(arrays, loss, dtype='float32', ignore_index=None, way=None, large=False, device=None):
    """Value and d value / d pred of the loss whose ``to_dict`` is ``loss``; arrays pred (N, C, *space), target, weight.

    way: see ``segparity.parity.ways``; as a user has it by default. large: the fused operator takes the logits by
    itself, in several blocks. The answer is None where the loss has nothing to do with a way.
    """
    device = device or ('cuda' if way == 'kernels' and torch.cuda.is_available() else 'cpu')
    module = MODELS.build(from_dict(loss).to_mmseg()).to(device)
    pred = torch.tensor(arrays['pred'], dtype=getattr(torch, dtype), device=device, requires_grad=True)
    weight = arrays.get('weight')
    weight = None if weight is None else torch.tensor(weight, device=device)
    with running(way, large) as taken:
        value = module(pred, torch.tensor(arrays['target'], device=device), weight=weight, ignore_index=ignore_index)
        value.sum().backward()
    if way in OVERLAP and not taken:
        return None, {}
    if way in OVERLAP and not all(taken):
        raise RuntimeError(f'{way}: plain operators ran in place of the fused one')
    if way == 'kernels' and triton_overlap.refusals:
        raise RuntimeError(f'{way}: refused, {triton_overlap.refusals[0]}')
    return str(value.dtype).removeprefix('torch.'), {
        'value': value.detach().cpu().numpy(),
        'gradient': pred.grad.double().cpu().numpy(),
    }


@contextlib.contextmanager
def running(way, large):
    """Overlap statistics in a ``way``; a list of whether the fused operator took each call that asked for it."""
    taken = []
    if way is None:
        yield taken
        return

    def asked(*call):
        statistics = fused_overlap.fused_overlap(*call)
        taken.append(statistics is not None)
        return statistics

    mode = 'plain' if way == 'plain' else 'auto' if large else 'fused'
    with contextlib.ExitStack() as changes:
        changes.enter_context(mock.patch.object(overlap, 'fused_overlap', asked))
        changes.enter_context(mock.patch.object(fused_overlap, 'MODE', mode))
        if way == 'fused':
            changes.enter_context(mock.patch.object(triton_overlap, 'INTERPRETED', False))
            if large:
                changes.enter_context(mock.patch.object(overlap_cpu, 'block_size', lambda: BLOCK))
        yield taken


def metric_results(arrays, metric):
    """Name -> value of MMSegmentation's evaluator for the metric whose ``to_dict`` is ``metric``; pred: ids or logits."""
    from mmseg.registry import METRICS

    spec = from_dict(metric)
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
