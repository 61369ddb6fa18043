"""Time and memory of the Lovasz losses in PyTorch, beside their peers: ``python benchmarks/lovasz.py``.

One call forward and backward on float32 logits, labels in blocks with ignored pixels. All run in turns in one process;
the table has the median time and the median over the rounds of the ratio to our loss. The second table is the peak
memory above the inputs, in units of the logits, each in a fresh process. segmentation_models_pytorch is left out where
it is missing. Its and MMSegmentation's losses take the whole batch at once; ``per_image`` where the name says so.
"""

import argparse
import functools
import importlib.util
import json
import pathlib
import re
import statistics
import subprocess
import sys
import time

SOFTMAX = {
    'LovaszSoftmaxLoss': ('LovaszSoftmaxLoss', {}),
    "LovaszSoftmaxLoss, classes='all'": ('LovaszSoftmaxLoss', dict(classes='all')),
    'MMSegmentation': ('mmseg', {}),
    'segmentation_models_pytorch': ('smp', dict(mode='multiclass')),
}
HINGE = {
    'LovaszHingeLoss': ('LovaszHingeLoss', dict(per_image=False)),
    'MMSegmentation': ('mmseg', dict(loss_type='binary')),
    'segmentation_models_pytorch': ('smp', dict(mode='binary')),
}
SETTINGS = {
    '19 classes, trained': (SOFTMAX, (2, 19, 512, 1024), False, 6.0),
    '19 classes, trained, per image': (SOFTMAX, (2, 19, 512, 1024), True, 6.0),
    '19 classes, untrained': (SOFTMAX, (2, 19, 512, 1024), False, 0.0),
    '150 classes, trained': (SOFTMAX, (4, 150, 256, 256), False, 6.0),
    '2 classes, trained': (SOFTMAX, (8, 2, 512, 512), False, 4.0),
    '2 classes, small': (SOFTMAX, (2, 2, 64, 64), False, 4.0),
    'hinge, trained': (HINGE, (8, 1, 512, 512), False, 4.0),
    'hinge, trained, per image': (HINGE, (8, 1, 512, 512), True, 4.0),
}


def inputs(shape, margin):
    """Logits, Gaussian and ``margin`` higher at the label on 9 of 10 blocks, and labels with 5 % ignored blocks."""
    import torch

    generator = torch.Generator().manual_seed(0)
    n, c, h, w = shape
    blocks = n, h // 16, w // 16
    coarse = torch.randint(max(c, 2), blocks, generator=generator)
    wrong = torch.rand(blocks, generator=generator) < 0.1
    seen = torch.where(wrong, torch.randint(max(c, 2), blocks, generator=generator), coarse)
    coarse[torch.rand(blocks, generator=generator) < 0.05] = 255
    seen, target = (x.repeat_interleave(16, 1).repeat_interleave(16, 2) for x in (seen, coarse))
    logits = torch.randn(shape, generator=generator)
    if c == 1:
        logits += margin * (seen[:, None] - 0.5)
    else:
        logits.scatter_add_(1, seen[:, None], torch.full((n, 1, h, w), margin))
    return logits.requires_grad_(), target


def build(kind, arguments, per_image):
    """Function of logits and labels, or None where a peer is missing."""
    import mmseg_plugin  # noqa: F401  first: it makes mmseg's losses importable beside mmcv-lite

    # isort: split
    from mmseg.models.losses import LovaszLoss  # noqa: F401
    from mmseg.registry import MODELS

    arguments = {**arguments, 'per_image': per_image}
    if kind == 'mmseg':
        reduction = 'mean' if per_image else 'none'
        loss = MODELS.build(dict(type='LovaszLoss', reduction=reduction, **arguments))
        if arguments.get('loss_type') == 'binary':
            return lambda z, y: loss(z[:, 0], y, ignore_index=255)
        return lambda z, y: loss(z, y, ignore_index=255)
    if kind == 'smp':
        if not importlib.util.find_spec('segmentation_models_pytorch'):
            return None
        from segmentation_models_pytorch.losses import LovaszLoss as PeerLoss

        return PeerLoss(ignore_index=255, **arguments)
    return MODELS.build(dict(type=kind, ignore_index=255, **arguments))


def rounds(setting, count):
    """Name -> seconds of each round."""
    contenders, shape, per_image, margin = SETTINGS[setting]
    losses = {name: build(*contender, per_image) for name, contender in contenders.items()}
    losses = {name: loss for name, loss in losses.items() if loss}
    logits, target = inputs(shape, margin)
    seconds = {name: [] for name in losses}
    for i in range(count + 1):  # the first round warms up
        for name, loss in losses.items():
            logits.grad = None
            start = time.perf_counter()
            loss(logits, target).backward()
            if i:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def memory(setting, name):
    """Bytes above the process with its inputs, at the highest, in units of the logits; None where a peer is missing."""
    import torch

    contenders, shape, per_image, margin = SETTINGS[setting]
    loss = build(*contenders[name], per_image)
    if loss is None:
        return None
    small = torch.randn(2, shape[1], 8, 8, requires_grad=True)
    loss(small, torch.zeros(2, 8, 8, dtype=torch.long)).backward()  # what is loaded at first use
    logits, target = inputs(shape, margin)
    pathlib.Path('/proc/self/clear_refs').write_text('5')  # Linux: the highest so far is forgotten
    before = kilobytes('VmRSS')
    loss(logits, target).backward()
    return (kilobytes('VmHWM') - before) * 1024 / (4 * logits.numel())


def kilobytes(kind):
    return int(re.search(rf'{kind}:\s+(\d+)', pathlib.Path('/proc/self/status').read_text())[1])


def child(*arguments):
    """What this file prints for the arguments in a fresh process."""
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--settings', nargs='+', choices=SETTINGS, default=list(SETTINGS), metavar='SETTING')
    parser.add_argument('--memory', metavar='NAME', help='print the memory of one loss in the first setting')
    options = parser.parse_args()

    import torch

    torch.set_num_threads(options.threads)
    if options.memory:
        print(json.dumps(memory(options.settings[0], options.memory)))
        return
    print('| setting | shape | loss | ms | x ours | memory in logits |\n|---|---|---|---|---|---|')
    for setting in options.settings:
        seconds = rounds(setting, options.rounds)
        ours = next(iter(seconds.values()))
        measure = functools.partial(child, '--threads', str(options.threads), '--settings', setting, '--memory')
        for name, times in seconds.items():
            ratio = statistics.median(a / b for a, b in zip(times, ours))
            milliseconds, logits = 1e3 * statistics.median(times), measure(name)
            shape = SETTINGS[setting][1]
            print(f'| {setting} | {shape} | {name} | {milliseconds:.1f} | {ratio:.1f} | {logits:.1f} |', flush=True)


if __name__ == '__main__':
    main()
