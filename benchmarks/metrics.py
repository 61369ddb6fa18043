"""Time for each image and memory of the metrics, beside their peers: ``python benchmarks/metrics.py [--jdt FOLDER]``.

One image at a time, as evaluation loops give them: uint8 labels with 5 % ignored pixels in blocks of 16, int64
predictions that are right on 9 of 10 blocks. All run in turns in one process, on one thread; the median over the
rounds, with the ratio to MMSegmentation's IoUMetric. Ours gives every result of D, I and C with q; the peers give less.
FOLDER: a checkout of JDTLosses, whose metric is then measured too. torchmetrics and Keras are left out where they are
missing. The second table is the peak memory of all results for 5,000 images of 171 classes, in a fresh process (Linux).
"""

import os
import sys
import time

os.environ.setdefault('KERAS_BACKEND', 'tensorflow')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

from benchmarks import area, results
from benchmarks.memory import kilobytes, run_in_fresh_process
from benchmarks.peers import LeftOut, load
from benchmarks.timing import time_in_turns

SHAPES, QUICK = ((19, 512, 1024), (150, 512, 512)), ((3, 32, 32),)
IMAGES, CLASSES, QUICK_IMAGES = 5000, 171, 20


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
    """Name -> function that measures the image once, and name -> reason of those left out."""
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

    left_out = {}
    found = {
        'mmseg IoUMetric': evaluator(IoUMetric(ignore_index=255)),
        'FineGrainedMetric': evaluator(METRICS.build(dict(type='FineGrainedMetric'))),
        'CalibrationMetric': calibrate,
        'BoundaryMetric(BoundaryIoU)': evaluator(METRICS.build(dict(type='BoundaryMetric', metrics=['BoundaryIoU']))),
        'BoundaryMetric(all)': evaluator(METRICS.build(dict(type='BoundaryMetric'))),
    }
    try:
        jaccard = load('torchmetrics', 'classification').MulticlassJaccardIndex
        mean = load('torchmetrics', 'segmentation').MeanIoU(classes, input_format='index')
    except LeftOut as reason:
        left_out['torchmetrics'] = str(reason)
    else:
        jaccard = jaccard(classes, ignore_index=255, validate_args=False)
        found['torchmetrics MulticlassJaccardIndex'] = lambda: jaccard.update(pred[None], label[None].long())
        inside = label.long().clamp(max=classes - 1)  # it knows no pixel to ignore
        found['torchmetrics MeanIoU'] = lambda: mean.update(pred[None], inside[None])
    try:
        keras_metrics = load('keras', 'metrics')
    except LeftOut as reason:
        left_out['keras'] = str(reason)
    else:
        import keras

        from keras_plugin.metrics import SegmentationReport

        theirs = keras_metrics.MeanIoU(classes, ignore_class=255)
        ours = SegmentationReport(classes, ignore_class=255, q=(1, 5), metrics=('mAcc', 'mIoU', 'mDice'))
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
    return found, left_out


def memory(kind, images):
    """What the state of so many images takes in this process: MB of its rows, MB and seconds of all results."""
    import numpy as np

    from shared_spec import METRICS
    from shared_spec.metrics import boundary, calibration, fine_grained

    rng = np.random.default_rng(0)
    if kind == 'FineGrained':
        spec = METRICS[kind](num_classes=CLASSES, metrics=('mAcc', 'mIoU', 'mDice', 'mPrecision', 'mFscore'))
        state = fine_grained.FineGrainedState(CLASSES)
        row = lambda: (rng.integers(0, 9, (CLASSES, 3)),)  # noqa: E731
    elif kind == 'Calibration':
        spec, state = METRICS[kind](num_classes=CLASSES), calibration.CalibrationState(CLASSES)
        cells = np.sort(rng.choice(CLASSES * 10, 400, replace=False))  # about what an image of 30 classes fills
        row = lambda: (np.stack([cells, *np.sort(rng.integers(1, 99, (3, 400)), 0)[::-1], cells * 2**24], 1),)  # noqa: E731
    else:
        spec, state = METRICS[kind](num_classes=CLASSES), boundary.BoundaryState(CLASSES)
        row = lambda: (rng.integers(0, 9, (CLASSES, 3)), rng.random((CLASSES, 3)), 9.0)  # noqa: E731

    before = kilobytes('VmHWM')
    for i in range(images):
        state.add(*row(), image_id=i)
    filled, start = kilobytes('VmHWM'), time.perf_counter()
    state.results(spec)
    return (filled - before) / 1024, (kilobytes('VmHWM') - before) / 1024, time.perf_counter() - start


def measure(options):
    area.confine(1)
    cases = {}
    for classes, height, width in QUICK if options.quick else SHAPES:
        found, left_out = contenders(classes, *images(classes, height, width), options.jdt)
        cases[f'{classes} classes, {height} x {width}'] = results.case(
            time_in_turns(found, options.rounds), left_out=left_out
        )
    yield results.comparison('Metrics, one image at a time', cases, 'mmseg IoUMetric')
    if sys.platform == 'linux':
        count = QUICK_IMAGES if options.quick else IMAGES
        rows = []
        for kind in ('FineGrained', 'Calibration', 'BoundaryIoU', 'SurfaceDistance'):
            kept, all_, seconds = run_in_fresh_process(memory, kind, count)
            rows.append([kind, f'{kept:.0f}', f'{all_:.0f}', f'{seconds:.2f}'])
        head = ['state', 'rows kept, MB', 'with all results, MB', 'results, s']
        yield results.ready_table(f'Memory of the metrics: {count} images of {CLASSES} classes', head, rows)


def main():
    parser = area.parser(__doc__)
    parser.add_argument('--jdt', help='folder of a JDTLosses checkout')
    area.run(measure, parser.parse_args())


if __name__ == '__main__':
    main()
