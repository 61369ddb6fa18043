"""Peak memory of Lovasz softmax in MMSegmentation's world: ``python benchmarks/lovasz_memory.py``.

One call forward and backward on float32 logits (2, 19, 512, 1024), in units of these logits and beside them, each in a
fresh process: ours, MMSegmentation's LovaszLoss and, for scale, our Jaccard metric loss.
"""

import pathlib
import re
import subprocess
import sys

SHAPE = (2, 19, 512, 1024)
CONFIGS = {
    'LovaszSoftmaxLoss': dict(type='LovaszSoftmaxLoss', ignore_index=255),
    'LovaszSoftmaxLoss(per_image=True)': dict(type='LovaszSoftmaxLoss', per_image=True, ignore_index=255),
    'mmseg LovaszLoss': dict(type='LovaszLoss', reduction='none'),
    'JaccardMetricLoss': dict(type='JaccardMetricLoss', ignore_index=255),
}


def measure(name):
    """Megabytes above the process with its inputs, at the highest."""
    import mmseg_plugin  # noqa: F401  first: it makes mmseg's losses importable beside mmcv-lite

    # isort: split
    import torch
    from mmseg.models.losses import LovaszLoss  # noqa: F401
    from mmseg.registry import MODELS

    loss = MODELS.build(CONFIGS[name])
    generator = torch.Generator().manual_seed(0)
    n, c, h, w = SHAPE
    small = torch.randn(1, c, 8, 8, requires_grad=True)
    loss(small, torch.zeros(1, 8, 8, dtype=torch.long), ignore_index=255).backward()  # what is loaded at first use
    logits = torch.randn(SHAPE, generator=generator).mul_(3).requires_grad_()
    coarse = torch.randint(0, c, (n, h // 16, w // 16), generator=generator)
    target = coarse.repeat_interleave(16, 1).repeat_interleave(16, 2)
    pathlib.Path('/proc/self/clear_refs').write_text('5')  # Linux: the highest so far is forgotten
    before = kilobytes('VmRSS')
    loss(logits, target, ignore_index=255).backward()
    return (kilobytes('VmHWM') - before) / 1024


def kilobytes(kind):
    return int(re.search(rf'{kind}:\s+(\d+)', pathlib.Path('/proc/self/status').read_text())[1])


if __name__ == '__main__':
    if len(sys.argv) > 1:
        print(measure(sys.argv[1]))
    else:
        size = 4 * SHAPE[0] * SHAPE[1] * SHAPE[2] * SHAPE[3] / 2**20
        print('| loss | peak memory in logits |\n|---|---|')
        for name in CONFIGS:
            done = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True)
            print(f'| {name} | {float(done.stdout.split()[-1]) / size:.1f} |', flush=True)
