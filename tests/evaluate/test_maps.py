"""What files hold: label maps in every format, palettes, probabilities; and what is refused."""

import re

import numpy as np
import pytest
from PIL import Image

from segparity.evaluate import maps
from segparity.evaluate.maps import MapError, most_probable, read_labels, read_probabilities, reduce_zero_label
from segparity.evaluate.palette import UNKNOWN, read_palette
from tests.evaluate.data import flips, label_maps, probabilities, save

IDS = label_maps(1)[1][0]
VOLUME = np.stack([IDS, IDS.T[:12].repeat(2, 1)[:, :15], IDS])
COLOURS = np.array([[0, 0, 0], [250, 170, 30], [70, 70, 70]], np.uint8)
ID_OF = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)


@pytest.mark.parametrize(
    'suffix, dtype',
    [('.png', 'u1'), ('.png', 'u2'), ('.tif', 'u1'), ('.tif', 'u2'), ('.tif', 'i4'), ('.npy', 'i8'), ('.npy', '>i2')],
)
def test_ids_come_back(tmp_path, suffix, dtype):
    large = IDS.astype(dtype) * (1 if dtype == 'u1' else 100)
    found = read_labels(str(save(tmp_path / f'x{suffix}', large)))
    assert found.dtype.kind in 'iu' and np.array_equal(found, large)


@pytest.mark.parametrize('suffix', ['.tif', '.npy'])
def test_volumes_come_back(tmp_path, suffix):
    assert np.array_equal(read_labels(str(save(tmp_path / f'x{suffix}', VOLUME))), VOLUME)


def test_a_palette_image_is_read_as_indices(tmp_path):
    image = Image.frombytes('P', (3, 2), ID_OF.tobytes())
    image.putpalette(COLOURS[::-1].tobytes())
    image.save(tmp_path / 'x.png')
    assert np.array_equal(read_labels(str(tmp_path / 'x.png')), ID_OF)
    # with a palette its colours are the labels
    palette = write_palette(tmp_path / 'p.txt', '0 0 0\n250 170 30\n70 70 70')
    assert np.array_equal(read_labels(str(tmp_path / 'x.png'), palette), 2 - ID_OF)


@pytest.mark.parametrize('name', ['x.png', 'x.tif', 'x.npy'])
@pytest.mark.parametrize('shape', [(12, 15), (3, 12, 15)], ids=['picture', 'volume'])
def test_one_bit_is_a_mask(tmp_path, name, shape):
    """Pillow reads 1 bit as bools of the bytes 0 and 255, and a .npy file may hold such bools as well."""
    if name == 'x.png' and len(shape) == 3:
        pytest.skip('no volume in PNG')
    mask = np.random.default_rng(0).random(shape) < 0.5
    save(tmp_path / name, (mask * np.uint8(255)).view(bool) if name == 'x.npy' else mask)
    found = read_labels(str(tmp_path / name))
    assert found.dtype == np.uint8 and np.array_equal(found, mask)


def write_palette(path, text):
    path.write_text(text)
    return read_palette(path)


PALETTES = {
    'dict.json': '{"road": [0, 0, 0], "light": [250, 170, 30], "wall": [70, 70, 70]}',
    'list.json': '[[0, 0, 0], [250, 170, 30], [70, 70, 70]]',
    'plain.txt': '# a comment\n0 0 0 road\n250 170 30 traffic light\n\n70 70 70 wall\n',
    'commas.csv': '0,0,0,road\n250,170,30,light\n70,70,70,wall\n',
    'head.csv': 'name,r,g,b\nroad,0,0,0\nlight,250,170,30\nwall,70,70,70\n',
}


@pytest.mark.parametrize('mode', ['RGB', 'RGBA'])
@pytest.mark.parametrize('name', PALETTES)
def test_colours_become_ids(tmp_path, name, mode):
    palette = write_palette(tmp_path / name, PALETTES[name])
    Image.fromarray(COLOURS[ID_OF]).convert(mode).save(tmp_path / 'x.png')
    assert np.array_equal(read_labels(str(tmp_path / 'x.png'), palette), ID_OF)
    assert palette.names[::2] == (('', '') if name == 'list.json' else ('road', 'wall'))


def test_grey_masks_of_0_and_255_need_a_palette(tmp_path):
    save(tmp_path / 'x.png', np.array([[0, 255], [255, 0]], np.uint8))
    palette = write_palette(tmp_path / 'p.txt', '0 0 0\n255 255 255\n')
    assert read_labels(str(tmp_path / 'x.png'), palette).tolist() == [[0, 1], [1, 0]]


