"""What a data-parallel job costs with the losses of all ranks as one: ``python -m benchmarks.processes``.

torchrun starts 1 to 4 processes of one thread each, joined by gloo. Every rank takes (2, 19, 256, 512) logits forward
and backward; a round ends when the last rank is done, and the ranks begin it together. ``alone`` is the same loss with
``sync=False``, and the last row one all-reduce of as many numbers as the first loss sums, without any loss. A job uses
all cores, whatever --threads says of the other areas. ``trained``: logits that mostly prefer the label, on which a
Lovasz loss has other work than on random ones.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from benchmarks import area, results
from benchmarks.batches import IGNORED, batch
from benchmarks.contenders import step
from benchmarks.timing import seconds

PROCESSES = (1, 2, 3, 4)
SHAPE, QUICK = (2, 19, 256, 512), (2, 3, 32, 32)
LOSSES = {
    'JaccardMetricLoss': dict(type='JaccardMetricLoss'),
    'JaccardMetricLoss, I + C': dict(type='JaccardMetricLoss', granularity={'I': 0.5, 'C': 0.5}),
    'WeightedCrossEntropyLoss': dict(type='WeightedCrossEntropyLoss'),
    'LovaszSoftmaxLoss': dict(type='LovaszSoftmaxLoss'),
}


def measure(options):
    area.use(options.cores)
    counts = PROCESSES[:2] if options.quick else PROCESSES
    found = [launch(count, options) for count in counts]
    seconds = {name: [column[name] for column in found] for name in found[0]}
    cores = len(options.cores)
    note = f'On {cores} cores: more processes than that share them.' if cores < max(counts) else ''
    yield results.scaling('Cost against processes', 'processes', counts, seconds, note, slope=False)


def launch(count, options):
    """Name -> seconds of each round, from ``count`` processes."""
    area.say(f'processes: {count}')
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / 'times.json'
        command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={count}']
        command += ['-m', 'benchmarks.processes', '--rank', str(file), '--rounds', str(options.rounds)]
        environment = os.environ | dict(OMP_NUM_THREADS='1', MKL_NUM_THREADS='1')
        done = subprocess.run(command + ['--quick'] * options.quick, env=environment, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(f'{" ".join(command)} failed: {done.stderr[-2000:]}')
        return json.loads(file.read_text())


def rank(options):
    """What every process does; the first writes the seconds that the slowest took."""
    import torch
    from torch import distributed

    import mmseg_plugin  # noqa: F401  first: it makes mmseg importable beside mmcv-lite

    # isort: split
    from mmseg.registry import MODELS

    torch.set_num_threads(1)
    distributed.init_process_group('gloo')
    shape = QUICK if options.quick else SHAPE
    (logits, target), trained = batch(shape), batch(shape, margin=6.0)
    calls = {}
    for name, config in LOSSES.items():
        for sync in (True, False):
            loss = MODELS.build(dict(config, ignore_index=IGNORED, sync=sync))
            calls[name if sync else f'{name}, alone'] = lambda loss=loss: step(loss, logits, target)
            if name == 'LovaszSoftmaxLoss':
                calls[f'{name}, trained' + ', alone' * (not sync)] = lambda loss=loss: step(loss, *trained)
    vector = torch.zeros(summed(next(iter(calls.values()))), dtype=torch.float64)
    calls['one all-reduce'] = lambda: distributed.all_reduce(vector)

    found = {name: [] for name in calls}
    for k in range(options.rounds + 1):
        for name, call in calls.items():
            distributed.barrier()
            slowest = torch.tensor(seconds(call))
            distributed.all_reduce(slowest, distributed.ReduceOp.MAX)
            if k:  # the first round warms up
                found[name].append(slowest.item())
    if distributed.get_rank() == 0:
        options.rank.write_text(json.dumps(found))
    distributed.destroy_process_group()


def summed(call):
    """How many numbers a step adds over the ranks."""
    from torch import distributed

    sizes, reduce = [0], distributed.all_reduce
    distributed.all_reduce = lambda x, *rest: (sizes.append(x.numel()), reduce(x, *rest))[1]
    try:
        call()
    finally:
        distributed.all_reduce = reduce
    return max(sum(sizes), 1)


def main():
    parser = area.parser(__doc__)
    parser.add_argument('--rank', type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    rank(options) if options.rank else area.run(measure, options)


if __name__ == '__main__':
    main()
