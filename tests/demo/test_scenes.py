"""The scenes: what the issue promises of them, counted."""

import numpy as np
import pytest

pytest.importorskip('sklearn')

from segparity.demo import scenes
from segparity.demo.settings import DIGITS, IGNORE, NUM_CLASSES, Settings

MANY = Settings(train_scenes=60, val_scenes=20)


@pytest.fixture(scope='module')
def made():
    return scenes.make_scenes(MANY, 'train')


def test_the_same_seed_gives_the_same_scenes(made):
    again = scenes.make_scenes(MANY, 'train')
    assert all((a.image == b.image).all() and (a.labels == b.labels).all() for a, b in zip(made, again))


def test_another_seed_and_another_split_give_others(made):
    other = scenes.make_scenes(Settings(seed=8, train_scenes=1), 'train')[0]
    val = scenes.make_scenes(MANY, 'val')[0]
    assert not (other.image == made[0].image).all() and not (val.image == made[0].image).all()


def test_shapes_and_types(made):
    for scene in made:
        assert scene.image.shape == (64, 64, 3) and scene.image.dtype == np.uint8
        assert scene.labels.shape == (64, 64) and scene.labels.dtype == np.uint8


def test_labels_are_classes_or_ignored_and_every_class_occurs(made):
    labels = np.stack([scene.labels for scene in made])
    assert set(np.unique(labels)) == {*range(NUM_CLASSES), IGNORE}


def test_two_to_four_digits_of_very_different_size(made):
    counts = [len(scene.glyphs) for scene in made]
    sizes = [size for scene in made for _, size, *_ in scene.glyphs]
    assert set(counts) == {2, 3, 4}
    assert min(sizes) >= 10 and max(sizes) <= 36 and min(sizes) <= 12 and max(sizes) >= 34


def test_the_digits_are_those_of_the_label_map(made):
    for scene in made:
        drawn = {DIGITS.index(digit) + 1 for digit, *_ in scene.glyphs}
        assert drawn == set(np.unique(scene.labels)) - {0, IGNORE}


def test_an_ignored_rim_lies_between_every_digit_and_the_background(made):
    for scene in made:
        digit = (scene.labels > 0) & (scene.labels < NUM_CLASSES)
        assert not (scenes.rim(digit) & (scene.labels == 0)).any()
        assert (scenes.rim(digit) == (scene.labels == IGNORE)).mean() > 0.99  # a rim where digits touch is shared


@pytest.mark.parametrize('size', [10, 17, 36])
def test_a_glyph_has_the_size_asked_for(size):
    for stack in scenes.load_scans('train').values():
        assert abs(scenes.glyph(stack[0], size).shape[0] - size) <= 2


def test_no_scan_is_in_both_splits():
    train, val = scenes.load_scans('train'), scenes.load_scans('val')
    for digit in DIGITS:
        seen = {scan.tobytes() for scan in train[digit]}
        assert len(train[digit]) > 3 * len(val[digit]) > 0
        assert not any(scan.tobytes() in seen for scan in val[digit])
