"""The data: shares that sum to 1, regions apart, annotators who disagree about contours alone."""

import importlib.util

import numpy as np
import pytest

from segparity.study import brain
from segparity.study.annotators import annotator_habits, draw_labels, drawn_maps
from segparity.study.data import load_data
from segparity.study.settings import StudyError

NO_TEMPLATE = importlib.util.find_spec('nilearn') is None or importlib.util.find_spec('nibabel') is None


def check_split(split, classes):
    n, _, *space = split.images.shape
    assert split.soft.shape == (n, classes, *space) and split.hard.shape == (n, *space)
    assert (split.images.dtype, split.soft.dtype, split.hard.dtype) == (np.float32, np.float32, np.int64)
    np.testing.assert_allclose(split.soft.sum(1), 1, rtol=0, atol=1e-6)
    assert split.soft.min() >= 0
    np.testing.assert_array_equal(split.soft.argmax(1), split.hard)


@pytest.mark.parametrize('name', ['digits-smoothed', 'digits-annotators'])
def test_digits_have_soft_labels_beside_contours(tiny, name):
    data = load_data(name, tiny)
    for split in (data.train, data.test):
        check_split(split, 5)
        unclear = split.soft.max(1) < 0.99
        assert 0.01 < unclear.mean() < 0.4
    assert (len(data.train.images), len(data.test.images)) == (3, 2)


def test_smoothed_pixels_have_what_the_formula_says(tiny):
    """epsilon 0.5 of 5 classes: 1 - 0.5 + 0.5 / 5 for the own, 0.5 / 5 for each other."""
    soft = load_data('digits-smoothed', tiny).train.soft
    np.testing.assert_allclose(np.unique(soft), [0, 0.5 / 5, 1 - 0.5 + 0.5 / 5, 1], rtol=0, atol=1e-7)


def test_the_mean_of_three_annotators_has_thirds(tiny):
    soft = load_data('digits-annotators', tiny).train.soft
    np.testing.assert_allclose(np.unique(soft), [0, 1 / 3, 2 / 3, 1], rtol=0, atol=1e-7)


def square():
    labels = np.zeros((32, 32), np.int64)
    labels[8:24, 8:24] = 3
    return labels


def test_habits_draw_wider_and_narrower():
    sizes = [(draw_labels(np.random.default_rng(0), square(), habit) == 3).sum() for habit in (-3, 0, 3)]
    assert sizes[0] < 16 * 16 - 100 < sizes[1] < 16 * 16 + 100 < sizes[2]


def test_annotators_differ_at_contours_alone():
    rng = np.random.default_rng(1)
    maps = drawn_maps(rng, square()[None], annotator_habits(rng, 4))
    assert maps.shape == (4, 1, 32, 32) and set(np.unique(maps)) == {0, 3}
    assert (maps[:, 0, 14:18, 14:18] == 3).all() and (maps[:, 0, 0] == 0).all()
    assert len({one.tobytes() for one in maps}) == 4


@pytest.mark.parametrize('value', [0, 2])
def test_a_map_without_contours_stays(value):
    labels = np.full((8, 8), value)
    np.testing.assert_array_equal(draw_labels(np.random.default_rng(0), labels, 1.0), labels)


@pytest.fixture(scope='module')
def numbered():
    """Volumes whose grey matter is the number of the slice."""
    numbers = np.broadcast_to(np.arange(brain.SHAPE[2], dtype=np.uint8), brain.SHAPE)
    return {'t1': numbers, 'gm': numbers, 'wm': np.full(brain.SHAPE, 60, np.uint8)}


def slice_numbers(split):
    return np.rint(split.soft[:, 1, 0, 0] * 255).astype(int)


def test_train_and_test_slices_lie_apart(numbered, tiny):
    data = brain.slices_of(numbered, tiny)
    train, test = slice_numbers(data.train), slice_numbers(data.test)
    assert (len(set(train)), len(set(test))) == (len(train), len(test)) == (66, 32)
    assert np.abs(train[:, None] - test).min() > brain.GAP
    for split in (data.train, data.test):
        check_split(split, 3)


def test_a_crop_is_seen_anew_and_its_labels_move_with_it(numbered, tiny, monkeypatch):
    """Without noise, and with an image that is its grey matter, one share is one intensity, and more is brighter."""
    monkeypatch.setattr(brain, 'NOISE', (0, 0))
    ramp = np.add.outer(np.arange(197), np.arange(233)) // 3
    grey = np.broadcast_to(ramp.astype(np.uint8)[..., None], brain.SHAPE)
    data = brain.slices_of({**numbered, 'gm': grey, 't1': grey}, tiny)
    rng = np.random.default_rng(0)
    seen = [data.augment(rng, data.train.images[0], data.train.soft[0]) for _ in range(2)]
    for image, soft in seen:
        assert image.shape == (1, 64, 64) and soft.shape == (3, 64, 64) and image.dtype == np.float32
        pairs = np.unique(np.stack([soft[1], image[0]]).reshape(2, -1), axis=1)
        assert pairs.shape[1] == len(np.unique(soft[1])) > 30 and (np.diff(pairs[1]) > 0).all()
    assert not np.array_equal(seen[0][0], seen[1][0])


def test_without_nilearn_a_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setattr(brain.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(
        StudyError, match=r"need nilearn and nibabel: pip install 'segparity\[study\]', or leave them out"
    ):
        brain.template_folder()


@pytest.mark.skipif(NO_TEMPLATE, reason='nilearn or nibabel is not installed')
def test_the_template_is_what_the_study_takes_it_for(tiny):
    volumes = brain.read_volumes(brain.template_folder())
    tissue = volumes['gm'].astype(int) + volumes['wm']
    assert tissue.max() == 255 and tissue.sum() == tissue[brain.CUT].sum()
    check_split(brain.split_of(volumes, brain.TEST_BLOCKS), 3)


@pytest.mark.skipif(NO_TEMPLATE, reason='nilearn or nibabel is not installed')
def test_a_damaged_template_is_a_sentence(tmp_path):
    (tmp_path / brain.FILES['t1']).write_bytes(b'no volume')
    with pytest.raises(StudyError, match='is no volume'):
        brain.read_volumes(tmp_path)
