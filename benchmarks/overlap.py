"""Time and peak memory of region losses in PyTorch on the CPU: ``python benchmarks/overlap.py [--soft] [--rounds 9]``.

Forward and backward on float32 logits, hard labels with 5 % ignored pixels (peers without an ignore label take them as
class 0) or soft labels without any. All run in turns in one process; medians over the rounds, and the median ratio to
MONAI's DiceLoss. Memory: one step in a fresh process above it and its inputs, in logits. MONAI and
segmentation_models_pytorch are left out where they are missing.
"""

import argparse
import importlib.util
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time
import types

SHAPES = ((2, 19, 512, 1024), (4, 150, 256, 256), (8, 2, 512, 512), (2, 4, 128, 128))
NAMES = (
    'JaccardMetricLoss', 'SoftDiceLoss', 'FocalTverskyLoss', 'GeneralizedDiceLoss', 'JaccardMetricLoss (plain)',
    'MONAI DiceLoss', 'SMP JaccardLoss', 'mmseg DiceLoss',
)  # fmt: skip
REFERENCE = 'MONAI DiceLoss'


def inputs(shape, soft):
    """Logits and labels of one batch: blocks of 16 x 16 pixels, or probabilities."""
    import torch

    generator = torch.Generator().manual_seed(0)
    n, c, h, w = shape
    logits = torch.randn(shape, generator=generator).mul_(3)
    if soft:
        return logits.requires_grad_(), torch.randn(shape, generator=generator).softmax(1)
    coarse = torch.randint(0, c, (n, h // 16, w // 16), generator=generator)
    target = coarse.repeat_interleave(16, 1).repeat_interleave(16, 2)
    target[torch.rand(target.shape, generator=generator) < 0.05] = 255
    return logits.requires_grad_(), target


def build(name, soft):
    """A function of logits and labels, or None where its package is missing."""
    import mmseg_plugin  # noqa: F401  first: it makes mmseg importable beside mmcv-lite

    # isort: split
    import mmseg.models.losses  # noqa: F401
    from mmseg.registry import MODELS

    from mmseg_plugin import fused_overlap

    if name == 'MONAI DiceLoss':
        if importlib.util.find_spec('monai') is None:
            return None
        from monai.losses import DiceLoss

        loss = DiceLoss(softmax=True, to_onehot_y=not soft)
        return loss if soft else lambda z, y: loss(z, (y * (y != 255))[:, None])
    if name == 'SMP JaccardLoss':
        found = importlib.util.find_spec('segmentation_models_pytorch')
        if found is None:
            return None
        package = types.ModuleType('segmentation_models_pytorch')  # its own file imports every encoder
        package.__path__, package.__spec__ = list(found.submodule_search_locations), found
        sys.modules.setdefault(package.__name__, package)
        from segmentation_models_pytorch.losses import JaccardLoss

        loss = JaccardLoss('multilabel' if soft else 'multiclass', from_logits=not soft)
        return (lambda z, y: loss(z.softmax(1), y)) if soft else lambda z, y: loss(z, y * (y != 255))
    if name == 'mmseg DiceLoss':
        if soft:
            return None  # it makes labels one-hot
        return MODELS.build(dict(type='DiceLoss', ignore_index=255))
    loss = MODELS.build(dict(type=name.split()[0], **({} if soft else dict(ignore_index=255))))

    def step(z, y):
        fused_overlap.MODE = 'plain' if 'plain' in name else 'auto'
        return loss(z, y)

    return step


def timed(shape, soft, rounds):
    """name -> seconds of each round."""
    logits, target = inputs(shape, soft)
    losses = {name: loss for name in NAMES if (loss := build(name, soft))}
    times = {name: [] for name in losses}
    repeats = max(1, 2**21 // logits.numel())  # short ones are run several times
    for k in range(rounds + 1):
        for name, loss in losses.items():
            start = time.perf_counter()
            for _ in range(repeats):
                logits.grad = None
                loss(logits, target).backward()
            if k:  # the first round warms up
                times[name].append((time.perf_counter() - start) / repeats)
    return times


def memory(shape, soft, name):
    """The peak of one step above the process with its inputs, in logits."""
    loss = build(name, soft)
    logits, target = inputs((1, shape[1], 16, 16), soft)
    loss(logits, target).backward()  # what is loaded at first use
    logits, target = inputs(shape, soft)
    pathlib.Path('/proc/self/clear_refs').write_text('5')  # Linux: the highest so far is forgotten
    before = kilobytes('VmRSS')
    loss(logits, target).backward()
    return (kilobytes('VmHWM') - before) * 1024 / (4 * logits.numel())


def kilobytes(kind):
    return int(re.search(rf'{kind}:\s+(\d+)', pathlib.Path('/proc/self/status').read_text())[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--soft', action='store_true', help='soft labels')
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--shapes', type=int, nargs='+', default=range(len(SHAPES)), help='which of the shapes, from 0')
    parser.add_argument('--memory', nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
    import torch

    torch.set_num_threads(options.threads)
    if options.memory:
        print(memory(SHAPES[int(options.memory[0])], options.soft, options.memory[1]))
        return
    for k in options.shapes:
        times = timed(SHAPES[k], options.soft, options.rounds)
        missing = [name for name in NAMES if name not in times]
        if missing:
            print(f'left out: {", ".join(missing)}', file=sys.stderr)
        print(f'\n| {SHAPES[k]}, {"soft" if options.soft else "hard"} labels | ms | ratio | memory, logits |')
        print('|---|---|---|---|')
        for name in sorted(times, key=lambda name: statistics.median(times[name])):
            reference = times.get(REFERENCE, times[NAMES[0]])
            ratio = statistics.median(a / b for a, b in zip(times[name], reference))
            command = [sys.executable, __file__, '--threads', str(options.threads), '--memory', str(k), name]
            done = subprocess.run(
                command + ['--soft'] * options.soft, capture_output=True, text=True, check=True, env=os.environ
            )
            peak = float(done.stdout.split()[-1])
            print(f'| {name} | {1e3 * statistics.median(times[name]):.2f} | {ratio:.2f} | {peak:.2f} |', flush=True)


if __name__ == '__main__':
    main()
