"""Trains the demo's U-Net in Keras with a loss that needs more than logits and labels, beside the same without it.

``KERAS_BACKEND=tensorflow python examples/keras_branches.py PixelContrastLoss`` draws scenes of handwritten digits, trains
twice on the same schedule, and prints the metrics of both. ``--list`` names the losses. Needs ``segparity[demo]`` and a
backend of Keras; TopologyAwareFocalLoss also GUDHI.
"""

import argparse
import time

import keras
import numpy as np
from keras import layers

from keras_plugin import losses, metrics
from keras_plugin.models import BranchedModel
from segparity.demo.keras_unet import build_unet
from segparity.demo.scenes import make_scenes
from segparity.demo.settings import IGNORE, NUM_CLASSES, Settings

COMMON = dict(from_logits=True, ignore_class=IGNORE)
LEVELS = 'DIC'


def embedding(features, depth=32):
    """A projection of features to vectors of length 1."""
    x = layers.Conv2D(features.shape[-1], 1, activation='relu', name='project')(features)
    return layers.UnitNormalization(axis=-1, name='embedding')(layers.Conv2D(depth, 1, name='embed')(x))


def model_and_loss(name, settings):
    """The U-Net with what a loss needs, and the loss: of the logits, or by the names of outputs."""
    unet = build_unet(settings)
    logits = unet.output
    features = logits._keras_history.operation.input  # what the classifier is given
    own = losses.WeightedCrossEntropyLoss(**COMMON)
    outputs = dict(logits=logits)
    if name == 'PixelContrastLoss':
        outputs['embedding'] = embedding(features)
        loss = with_loss(own, losses.PixelContrastLoss(max_views=20, **COMMON), 0.1)
    elif name == 'PixelTripletLoss':
        outputs['embedding'] = embedding(features)
        loss = with_loss(own, losses.PixelTripletLoss(margin=0.5, samples=100, **COMMON), 0.1)
    elif name == 'ConditionalBoundaryLoss':
        outputs['embedding'] = features
        loss = with_loss(own, losses.ConditionalBoundaryLoss(**COMMON), 0.1)
    elif name == 'SemanticEncodingLoss':
        pooled = layers.GlobalAveragePooling2D(name='pool')(features)
        outputs['presence'] = layers.Dense(NUM_CLASSES, name='presence')(pooled)
        loss = {'logits': own, 'presence': losses.SemanticEncodingLoss(loss_weight=0.2, **COMMON)}
    elif name == 'BoundaryAwareLoss':
        outputs['bins'] = layers.Conv2D(5 * (NUM_CLASSES - 1), 1, name='bins')(features)
        loss = {'logits': own, 'bins': losses.BoundaryAwareLoss(num_bins=5, loss_weight=0.5, **COMMON)}
    elif name == 'InverseFormLoss':
        outputs['edges'] = layers.Conv2D(1, 3, padding='same', name='edges')(features)
        loss = {'logits': own, 'edges': losses.InverseFormLoss(tiles=(2, 2), loss_weight=0.1, **COMMON)}
    elif name == 'TopologyAwareFocalLoss':
        loss = losses.TopologyAwareFocalLoss(**COMMON)
    else:
        loss = own
    return BranchedModel(unet.input, outputs, name='branched_unet'), loss


def with_loss(own, loss, weight):
    return losses.WeightedSumLoss(losses=[own, loss], weights=[1.0, weight])


def train(name, settings, scenes):
    """metric name -> fraction on the validation scenes, and the seconds of a step."""
    keras.utils.set_random_seed(settings.seed)
    (images, labels), (val_images, val_labels) = scenes
    model, loss = model_and_loss(name, settings)
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-4, settings.iterations, warmup_target=settings.peak_lr, warmup_steps=settings.iterations // 10
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay),
        loss=loss,
        metrics=[
            metrics.MeanIoU(NUM_CLASSES, level=level, ignore_class=IGNORE, from_logits=True, name=f'mIoU{level}')
            for level in LEVELS
        ],
        jit_compile=False if name == 'TopologyAwareFocalLoss' else 'auto',
    )
    steps = len(images) // settings.batch
    start = time.perf_counter()
    model.fit(images, labels, batch_size=settings.batch, epochs=settings.iterations // steps, verbose=0)
    seconds = (time.perf_counter() - start) / (settings.iterations // steps * steps)
    found = model.evaluate(val_images, val_labels, batch_size=20, verbose=0, return_dict=True)
    return {key: found[key] for key in found if key.startswith('mIoU')}, seconds


def drawn(settings):
    """(images, labels) of training and of validation."""
    found = []
    for split in ('train', 'val'):
        scenes = make_scenes(settings, split)
        images = np.stack([scene.image for scene in scenes]).astype(np.float32)
        found.append((images, np.stack([scene.labels for scene in scenes]).astype(np.int32)))
    return found


NAMES = (
    'PixelContrastLoss', 'PixelTripletLoss', 'ConditionalBoundaryLoss', 'SemanticEncodingLoss', 'BoundaryAwareLoss',
    'InverseFormLoss', 'TopologyAwareFocalLoss',
)  # fmt: skip


def main():
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('loss', nargs='*', help='one or several of --list')
    parser.add_argument('--list', action='store_true', help='the names of the losses')
    parser.add_argument('--steps', type=int, default=400)
    parser.add_argument('--scenes', type=int, default=800, help='of training; those of validation are 100')
    given = parser.parse_args()
    if given.list:
        print('\n'.join(NAMES))
        return
    for name in given.loss:
        if name not in NAMES:
            parser.error(f'loss must be one of {", ".join(NAMES)}, got {name!r}')
    if not given.loss:
        parser.error('name a loss, or --list')
    settings = Settings(iterations=given.steps, val_every=given.steps, train_scenes=given.scenes)
    if given.scenes < settings.batch or given.steps < given.scenes // settings.batch:
        parser.error(f'--steps must be an epoch or more, --scenes / {settings.batch} steps')
    scenes = drawn(settings)
    print(f'{"":32}' + ''.join(f'mIoU{level:6}' for level in LEVELS) + 'ms per step', flush=True)
    for name in ('cross-entropy alone', *given.loss):
        found, seconds = train(name, settings, scenes)
        print(
            f'{name:32}'
            + ''.join(f'{100 * found[f"mIoU{level}"]:<10.2f}' for level in LEVELS)
            + f'{1e3 * seconds:.0f}',
            flush=True,
        )


if __name__ == '__main__':
    main()
