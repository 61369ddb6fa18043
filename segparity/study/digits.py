"""The demo's scenes of handwritten digits with soft labels: smoothed boundaries, or the mean of simulated annotators."""

import numpy as np
import torch

from mmseg_plugin.soft_labels import average_annotators, boundary_label_smoothing
from segparity.demo.scenes import make_scenes
from segparity.demo.settings import CLASSES, IGNORE, MEAN, NUM_CLASSES, STD
from segparity.demo.settings import Settings as SceneSettings
from segparity.study.annotators import annotator_habits, drawn_maps
from segparity.study.data import Split, StudyData, unchanged
from segparity.study.settings import Settings

SPLITS = ('train', 'val')


def scene_arrays(settings: Settings) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """'train' and 'val' -> images float32 (N, 3, H, W) and class ids int64 (N, H, W).

    The rim around a digit that the demo ignores is background here: smoothing leaves a pixel beside an ignored one as it
    is, and the annotators disagree about the rim anyway.
    """
    wanted = SceneSettings(
        seed=settings.data_seed,
        train_scenes=settings.train_scenes,
        val_scenes=settings.test_scenes,
        side=settings.side,
    )
    found = {}
    for split in SPLITS:
        scenes = make_scenes(wanted, split)
        images = np.stack([scene.image for scene in scenes]).transpose(0, 3, 1, 2)
        labels = np.stack([scene.labels for scene in scenes]).astype(np.int64)
        labels[labels == IGNORE] = 0
        found[split] = ((images.astype(np.float32) - MEAN) / STD, labels)
    return found


def smoothed_digits(settings: Settings) -> StudyData:
    """Soft: boundary label smoothing, epsilon 0.5 in windows of 3. Hard: the class ids that were smoothed."""

    def split(images: np.ndarray, labels: np.ndarray) -> Split:
        soft = boundary_label_smoothing(torch.from_numpy(labels), num_classes=NUM_CLASSES)
        return Split(images, soft.numpy(), labels)

    train, test = (split(*arrays) for arrays in scene_arrays(settings).values())
    return StudyData('Digits, smoothed boundaries', CLASSES, train, test, unchanged)


def drawn_digits(settings: Settings) -> StudyData:
    """Soft: the mean of the annotators. Hard: the class that most of them say, of several the first."""
    rng = np.random.default_rng([settings.data_seed, 11])
    habits = annotator_habits(rng, settings.annotators)

    def split(images: np.ndarray, labels: np.ndarray) -> Split:
        maps = torch.from_numpy(drawn_maps(rng, labels, habits))
        soft = average_annotators(maps, num_classes=NUM_CLASSES).numpy()
        return Split(images, soft, soft.argmax(1))

    train, test = (split(*arrays) for arrays in scene_arrays(settings).values())
    return StudyData(f'Digits, {settings.annotators} simulated annotators', CLASSES, train, test, unchanged)
