"""Trains the demo's U-Net in Keras with soft labels, beside the same with hard ones.

``KERAS_BACKEND=tensorflow python examples/keras_soft_labels.py --recipe boundary`` draws scenes of handwritten digits,
trains on the same schedule with hard labels and with the recipe's, and prints the metrics of both. Recipes: smoothing,
boundary (label smoothing at boundaries; what is ignored along them is background there, for a pixel that sees an ignored
one is not smoothed), annotators (the average of three simulated ones), distillation (from a U-Net of twice the width, trained first), mean_teacher (of
the scenes one in eight has labels). Needs ``segparity[demo]`` and a backend of Keras.
"""

import argparse
import dataclasses

import keras
import numpy as np
from keras import layers
from simulated_annotators import drawn as seen_by

from keras_plugin import losses, metrics, soft_labels
from segparity.demo.keras_unet import build_unet
from segparity.demo.scenes import make_scenes
from segparity.demo.settings import IGNORE, NUM_CLASSES, Settings

CLASSES = dict(num_classes=NUM_CLASSES, ignore_class=IGNORE)
LEVELS = 'DIC'
LABELLED = 8  # one scene in so many has labels for the mean teacher


class Batches(keras.utils.PyDataset):
    """Random batches of arrays that belong together, the same in every run."""

    def __init__(self, *arrays, settings, seed=0):
        super().__init__()
        self.arrays, self.settings, self.seed = arrays, settings, seed

    def __len__(self):
        return self.settings.iterations

    def __getitem__(self, index):
        rng = np.random.default_rng([self.settings.seed, self.seed, index])
        chosen = rng.integers(len(self.arrays[0]), size=self.settings.batch)
        batch = tuple(array[chosen] for array in self.arrays)
        return batch if len(batch) > 1 else batch[0]


def drawn(settings, split):
    """Images (N, S, S, 3) float32 and labels (N, S, S) int32."""
    scenes = make_scenes(settings, split)
    images = np.stack([scene.image for scene in scenes]).astype(np.float32)
    return images, np.stack([scene.labels for scene in scenes]).astype(np.int32)


def both_losses():
    """0.25 * cross-entropy + 0.75 * Jaccard, which take hard and soft labels."""
    common = dict(from_logits=True, ignore_class=IGNORE)
    parts = [losses.WeightedCrossEntropyLoss(**common), losses.JaccardMetricLoss(smooth=1.0, **common)]
    return losses.WeightedSumLoss(parts, weights=[0.25, 0.75])


def options(settings):
    """The optimiser and the metrics of every model."""
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-4, settings.iterations, warmup_target=settings.peak_lr, warmup_steps=max(settings.iterations // 10, 1)
    )
    measured = [
        metrics.MeanIoU(NUM_CLASSES, level=level, ignore_class=IGNORE, from_logits=True, name=f'mIoU{level}')
        for level in LEVELS
    ]
    return dict(optimizer=keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay), metrics=measured)


def with_labels(settings, images, labels, weights=None):
    """A U-Net trained on hard or soft labels."""
    keras.utils.set_random_seed(settings.seed)
    model = build_unet(settings)
    model.compile(loss=both_losses(), **options(settings))
    arrays = (images, labels) if weights is None else (images, labels, weights)
    model.fit(Batches(*arrays, settings=settings), shuffle=False, verbose=0)
    return model


def smoothed(settings, images, labels, at_boundaries):
    """A U-Net trained on smoothed labels; pixels that are ignored weigh 0."""
    if at_boundaries:
        labels = np.where(labels == IGNORE, 0, labels)
        soft = soft_labels.boundary_label_smoothing(labels, epsilon=0.5, window=3, **CLASSES)
    else:
        soft = soft_labels.label_smoothing(labels, epsilon=0.1, **CLASSES)
    weights = np.asarray(labels != IGNORE, np.float32)
    return with_labels(settings, images, keras.ops.convert_to_numpy(soft), weights)


