"""Time and peak memory of region losses in PyTorch on the CPU: ``python benchmarks/overlap.py [--soft] [--rounds 9]``.

Forward and backward on logits, hard labels with 5 % ignored pixels (peers without an ignore label take them as class 0)
or soft labels without any. All run in turns in one process; medians over the rounds, and the median ratio to MONAI's
DiceLoss. Memory: one step in a fresh process above it and its inputs, in logits. Peers are left out where they are
missing. --all: every region loss of ours, and what a peer has of the same kind, at the first shape;
the others: pixel.py.
"""

from benchmarks import area, pixel, results
from benchmarks.batches import batch
from benchmarks.contenders import MAPPED, OURS, build, build_all, step
from benchmarks.memory import peak_bytes
from benchmarks.timing import time_in_turns

SHAPES = ((2, 19, 512, 1024), (4, 150, 256, 256), (8, 2, 512, 512), (2, 4, 128, 128))
QUICK = ((2, 19, 32, 64), (2, 3, 32, 32))
NAMES = (
    'JaccardMetricLoss', 'JaccardMetricLoss, I + C', 'JaccardMetricLoss (plain)', 'SoftDiceLoss',
    'MONAI DiceLoss', 'MONAI DiceLoss, jaccard', 'MONAI DiceLoss, ignore_index',
    'SMP JaccardLoss', 'SMP JaccardLoss, ignore_index', 'mmseg DiceLoss', 'torch cross_entropy',
)  # fmt: skip
CATALOGUE = (
    *(name for name in OURS if name not in pixel.NAMES), 'SensitivitySpecificityLoss', 'SoftDiceLoss, norm=2',
    'SoftDiceLoss, pooled', 'SoftDiceLoss, pooled, norm=2, I', 'BoundaryDoULoss',
    'CenterlineDiceLoss, 3 iterations', 'MONAI SoftDiceclDiceLoss', *(f'{name}, map given' for name in MAPPED),
    'MONAI DiceLoss', 'MONAI GeneralizedDiceLoss', 'MONAI TverskyLoss',
    'SMP DiceLoss', 'SMP TverskyLoss', 'mmseg DiceLoss', 'mmseg TverskyLoss', 'torch cross_entropy',
)  # fmt: skip
REFERENCE = 'MONAI DiceLoss'


def time_contenders(names, shape, labels='hard', dtype='float32', margin=None, rounds=7):
    """Name -> seconds of each round, and name -> reason of those left out."""
    logits, target = batch(shape, labels, dtype, margin)
    losses, left_out = build_all(names, *small(shape, labels, dtype))
    calls = {name: lambda loss=loss: step(loss, logits, target) for name, loss in losses.items()}
    return time_in_turns(calls, rounds), left_out


def prepare_step(name, shape, labels='hard', dtype='float32', margin=None):
    """A step for ``peak_bytes``."""
    loss = build(name, labels)
    step(loss, *small(shape, labels, dtype))
    logits, target = batch(shape, labels, dtype, margin)
    if hasattr(loss, 'prepare'):
        loss.prepare(logits, target)
    return lambda: step(loss, logits, target)


def small(shape, labels, dtype):
    """A batch of the same kind: what is loaded at first use, and whether a peer takes it, shows on this one."""
    return batch((1, shape[1], *(16,) * (len(shape) - 2)), labels, dtype)


def compare(names, shape, labels='hard', dtype='float32', margin=None, rounds=7):
    """The case of one shape: times and peaks."""
    area.say(f'{shape} {labels} {dtype}')
    seconds, left_out = time_contenders(names, shape, labels, dtype, margin, rounds)
    peaks = {name: peak_bytes(prepare_step, name, shape, labels, dtype, margin) for name in seconds}
    peaks = {name: peak for name, peak in peaks.items() if peak is not None}
    return results.case(seconds, peaks, unit_bytes(shape, dtype), left_out)


def unit_bytes(shape, dtype='float32'):
    """The size of the logits."""
    size = {'float64': 8, 'float32': 4, 'bfloat16': 2, 'float16': 2}[dtype]
    for length in shape:
        size *= length
    return size


def measure(options):
    labels = 'soft' if options.soft else 'hard'
    shapes = QUICK if options.quick else SHAPES
    if not all(0 <= k < len(shapes) for k in options.shapes or ()):
        raise SystemExit(f'benchmarks: --shapes must be from 0 to {len(shapes) - 1}, got {options.shapes}')
    shapes = shapes[:1] if options.all else [shapes[k] for k in options.shapes or range(len(shapes))]
    names = CATALOGUE if options.all else NAMES
    cases = {str(shape): compare(names, shape, labels, options.dtype, None, options.rounds) for shape in shapes}
    title = 'Every region loss' if options.all else 'Region losses'
    yield results.comparison(f'{title}, {labels} labels, {options.dtype}', cases, REFERENCE)


def parser():
    parser = area.parser(__doc__)
    parser.add_argument('--soft', action='store_true', help='soft labels')
    parser.add_argument('--all', action='store_true', help='every region loss, at the first shape')
    parser.add_argument('--dtype', default='float32', choices=('float32', 'bfloat16', 'float16'), help='of the logits')
    parser.add_argument('--shapes', type=int, nargs='+', help='which of the shapes, from 0')
    return parser


def main():
    area.run(measure, parser().parse_args())


if __name__ == '__main__':
    main()