def test_unknown_and_ignored_colours(tmp_path):
    save(tmp_path / 'x.png', np.array([[[1, 2, 3], [9, 9, 9], [0, 0, 0]]], np.uint8))
    palette = write_palette(tmp_path / 'p.txt', '9 9 9 ignore\n0 0 0 road')
    assert read_labels(str(tmp_path / 'x.png'), palette, 255).tolist() == [[UNKNOWN, 255, 0]]
    assert palette.names == ('road',)
    assert maps.colour_at(str(tmp_path / 'x.png'), (0, 0)) == [1, 2, 3]


@pytest.mark.parametrize(
    'text, sentence',
    [
        ('0 0 0\n0 0 256', r'line 2: a colour is three integers from 0 to 255, got \[0, 0, 256\]'),
        ('0 0 0 a\n0 0 0 b', r'line 2: the colour \[0, 0, 0\] is also that of line 1'),
        ('0 0', "line 1: expected r g b .name., got '0 0'"),
        ('{"a": [0, 0]}', 'entry 0: a colour is three integers'),
        ('[[0, 0, 0.5]]', 'entry 0: a colour is three integers'),
        ('{"a": 3}', 'entry 0: a colour is three integers'),
        ('[[0, 0, 0]', 'is no palette'),
        ('0 0 0 ignore', 'has no class'),
    ],
)
def test_a_wrong_palette_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        write_palette(tmp_path / 'p', text)


def float_tiff(path):
    Image.fromarray(np.zeros((2, 2), np.float32)).save(path)


def truncated(path):
    save(path, np.random.default_rng(0).integers(0, 99, (40, 40)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:-400])


UNREADABLE = {
    'absent.png': (lambda path: None, 'does not exist'),
    'text.png': (lambda path: path.write_text('no image'), 'cannot be read'),
    'cut.png': (truncated, 'cannot be read'),
    'cut.tif': (truncated, 'cannot be read'),
    'cut.npy': (truncated, 'cannot be read'),
    'float.npy': (lambda path: np.save(path, np.zeros((2, 2))), 'must hold integer class ids, got float64; prob'),
    'pickle.npy': (lambda path: np.save(path, np.array([{}]), allow_pickle=True), 'must hold integer class ids, got o'),
    'line.npy': (lambda path: np.save(path, np.zeros(3, int)), r'must be a map \(H, W\) or \(D, H, W\), got \(3,\)'),
    'float.tif': (float_tiff, 'must hold class ids, it is an image of the mode F'),
    'colours.png': (
        lambda path: save(path, COLOURS[ID_OF]),
        'must hold class ids, it is an image of the mode RGB; colours need a palette',
    ),
    'jpeg.png': (lambda path: Image.fromarray(IDS).save(path, 'JPEG'), 'cannot be read'),
}


@pytest.mark.parametrize('name', UNREADABLE)
def test_what_is_no_label_map_is_refused(tmp_path, name):
    write, sentence = UNREADABLE[name]
    write(tmp_path / name)
    with pytest.raises(MapError, match=f'^{re.escape(str(tmp_path / name))} {sentence}'):
        read_labels(str(tmp_path / name))


@pytest.mark.parametrize('name', ['x.npz', 'x.npy', 'x.png'])
def test_a_flipped_bit_is_one_sentence_or_harmless(tmp_path, name):
    """A .npz says whether its array is whole; a .npy does not, and there another array may come back."""
    prob = probabilities(1, classes=2, shape=(3, 4))[0]
    ids = (prob[0] > 0.5).astype(np.uint8)
    path = save(tmp_path / name, prob if name == 'x.npz' else ids)
    for place in flips(path):
        try:
            found = read_probabilities(str(path), (3, 4), 2) if name == 'x.npz' else read_labels(str(path))
        except MapError as error:
            assert str(path) in str(error) and '\n' not in str(error)
        else:
            assert name == 'x.npy' or np.array_equal(found, prob if name == 'x.npz' else ids), place


