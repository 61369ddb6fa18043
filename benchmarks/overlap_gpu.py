"""Time and memory of region losses on a CUDA device: ``python benchmarks/overlap_gpu.py [--sweep | --dry]``.

Class ids with 5 % ignored pixels, which peers without an ignore label take as class 0. First the two kernels of the
overlap statistics by themselves, then whole losses, forward with backward, in eager PyTorch: ours through the kernels,
ours through PyTorch's own operators, MONAI's, segmentation_models_pytorch's and MMSegmentation's (left out where they are
missing), cross-entropy. The limit is the bytes that must move (logits read forward, read again and the gradient written
backward, ids and mask read both times) at the rate of a large copy on the same device. Each contender runs CALLS times
in a row, in turns over ROUNDS rounds, on inputs that change with every call so that no cache holds them; medians.
Memory: the peak of one step above its inputs, in logits. The numbers of the kernels are checked first.

--sweep times other tiles and numbers of warps, for whoever tunes ``triton_launch.plan``. --dry runs all of it once on a
CPU, in Triton's interpreter and on a few pixels, and its times mean nothing.
"""

import argparse
import importlib.util
import itertools
import os
import statistics
import sys
import time
import types
from pathlib import Path

CASES = (
    ((2, 19, 512, 1024), 'float32'),
    ((2, 19, 512, 1024), 'bfloat16'),
    ((4, 150, 256, 256), 'float32'),
    ((4, 150, 256, 256), 'bfloat16'),
    ((8, 2, 512, 512), 'float32'),
    ((1, 1000, 256, 256), 'float32'),
)
DRY = (((2, 3, 4, 8), 'float32'), ((1, 19, 2, 8), 'bfloat16'))
CALLS, ROUNDS, ROTATED = 10, 9, 2**30  # ROTATED: bytes of all inputs of a case together, several times any cache
IGNORED = 255
DEVICE = 'cuda'


def milliseconds(call, inputs):
    """Time of one call, the mean over CALLS in a row."""
    import torch

    if DEVICE == 'cpu':
        start = time.perf_counter()
        call(*next(inputs))
        return 1e3 * (time.perf_counter() - start)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(CALLS):
        call(*next(inputs))
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / CALLS


def medians(contenders, inputs):
    """Name -> median milliseconds; all in turns."""
    times = {name: [] for name in contenders}
    for call in contenders.values():
        milliseconds(call, inputs)  # compiled and warm
    for _ in range(ROUNDS):
        for name, call in contenders.items():
            times[name].append(milliseconds(call, inputs))
    return {name: statistics.median(found) for name, found in times.items()}


def bandwidth():
    """Bytes that a copy reads and writes in a millisecond."""
    import torch

    source = torch.empty(2**28 if DEVICE == 'cuda' else 2**20, device=DEVICE).normal_()
    target = torch.empty_like(source)
    found = medians({'copy': lambda *_: target.copy_(source)}, itertools.repeat(()))
    return 2 * source.numel() * 4 / found['copy']


