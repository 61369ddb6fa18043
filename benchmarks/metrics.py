"""Time for each image and memory of the metrics, beside their peers: ``python benchmarks/metrics.py [--jdt FOLDER]``.

One image at a time, as evaluation loops give them: uint8 labels with 5 % ignored pixels in blocks of 16, int64
predictions that are right on 9 of 10 blocks. All run in turns in one process, on one thread; the median over the
rounds, with the ratio to MMSegmentation's IoUMetric. Ours gives every result of D, I and C with q; the peers give less.
FOLDER: a checkout of JDTLosses, whose metric is then measured too. torchmetrics and Keras are left out where they are
missing. The second table is the peak memory of all results for 5,000 images of 171 classes, in a fresh process.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault('KERAS_BACKEND', 'tensorflow')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
SHAPES = ((19, 512, 1024), (150, 512, 512))
IMAGES, CLASSES, ROUNDS = 5000, 171, 9


def images(classes, height, width):
    """(pred, label) tensors of one image."""
    import torch

    generator = torch.Generator().manual_seed(0)
    blocks = height // 16, width // 16
    label = torch.randint(classes, blocks, generator=generator)
    wrong = torch.rand(blocks, generator=generator) < 0.1
    pred = torch.where(wrong, torch.randint(classes, blocks, generator=generator), label)
    label[torch.rand(blocks, generator=generator) < 0.05] = 255
    pred, label = (x.repeat_interleave(16, 0).repeat_interleave(16, 1) for x in (pred, label))
    return pred.contiguous(), label.to(torch.uint8).contiguous()


def contenders(classes, pred, label, jdt):
    """Name -> function that measures the image once."""
    import mmseg_plugin  # noqa: F401  first: it makes mmseg importable beside mmcv-lite

    # isort: split
    import torch
    from mmseg.evaluation import IoUMetric
    from mmseg.registry import METRICS

    sample = dict(pred_sem_seg=dict(data=pred[None]), gt_sem_seg=dict(data=label[None]), img_path='x.png')
    meta = dict(classes=[str(c) for c in range(classes)])

    def evaluator(metric):
        metric.dataset_meta = meta

        def measure():
            metric.results.clear()
            metric.process({}, [sample])

        return measure

    logits = torch.nn.functional.one_hot(pred, classes).permute(2, 0, 1).float().contiguous() * 5
    probabilistic = dict(sample, seg_logits=dict(data=logits))
    calibration = METRICS.build(dict(type='CalibrationMetric'))
    calibration.dataset_meta = meta

    def calibrate():
        calibration.results.clear()
        calibration.process({}, [probabilistic])

    found = {
        'mmseg IoUMetric': evaluator(IoUMetric(ignore_index=255)),
        'FineGrainedMetric': evaluator(METRICS.build(dict(type='FineGrainedMetric'))),
        'CalibrationMetric': calibrate,
        'BoundaryMetric(BoundaryIoU)': evaluator(METRICS.build(dict(type='BoundaryMetric', metrics=['BoundaryIoU']))),
        'BoundaryMetric(all)': evaluator(METRICS.build(dict(type='BoundaryMetric'))),
    }
    try:
        from torchmetrics.classification import MulticlassJaccardIndex
        from torchmetrics.segmentation import MeanIoU
    except ImportError as error:
        print(f'left out: {error}', file=sys.stderr)
    else:
        jaccard = MulticlassJaccardIndex(classes, ignore_index=255, validate_args=False)
        found['torchmetrics MulticlassJaccardIndex'] = lambda: jaccard.update(pred[None], label[None].long())
        inside = label.long().clamp(max=classes - 1)  # it knows no pixel to ignore
        mean = MeanIoU(classes, input_format='index')
        found['torchmetrics MeanIoU'] = lambda: mean.update(pred[None], inside[None])
    try:
        import keras
    except ImportError as error:
        print(f'left out: {error}', file=sys.stderr)
    else:
        from keras_plugin.metrics import SegmentationReport

        theirs = keras.metrics.MeanIoU(classes, ignore_class=255)
        ours = SegmentationReport(classes, ignore_class=255)
        y, p = keras.ops.convert_to_tensor(label[None].numpy()), keras.ops.convert_to_tensor(pred[None].numpy())

        def report():
            ours.reset_state()
            ours.update_state(y, p)

        found['keras MeanIoU'] = lambda: theirs.update_state(y, p)
        found['keras_plugin SegmentationReport'] = report
    if jdt:
        sys.path.insert(0, jdt)
        from metrics.accuracy_metric import AccuracyMetric

        whole = label.long()

        def official():
            AccuracyMetric(num_classes=classes, ignore_index=255).add(pred[None], whole[None])

        found['JDTLosses AccuracyMetric'] = official
    return found


def timed(jdt):
    """Prints the table of times."""
    import torch

    torch.set_num_threads(1)
    columns, names = [], {}
    for classes, height, width in SHAPES:
        found = contenders(classes, *images(classes, height, width), jdt)
        names |= dict.fromkeys(found)
        times = {name: [] for name in found}
        for measure in found.values():
            measure()
        for _ in range(ROUNDS):
            for name, measure in found.items():
                start = time.perf_counter()
                measure()
                times[name].append(time.perf_counter() - start)
        columns.append({name: statistics.median(values) for name, values in times.items()})
    heads = [f'{c} classes, {h} x {w}' for c, h, w in SHAPES]
    print('| metric | ' + ' | '.join(f'{head}, ms | ratio' for head in heads) + ' |')
    print('|---|' + '---|---|' * len(heads))
    for name in sorted(names, key=lambda name: columns[0][name]):
        cells = [f'{1e3 * column[name]:.2f} | {column[name] / column["mmseg IoUMetric"]:.2f}' for column in columns]
        print(f'| {name} | ' + ' | '.join(cells) + ' |', flush=True)


def memory(kind):
    """Megabytes above the process, and seconds, that the results of IMAGES images of CLASSES classes take."""
    import numpy as np

    from shared_spec import METRICS
    from shared_spec.metrics import boundary_state, calibration_state, counts

    rng = np.random.default_rng(0)
    if kind == 'FineGrained':
        spec = METRICS[kind](num_classes=CLASSES, metrics=('mAcc', 'mIoU', 'mDice', 'mPrecision', 'mFscore'))
        state = counts.FineGrainedState(CLASSES)
        row = lambda: (rng.integers(0, 9, (CLASSES, 3)),)  # noqa: E731
    elif kind == 'Calibration':
        spec, state = METRICS[kind](num_classes=CLASSES), calibration_state.CalibrationState(CLASSES)
        cells = np.sort(rng.choice(CLASSES * 10, 400, replace=False))  # about what an image of 30 classes fills
        row = lambda: (np.stack([cells, *np.sort(rng.integers(1, 99, (3, 400)), 0)[::-1], cells * 2**24], 1),)  # noqa: E731
    else:
        spec, state = METRICS[kind](num_classes=CLASSES), boundary_state.BoundaryState(CLASSES)
        row = lambda: (rng.integers(0, 9, (CLASSES, 3)), rng.random((CLASSES, 3)), 9.0)  # noqa: E731

    def peak():
        return int(re.search(r'VmHWM:\s+(\d+)', Path('/proc/self/status').read_text())[1]) / 1024  # Linux

    before, start = peak(), time.perf_counter()
    for i in range(IMAGES):
        state.add(*row(), image_id=i)
    filled, middle = peak(), time.perf_counter()
    state.results(spec)
    return f'{filled - before:.0f} | {peak() - before:.0f} | {time.perf_counter() - middle:.2f}', middle - start


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--jdt', help='folder of a JDTLosses checkout')
    parser.add_argument('--memory', help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    if options.memory:
        print(memory(options.memory)[0])
    else:
        timed(options.jdt)
        print('\n| state | rows kept, MB | with all results, MB | results, s |\n|---|---|---|---|')
        for kind in ('FineGrained', 'Calibration', 'BoundaryIoU', 'SurfaceDistance'):
            done = subprocess.run([sys.executable, __file__, '--memory', kind], capture_output=True, text=True)
            print(f'| {kind} | {done.stdout.strip() or done.stderr.splitlines()[-1]} |', flush=True)
