"""What a parity check asks of PyTorch: a loss's value and gradient."""

import numpy as np
import torch

import mmseg_plugin  # noqa: F401  registers the losses
from mmseg.registry import MODELS
from shared_spec import from_dict


def value_and_gradient(arrays, loss, dtype='float32', ignore_index=None):
    """Value and d value / d pred of the loss whose ``to_dict`` is ``loss``; arrays pred (N, C, *space), target, weight."""
    module = MODELS.build(from_dict(loss).to_mmseg())
    pred = torch.tensor(arrays['pred'], dtype=getattr(torch, dtype), requires_grad=True)
    weight = arrays.get('weight')
    weight = None if weight is None else torch.tensor(weight)
    value = module(pred, torch.tensor(arrays['target']), weight=weight, ignore_index=ignore_index)
    value.sum().backward()
    return str(value.dtype).removeprefix('torch.'), {
        'value': value.detach().numpy(),
        'gradient': np.zeros_like(arrays['pred']) if pred.grad is None else pred.grad.double().numpy(),
    }
