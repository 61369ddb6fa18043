"""One of two processes that torchrun starts, where Keras runs on PyTorch: trains the cases alone, then under DDP."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from tests.distributed.cases import cases, handed_over, shares
from tests.distributed.keras_loss import batch, build, mean_over_pixels


def train(case, rank=None):
    """Value and gradients of the joined batch in this process, or of what ``rank`` has of it under DDP.

    A linear layer of PyTorch, which stays in float64; Keras' own multiplies in float32.
    """
    whole = batch(case, 2)
    own = slice(None) if rank is None else shares(case.batch, 2)[rank]
    x, y, weight = (None if a is None else torch.from_numpy(a[own]) for a in whole)
    torch.manual_seed(0)
    model = torch.nn.Linear(3, case.channels, dtype=torch.float64)
    call = model if rank is None else DistributedDataParallel(model)
    config = dict(case.config, learn_nu=False) if 'learn_nu' in case.config else case.config
    pred, extras = handed_over(config, call(x), mean_over_pixels)
    value = build(config)[0](y, pred, weight, **extras)
    value.backward()
    return np.concatenate([[value.item()], *(p.grad.numpy().ravel() for p in model.parameters())])


def main(folder, *names):
    chosen = {name: cases()[name] for name in names}
    found = {f'{name}/one': train(case) for name, case in chosen.items()}
    distributed.init_process_group('gloo')
    rank = distributed.get_rank()
    found.update({f'{name}/two': train(case, rank) for name, case in chosen.items()})
    np.savez(Path(folder) / f'{rank}.npz', **found)
    distributed.destroy_process_group()


if __name__ == '__main__':
    main(*sys.argv[1:])
