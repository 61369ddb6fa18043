"""One of three processes that torchrun starts: trains cases among three ranks, then among two, and writes it down."""

import sys
from pathlib import Path

import numpy as np
from torch import distributed

from mmseg_plugin.kernels.lovasz import extension
from mmseg_plugin.kernels.overlap import choice
from tests.distributed.cases import SLOW, cases, names_for_three, rare_names
from tests.distributed.torch_model import drift, large, second_derivative, train

calls = []


def listen(name):
    """Notes every call of a collective, and the dtype that it sends."""
    original = getattr(distributed, name)

    def noted(*args, **kwargs):
        calls.append(f'{name} {args[-1].dtype}')
        return original(*args, **kwargs)

    setattr(distributed, name, noted)


def run(folder, chosen, overlap):
    """Writes the value, the gradients and the collectives of the chosen cases among the ranks of this moment."""
    rank, world = distributed.get_rank(), distributed.get_world_size()
    found = {}
    for name, case in chosen.items():
        calls.clear()
        choice.MODE = 'plain' if case.mode in ('twice', *SLOW) else overlap
        extension.SORTED = 0 if case.mode == 'counted' else 2**16
        found[f'{name}/value'], found[f'{name}/gradients'] = train(case, world, rank)
        found[f'{name}/calls'] = np.array(calls, dtype=str)
    if world == 2:
        found.update(exact=drift(rank, sync=True), naive=drift(rank, sync=False))
        calls.clear()
        found.update({f'large/{key}': x for key, x in large(rank, world).items()})
        found['large/calls'] = np.array(calls, dtype=str)
        found.update({f'{name} again': second_derivative(name) for name in ('SoftDiceLoss', 'LovaszSoftmaxLoss')})
    np.savez(folder / f'{rank}_of_{world}.npz', **found)
    distributed.destroy_process_group()


def main(folder, *names):
    """names: of the slow cases that all processes run, or none for the usual run."""
    rare = rare_names()
    folder, every = Path(folder), {name: case for name, case in cases().items() if name not in rare}
    for name in ('all_reduce', 'all_gather'):
        listen(name)
    distributed.init_process_group('gloo')
    if names:
        run(folder, {name: cases()[name] for name in names}, 'fused')
        return
    rank = distributed.get_rank()
    run(folder, {name: every[name] for name in names_for_three()}, 'plain')
    for world, chosen, overlap in ((2, every, 'fused'), (1, dict(list(every.items())[:3]), 'fused')):
        if rank < world:
            meeting = f'file://{folder}/{world}_meet'
            distributed.init_process_group('gloo', init_method=meeting, rank=rank, world_size=world)
            run(folder, chosen, overlap)


if __name__ == '__main__':
    main(*sys.argv[1:])
