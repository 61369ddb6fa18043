"""The data set on disk: MMSegmentation's layout, damage noticed, one sentence for what cannot be read."""

import shutil

import numpy as np
import pytest

pytest.importorskip('sklearn')

from PIL import Image

from segparity.demo import dataset, network, scenes
from segparity.demo.settings import DemoError


@pytest.fixture
def copy(written, tmp_path):
    shutil.copytree(written / 'data', tmp_path / 'data')
    return tmp_path


def test_layout(written, small):
    for split, count in (('train', small.train_scenes), ('val', small.val_scenes)):
        images = sorted((written / 'data' / 'img_dir' / split).iterdir())
        labels = sorted((written / 'data' / 'ann_dir' / split).iterdir())
        assert (
            [path.name for path in images] == [path.name for path in labels] == [f'{i:04d}.png' for i in range(count)]
        )
    with Image.open(images[0]) as image, Image.open(labels[0]) as label_map:
        assert image.mode == 'RGB' and label_map.mode == 'P'


def test_what_was_written_is_read_back(written, small):
    images, labels = dataset.read_split(written, 'val')
    made = scenes.make_scenes(small, 'val')
    assert (images == np.stack([scene.image for scene in made])).all()
    assert (labels == np.stack([scene.labels for scene in made])).all()


def test_a_complete_data_set_is_kept(copy, small):
    assert dataset.write_data(copy, small) is False


@pytest.mark.parametrize('harm', ['cut', 'missing', 'added', 'manifest', 'no_manifest'])
def test_a_damaged_data_set_is_written_anew(copy, small, harm):
    victim = copy / 'data' / 'ann_dir' / 'val' / '0001.png'
    manifest = copy / 'data' / 'manifest.json'
    if harm == 'cut':
        victim.write_bytes(victim.read_bytes()[:40])
    elif harm == 'missing':
        victim.unlink()
    elif harm == 'added':
        shutil.copy(victim, victim.with_name('other.png'))
    elif harm == 'manifest':
        manifest.write_text(manifest.read_text()[:-30])
    else:
        manifest.unlink()
    assert dataset.write_data(copy, small) is True
    assert dataset.write_data(copy, small) is False
    assert len(dataset.read_split(copy, 'val')[1]) == small.val_scenes


def test_a_killed_writer_leaves_no_half_data_set(tmp_path, small, monkeypatch):
    monkeypatch.setattr(dataset.os, 'replace', lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        dataset.write_data(tmp_path, small)
    monkeypatch.undo()
    assert not (tmp_path / 'data').exists()
    assert dataset.write_data(tmp_path, small) is True


def test_other_settings_are_other_data(small):
    other = type(small)(**{**small.to_dict(), 'seed': 8})
    same = type(small)(**{**small.to_dict(), 'batch': 1})
    assert dataset.data_fingerprint(other) != dataset.data_fingerprint(small) == dataset.data_fingerprint(same)


def not_an_image(path):
    path.write_bytes(b'no image')


def in_colour(path):
    Image.new('RGB', (4, 4)).save(path)


def strange_label(path):
    Image.fromarray(np.full((4, 4), 7, np.uint8)).save(path)


@pytest.mark.parametrize(
    'harm, words',
    [
        (not_an_image, 'not a readable label map'),
        (in_colour, 'mode RGB'),
        (strange_label, 'label 7 is neither a class'),
        (lambda path: None, 'not a readable label map'),
    ],
    ids=['not_an_image', 'in_colour', 'strange_label', 'missing'],
)
def test_an_unreadable_label_map_is_one_sentence(tmp_path, harm, words):
    path = tmp_path / 'label.png'
    harm(path)
    with pytest.raises(DemoError) as caught:
        dataset.read_labels(path)
    assert words in str(caught.value) and str(path) in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('content', [b'', b'PK\3\4 no archive', b'\x93NUMPY'])
@pytest.mark.parametrize(
    'name, read',
    [(network.PLAN, network.Plan.read), ('keras/val_logits.npy', lambda out: dataset.read_logits(out, 'keras'))],
    ids=['plan', 'logits'],
)
def test_what_a_killed_run_left_is_one_sentence(tmp_path, name, read, content):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DemoError) as caught:
        read(tmp_path)
    assert str(tmp_path / name) in str(caught.value) and '\n' not in str(caught.value)
