"""What a training step costs with each recipe of soft labels: ``python -m benchmarks.soft_label_steps``.

The demo's U-Net, five classes, cross-entropy and JaccardMetric: forward, backward and SGD, in turns in one process, as
multiples of the step on class ids. MMSegmentation by default, Keras with ``--keras`` under the backend of KERAS_BACKEND,
compiled where that compiles. Teachers are as large as their students, so that a step on class ids and a prediction is the
least that a distillation costs. The time is that of the processor, which other work on the machine changes little.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.distance_maps import labels_of, table

CLASSES, BATCH = 5, 8
PLAIN = 'class ids'


def data(side):
    """Images (N, H, W, 3), class ids of blocks, and probabilities as of a recalibration's keys."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(BATCH, side, side, 3)).astype(np.float32)
    keys = rng.dirichlet(np.ones(CLASSES), size=64 * CLASSES)
    return images, labels_of((BATCH, CLASSES, side, side)), (keys, rng.integers(CLASSES, size=len(keys)))


def keys_of(keys, pixels):
    from shared_spec.recalibration import DirichletRecalibration

    return DirichletRecalibration(*keys, pixels=pixels)


def steps_of_mmsegmentation(side):
    """Name -> function: a step of training."""
    import mmseg_plugin  # noqa: F401  first: it makes mmseg importable beside mmcv-lite

    # isort: split
    import torch
    from mmengine.config import Config
    from mmengine.model import MomentumAnnealingEMA
    from mmengine.registry import init_default_scope
    from mmengine.structures import PixelData
    from mmseg.registry import MODELS
    from mmseg.structures import SegDataSample

    from mmseg_plugin.soft_labels.heads import give_soft_labels
    from mmseg_plugin.soft_labels.sources import BoundaryLabelSmoothing, LabelSmoothing, SampleLabels
    from mmseg_plugin.soft_labels.teacher import Teacher

    init_default_scope('mmseg')
    file = Config._get_cfg_path('segparity::demo/digits_unet_jaccard_metric.py', '')[0]
    config = dict(Config.fromfile(file).model, data_preprocessor=None)
    images, ids, keys = data(side)
    inputs = torch.tensor(images).movedim(-1, 1).contiguous()
    soft = torch.tensor(np.random.default_rng(1).dirichlet(np.ones(CLASSES), size=ids.shape)).float().movedim(-1, 1)
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=torch.tensor(y)[None]), gt_soft_seg=PixelData(data=s))
        for y, s in zip(ids, soft)
    ]

    def step_of(network, after=lambda: None):
        optimizer = torch.optim.SGD(network.parameters(), 1e-3)
        network.train()

        def step():
            optimizer.zero_grad()
            found = network.loss(inputs, samples)
            sum(value for name, value in found.items() if 'loss' in name).backward()
            optimizer.step()
            after()

        return step

    def sourced(source):
        network = MODELS.build(config)
        give_soft_labels(network, source)
        return step_of(network)

    def distilled(folder, pixels=None):
        torch.save(MODELS.build(config).state_dict(), folder / 'teacher.pth')
        given = None
        if pixels:
            keys_of(keys, pixels).save(folder / 'keys.npz')
            given = dict(keys=str(folder / 'keys.npz'), pixels=pixels)
        about = dict(type='DistilledSegmentor', student=config, teacher=config, recalibration=given)
        return step_of(MODELS.build(dict(about, teacher_checkpoint=str(folder / 'teacher.pth'))))

    def mean_teacher(labelled_too):
        network = MODELS.build(dict(type='MeanTeacherSegmentor', student=config, labelled_too=labelled_too))
        average = MomentumAnnealingEMA(network, momentum=0.01)
        network.consistency.teacher = Teacher(average.module)
        return step_of(network, lambda: average.update_parameters(network))

    other = MODELS.build(config).eval()
    plain = step_of(MODELS.build(config))

    def and_a_prediction():
        plain()
        with torch.no_grad():
            other(inputs, mode='tensor')

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return {
            PLAIN: plain,
            'label smoothing': sourced(LabelSmoothing(0.1)),
            'boundary label smoothing': sourced(BoundaryLabelSmoothing(0.5)),
            'soft maps of the samples, as of annotators': sourced(SampleLabels()),
            f'{PLAIN}, and a prediction': and_a_prediction,
            'distillation': distilled(folder),
            'distillation, recalibrated': distilled(folder, 'all'),
            'distillation, recalibrated where doubtful': distilled(folder, 'doubtful'),
            'mean teacher': mean_teacher(labelled_too=True),
        }


def steps_of_keras(side):
    """Name -> function: a step of training."""

    from keras_plugin import losses, soft_labels
    from segparity.demo.keras_unet import build_unet
    from segparity.demo.settings import Settings

    images, ids, keys = data(side)
    settings = Settings(side=side)
    soft = np.random.default_rng(1).dirichlet(np.ones(CLASSES), size=ids.shape).astype(np.float32)
    counts = (ids != 255).astype(np.float32)

    def loss():
        common = dict(from_logits=True, ignore_class=255)
        parts = [losses.WeightedCrossEntropyLoss(**common), losses.JaccardMetricLoss(smooth=1.0, **common)]
        return losses.WeightedSumLoss(parts, weights=[0.25, 0.75])

    def compiled(model, *batch, **options):
        model.compile('sgd', **options)
        return lambda: model.train_on_batch(*batch)

    def distilled(pixels=None):
        given = pixels and keys_of(keys, pixels)
        model = soft_labels.Distiller(build_unet(settings), build_unet(settings), recalibration=given)
        return compiled(model, images, ids, student_loss=loss())

    other = build_unet(settings)
    plain = compiled(build_unet(settings), images, ids, loss=loss())

    def and_a_prediction():
        plain()
        other.predict_on_batch(images)

    learner = soft_labels.MeanTeacher(build_unet(settings), momentum=0.99)
    pair = {'labelled': images[: BATCH // 2], 'unlabelled': images[BATCH // 2 :]}
    return {
        PLAIN: plain,
        'soft labels': compiled(build_unet(settings), images, soft, counts, loss=loss()),
        f'{PLAIN}, and a prediction': and_a_prediction,
        'distillation': distilled(),
        'distillation, recalibrated': distilled('all'),
        'distillation, recalibrated where doubtful': distilled('doubtful'),
        'mean teacher, half of the images labelled': compiled(learner, pair, ids[: BATCH // 2], student_loss=loss()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--side', type=int, default=128, help='of the images (default: 128)')
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--keras', action='store_true')
    given = parser.parse_args()
    where = f'Keras on {os.environ.get("KERAS_BACKEND", "its default backend")}' if given.keras else 'MMSegmentation'
    print(f'\n{where}, ({BATCH}, {given.side}, {given.side}), {CLASSES} classes\n')
    contenders = (steps_of_keras if given.keras else steps_of_mmsegmentation)(given.side)
    table(contenders, given.rounds, PLAIN)


if __name__ == '__main__':
    main()