def rotating(shape, dtype):
    """An endless iterator over several (logits, ids)."""
    import torch

    n, c, h, w = shape
    size = n * c * h * w * torch.finfo(dtype).bits // 8
    sets = []
    for _ in range(max(ROTATED // size, 2) if DEVICE == 'cuda' else 2):
        logits = (3 * torch.randn(shape, device=DEVICE)).to(dtype)
        ids = torch.randint(c, (n, h, w // 8), device=DEVICE).repeat_interleave(8, 2)
        ids[torch.rand(ids.shape, device=DEVICE) < 0.05] = IGNORED
        sets.append((logits.requires_grad_(), ids))
    return itertools.cycle(sets)


def limits(shape, dtype, rate):
    """Milliseconds of the traffic of the forward, and of forward and backward."""
    import torch

    n, c, h, w = shape
    logits, pixels = n * c * h * w * torch.finfo(dtype).bits // 8, n * h * w * (8 + 1)
    return (logits + pixels) / rate, (3 * logits + 2 * pixels) / rate


def kernels(shape):
    """Name -> function of (logits, ids): the forward kernel, and both."""
    import torch

    from mmseg_plugin.kernels.overlap import triton_launch as t

    grads = torch.randn(3, *shape[:2], device=DEVICE, dtype=torch.float64)

    def operands(logits, ids):
        ids = ids.flatten(1)
        return logits.detach().flatten(2), ids, masks.setdefault(ids.data_ptr(), ids != IGNORED)

    def forward(*inputs):
        t.forward(*operands(*inputs), 'softmax', 'product')

    def both(*inputs):
        forward(*inputs)
        t.backward(*operands(*inputs), grads, 'softmax', 'product')

    masks = {}
    return {'forward': forward, 'both': both}


def losses():
    """Name -> loss of (logits, ids)."""
    import mmseg_plugin  # noqa: F401  first: it makes mmseg importable beside mmcv-lite

    # isort: split
    import mmseg.models.losses  # noqa: F401
    from mmseg.registry import MODELS
    from torch.nn import functional

    from mmseg_plugin.kernels.overlap import choice

    jaccard = MODELS.build(dict(type='JaccardMetricLoss', ignore_index=IGNORED))

    def in_mode(mode):
        def loss(logits, ids):
            choice.MODE = mode
            return jaccard(logits, ids)

        return loss

    found = {
        'JaccardMetricLoss': in_mode('fused'),
        'JaccardMetricLoss (plain)': in_mode('plain'),
        'mmseg DiceLoss': MODELS.build(dict(type='DiceLoss', ignore_index=IGNORED)),
        'torch cross_entropy': lambda logits, ids: functional.cross_entropy(logits, ids, ignore_index=IGNORED),
    }
    if importlib.util.find_spec('monai'):
        from monai.losses import DiceLoss

        dice = DiceLoss(softmax=True, to_onehot_y=True)
        found['MONAI DiceLoss'] = lambda logits, ids: dice(logits, (ids * (ids != IGNORED))[:, None])
    spec = importlib.util.find_spec('segmentation_models_pytorch')
    if spec:
        package = types.ModuleType(spec.name)  # its own file imports every encoder
        package.__path__, package.__spec__ = list(spec.submodule_search_locations), spec
        sys.modules.setdefault(spec.name, package)
        from segmentation_models_pytorch.losses import JaccardLoss

        smp = JaccardLoss('multiclass')
        found['SMP JaccardLoss'] = lambda logits, ids: smp(logits, ids * (ids != IGNORED))
    return found


def step(loss):
    def run(logits, ids):
        logits.grad = None
        loss(logits, ids).backward()
        logits.grad = None

    return run


def memory(loss, inputs):
    """The peak of one step above its inputs, in logits."""
    import torch

    logits, ids = next(inputs)
    if DEVICE == 'cpu':
        return float('nan')
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step(loss)(logits, ids)
    return (torch.cuda.max_memory_allocated() - before) / (logits.numel() * logits.element_size())


def check(shape, inputs):
    """Stops where the kernels and the plain formulas in float64 differ."""
    import torch

    from mmseg_plugin.kernels.overlap import triton_launch as t

    logits, ids = next(inputs)
    given = [logits.detach()[:1].flatten(2), ids[:1].flatten(1), ids[:1].flatten(1) != IGNORED]
    exact, call = [given[0].double(), *given[1:]], ('softmax', 'product')
    grads = torch.randn(3, 1, shape[1], device=DEVICE, dtype=torch.float64)
    want, slope = t.unfused_forward(*exact, *call), t.unfused_backward(*exact, grads, *call)
    got, gradient = t.forward(*given, *call), t.backward(*given, grads, *call)
    value = ((got - want).abs().max() / want.abs().max()).item()
    error = ((gradient.double() - slope).abs().max() / slope.abs().max()).item()
    if t.refusals or not (value < 1e-6 and error < (1e-5 if logits.dtype == torch.float32 else 1e-2)):
        reason = t.refusals[0] if t.refusals else f'values off by {value:.1e}, gradient by {error:.1e}'
        raise SystemExit(f'overlap_gpu: wrong at {shape}: {reason}')


def tables(cases):
    """Prints the times."""
    import torch

    rate = bandwidth()
    name = torch.cuda.get_device_name() if DEVICE == 'cuda' else 'a dry run, whose times mean nothing'
    triton = importlib.import_module('triton').__version__
    print(f'{name}; torch {torch.__version__}, triton {triton}; a copy moves {rate / 1e9:.2f} TB/s\n', flush=True)
    print('| kernels | forward, ms | limit | x limit | with backward, ms | limit | x limit |')
    print('|---|---|---|---|---|---|---|')
    for shape, kind in cases:
        dtype = getattr(torch, kind)
        inputs, (once, whole) = rotating(shape, dtype), limits(shape, dtype, rate)
        check(shape, inputs)
        found = medians(kernels(shape), inputs)
        forward, both = f'{found["forward"]:.3f}', f'{found["both"]:.3f}'
        print(f'| {shape} {kind} | {forward} | {once:.3f} | {found["forward"] / once:.2f} ', end='')
        print(f'| {both} | {whole:.3f} | {found["both"] / whole:.2f} |', flush=True)
    named = losses()
    for shape, kind in cases:
        dtype = getattr(torch, kind)
        inputs, (_, whole) = rotating(shape, dtype), limits(shape, dtype, rate)
        found = medians({name: step(loss) for name, loss in named.items()}, inputs)
        print(f'\n| {shape} {kind} | ms | x limit | x JaccardMetricLoss | memory, logits |\n|---|---|---|---|---|')
        for name in sorted(found, key=found.get):
            ratios = f'{found[name] / whole:.2f} | {found[name] / found["JaccardMetricLoss"]:.2f}'
            print(f'| {name} | {found[name]:.3f} | {ratios} | {memory(named[name], inputs):.2f} |', flush=True)


def sweep(cases):
    """Prints the times of other plans."""
    import torch

    from mmseg_plugin.kernels.overlap import triton_launch as t

    usual = t.plan
    print('| logits | pixels | fold | warps | steps | forward, ms | with backward, ms |\n|---|---|---|---|---|---|---|')
    for shape, kind in cases:
        inputs = rotating(shape, getattr(torch, kind))
        n, c, h, w = shape
        how = usual((n, c, h * w), True)
        options = {(how.pixels * a // 2, max(how.warps * b // 4, 1)) for a in (1, 2, 4) for b in (1, 2, 4, 8)}
        for pixels, warps in sorted((pixels, warps) for pixels, warps in options if pixels >= 16 and warps <= 16):
            rows = -(-h * w // pixels)
            fold = min(max(how.chunk * pixels // (32 * warps), 1), 4)
            for steps in (2, 4, 8, 16):
                plan = how._replace(
                    pixels=pixels, warps=warps, fold=fold, rows=rows, steps=steps, blocks=-(-rows // steps)
                )
                t.plan = lambda *_, plan=plan: plan
                found = medians(kernels(shape), inputs)
                note = ' (refused)' if t.refusals else ''
                t.refusals.clear()
                times = f'{found["forward"]:.3f} | {found["both"]:.3f}{note}'
                print(f'| {shape} {kind} | {pixels} | {fold} | {warps} | {steps} | {times} |', flush=True)
        t.plan = usual


def main():
    global DEVICE, ROUNDS
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--sweep', action='store_true', help='time other tiles and numbers of warps')
    parser.add_argument('--dry', action='store_true', help="run once on a CPU, in Triton's interpreter")
    options = parser.parse_args()
    if options.dry:
        DEVICE, ROUNDS, os.environ['TRITON_INTERPRET'] = 'cpu', 1, '1'
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import torch

    from mmseg_plugin.kernels.overlap import triton_launch

    if not options.dry and not torch.cuda.is_available():
        raise SystemExit('overlap_gpu: needs a CUDA device; --dry runs it on a CPU')
    if not triton_launch.is_available(torch.empty(1, device=DEVICE)):
        raise SystemExit('overlap_gpu: needs Triton')
    (sweep if options.sweep else tables)(DRY if options.dry else CASES)


if __name__ == '__main__':
    main()