@pytest.mark.parametrize('flags, method, words', [(1, 0, 'password'), (0, 99, 'compression method is not supported')])
def test_an_encrypted_or_foreign_zip_is_one_sentence(tmp_path, flags, method, words):
    np.savez(tmp_path / 'x.npz', prob=np.zeros((2, 4, 5)))
    content = bytearray((tmp_path / 'x.npz').read_bytes())
    for start, of_flags in ((content.index(b'PK\1\2'), 8), (0, 6)):  # in the directory, and before the array
        content[start + of_flags] |= flags
        content[start + of_flags + 2] = method
    (tmp_path / 'x.npz').write_bytes(content)
    with pytest.raises(MapError, match=f'x.npz cannot be read: .*{words}'):
        read_probabilities(str(tmp_path / 'x.npz'), (4, 5), 2)


def test_a_map_that_no_memory_holds_is_one_sentence(tmp_path):
    with open(tmp_path / 'x.npy', 'wb') as stream:
        np.lib.format.write_array_header_1_0(stream, dict(shape=(1 << 40, 1 << 20), fortran_order=False, descr='|u1'))
    with pytest.raises(MapError, match='x.npy cannot be read: '):
        read_labels(str(tmp_path / 'x.npy'))


def test_sizes_are_compared_before_anything_is_decoded(tmp_path):
    path = tmp_path / 'x.npz'
    np.savez(path, prob=np.zeros((3, 4, 5), np.float32))
    with pytest.raises(MapError, match='sizes differ: .*x.npz is 3x4x5, 3 classes and the ground truth 4x6 need 3x4x6'):
        read_probabilities(str(path), (4, 6), 3)
    save(tmp_path / 'x.png', IDS)
    with pytest.raises(MapError, match='sizes differ: .*x.png is 12x15, the ground truth 15x12'):
        read_labels(str(tmp_path / 'x.png'), shape=(15, 12))


@pytest.mark.parametrize('key', ['prob', 'probs', 'arr_0', 'anything'])
def test_probabilities_are_found(tmp_path, key):
    prob = np.random.default_rng(0).random((3, 4, 5)).astype(np.float16)
    others = {} if key == 'anything' else {'zzz': np.zeros(2)}
    np.savez_compressed(tmp_path / 'x.npz', **{key: prob}, **others)
    assert np.array_equal(read_probabilities(str(tmp_path / 'x.npz'), (4, 5), 3), prob)


@pytest.mark.parametrize(
    'arrays, sentence',
    [
        (dict(a=np.zeros((3, 4, 5)), b=np.zeros(2)), 'cannot be read: one array, .* is expected, it holds a, b'),
        (dict(prob=np.zeros((3, 4, 5), int)), 'must hold floating-point probabilities, got int64'),
        (dict(prob=np.array([{}])), 'must hold floating-point probabilities, got object'),
        ({}, 'cannot be read: one array, .* is expected, it holds no array'),
    ],
    ids=['several', 'integers', 'objects', 'empty'],
)
def test_what_is_no_probability_is_refused(tmp_path, arrays, sentence):
    np.savez(tmp_path / 'x.npz', allow_pickle=True, **arrays)
    with pytest.raises(MapError, match=sentence):
        read_probabilities(str(tmp_path / 'x.npz'), (4, 5), 3)


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
def test_the_most_probable_class_is_numpys_argmax(dtype):
    prob = np.random.default_rng(0).integers(0, 4, (5, 200, 201)).astype(dtype) / 4  # with many ties
    assert np.array_equal(most_probable('x', prob, (200, 201)), prob.argmax(0))


def test_one_channel_is_class_1_above_one_half():
    prob = np.array([[0.2, 0.5], [0.51, 1.0]])
    for given in (prob, prob[None]):
        assert most_probable('x', given, (2, 2)).tolist() == [[0, 0], [1, 1]]


def test_probabilities_that_are_no_numbers_are_refused():
    with pytest.raises(MapError, match='no numbers'):
        most_probable('x', np.array([[[0.5, np.nan]], [[0.5, 0.5]]]), (1, 2))


@pytest.mark.parametrize('dtype', [np.uint8, np.int64])
def test_reduce_zero_label_is_mmsegmentations(dtype):
    ids = np.array([0, 1, 2, 150, 254, 255]).astype(dtype)
    assert reduce_zero_label(ids, 255, zero=255).tolist() == [255, 0, 1, 149, 253, 255]


def test_the_pixel_limit_is_lifted_and_put_back(tmp_path, monkeypatch):
    save(tmp_path / 'x.png', IDS)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 20)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / 'x.png')
    assert np.array_equal(read_labels(str(tmp_path / 'x.png')), IDS)
    assert Image.MAX_IMAGE_PIXELS == 20