def annotated(settings, images, labels):
    """A U-Net trained on the average of three annotators."""
    maps = [[seen_by(one, annotator) for annotator in range(3)] for one in labels]
    data = soft_labels.AnnotatorDataset(images, maps, settings.batch, seed=settings.seed, **CLASSES)
    keras.utils.set_random_seed(settings.seed)
    model = build_unet(settings)
    model.compile(loss=both_losses(), **options(settings))
    model.fit(data, epochs=max(1, settings.iterations // len(data)), shuffle=False, verbose=0)
    return model


def distilled(settings, images, labels):
    """A U-Net that learns from the labels and from one of twice the width."""
    wide = dataclasses.replace(settings, base_channels=2 * settings.base_channels)
    teacher = with_labels(wide, images, labels)
    keras.utils.set_random_seed(settings.seed)
    model = soft_labels.Distiller(build_unet(settings), teacher, temperature=2.0)
    model.compile(student_loss=both_losses(), **options(settings))
    model.fit(Batches(images, labels, settings=settings), shuffle=False, verbose=0)
    return model


def mean_teacher(settings, images, labels):
    """The mean teacher of a U-Net, of scenes of which few have labels."""
    keras.utils.set_random_seed(settings.seed)
    span = dict(value_range=(0, 255))
    model = soft_labels.MeanTeacher(
        build_unet(settings),
        momentum=0.98,
        weak=layers.RandomTranslation(0.1, 0.1, seed=1),
        strong=keras.Sequential(
            [layers.RandomContrast(0.4, seed=2, **span), layers.RandomBrightness(0.2, seed=3, **span)]
        ),
        ramp_up_steps=settings.iterations // 2,
        confidence_threshold=0.8,
    )
    model.compile(student_loss=both_losses(), **options(settings))
    known = Batches(images[::LABELLED], labels[::LABELLED], settings=settings)
    data = soft_labels.semi_supervised(known, Batches(images, settings=settings, seed=1))
    model.fit(data, shuffle=False, verbose=0)
    return model


def trained(recipe, settings, images, labels):
    """The model that a recipe trains; 'hard' and 'few labels' are what the others are compared with."""
    if recipe in ('smoothing', 'boundary'):
        return smoothed(settings, images, labels, recipe == 'boundary')
    if recipe == 'annotators':
        return annotated(settings, images, labels)
    if recipe == 'distillation':
        return distilled(settings, images, labels)
    if recipe == 'mean_teacher':
        return mean_teacher(settings, images, labels)
    step = LABELLED if recipe == 'few labels' else 1
    return with_labels(settings, images[::step], labels[::step])


RECIPES = ('smoothing', 'boundary', 'annotators', 'distillation', 'mean_teacher')


def main():
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--recipe', choices=RECIPES, default='boundary')
    parser.add_argument('--steps', type=int, default=400, help='of every training')
    parser.add_argument('--scenes', type=int, default=800, help='of training; those of validation are 100')
    parser.add_argument('--seed', type=int, default=7)
    given = parser.parse_args()
    if given.steps < 1 or given.scenes < LABELLED:
        parser.error(f'--steps must be 1 or more, --scenes {LABELLED} or more')
    settings = Settings(
        iterations=given.steps, val_every=given.steps, train_scenes=given.scenes, seed=given.seed, base_channels=8
    )
    (images, labels), validation = drawn(settings, 'train'), drawn(settings, 'val')
    print(f'{"":16}' + ''.join(f'mIoU{level:6}' for level in LEVELS), flush=True)
    for recipe in ('few labels' if given.recipe == 'mean_teacher' else 'hard', given.recipe):
        model = trained(recipe, settings, images, labels)
        found = model.evaluate(*validation, batch_size=20, verbose=0, return_dict=True)
        print(f'{recipe:16}' + ''.join(f'{100 * found[f"mIoU{level}"]:<10.2f}' for level in LEVELS), flush=True)


if __name__ == '__main__':
    main()
