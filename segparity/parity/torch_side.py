"""What a parity check asks of PyTorch: a loss's value and gradient."""

import numpy as np
import torch
from mmseg.registry import MODELS

import mmseg_plugin  # noqa: F401  registers the losses
from shared_spec import from_dict


def value_and_gradient(arrays, loss, dtype='float32', ignore_index=None, device='cpu'):
    """Value and d value / d pred of the loss whose ``to_dict`` is ``loss``; arrays pred (N, C, *space), target, weight."""
    module = MODELS.build(from_dict(loss).to_mmseg()).to(device)
    pred = torch.tensor(arrays['pred'], dtype=getattr(torch, dtype), device=device, requires_grad=True)
    weight = arrays.get('weight')
    weight = None if weight is None else torch.tensor(weight, device=device)
    value = module(pred, torch.tensor(arrays['target'], device=device), weight=weight, ignore_index=ignore_index)
    value.sum().backward()
    return str(value.dtype).removeprefix('torch.'), {
        'value': value.detach().cpu().numpy(),
        'gradient': np.zeros_like(arrays['pred']) if pred.grad is None else pred.grad.double().cpu().numpy(),
    }


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
    return list(results), {'values': np.array([v / 100 if spec.is_fraction(k) else v for k, v in results.items()])}
