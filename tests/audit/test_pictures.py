"""Label maps and photographs from files, the part that is shown, and what is drawn of it."""

import io

import numpy as np
import pytest
from PIL import Image

from segparity.audit import drawing
from segparity.audit.colours import built_in, of_palette
from segparity.audit.picture_files import LABELS, Folder, PictureFiles
from segparity.audit.picture_reading import read_labels, read_photo
from segparity.audit.tables import load_table
from segparity.audit.window import densest, window_of
from segparity.evaluate.maps import MapError
from segparity.evaluate.palette import Palette, read_palette

IDS = np.array([[0, 1, 2], [2, 255, 1]], np.uint8)
PALETTE = np.array([[10, 20, 30], [200, 0, 0], [0, 0, 250]], np.uint8)


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture.data)).convert('RGB'))


class TestReading:
    @pytest.mark.parametrize('name', ['m.png', 'm.tif', 'm.npy'])
    def test_class_ids(self, tmp_path, name):
        path = tmp_path / name
        np.save(path, IDS) if name.endswith('npy') else Image.fromarray(IDS).save(path)
        assert read_labels(path, ignore_index=255).tolist() == [[0, 1, 2], [2, -1, 1]]

    def test_indexed_png_is_read_as_indices(self, tmp_path):
        image = Image.fromarray(IDS)
        image.putpalette([7] * 768)
        image.save(tmp_path / 'm.png')
        assert read_labels(tmp_path / 'm.png').tolist() == IDS.tolist()

    @pytest.mark.parametrize('name', ['m.png', 'm.tif', 'm.npy'])
    def test_one_bit(self, tmp_path, name):
        mask = IDS == 1
        np.save(tmp_path / name, mask) if name.endswith('npy') else Image.fromarray(mask).save(tmp_path / name)
        assert read_labels(tmp_path / name, ignore_index=255).tolist() == mask.astype(int).tolist()
        assert read_photo(tmp_path / name).tolist() == np.repeat(255 * mask[..., None], 3, -1).tolist()

    def test_sixteen_bit_ids(self, tmp_path):
        Image.fromarray(np.array([[300, 65535]], np.uint16)).save(tmp_path / 'm.png')
        assert read_labels(tmp_path / 'm.png', ignore_index=65535).tolist() == [[300, -1]]

    def test_zero_is_reduced(self, tmp_path):
        Image.fromarray(IDS).save(tmp_path / 'm.png')
        found = read_labels(tmp_path / 'm.png', ignore_index=255, reduce_zero=True)
        assert found.tolist() == [[-1, 0, 1], [1, -1, 0]]

    def test_colours_need_a_palette(self, tmp_path):
        palette = Palette(tuple((*map(int, colour), c) for c, colour in enumerate(PALETTE)), ('', '', ''))
        colours = PALETTE[[[0, 1], [2, 0]]]
        colours[1, 1] = 99  # not in the palette
        Image.fromarray(colours).save(tmp_path / 'm.png')
        assert read_labels(tmp_path / 'm.png', palette).tolist() == [[0, 1], [2, -1]]
        with pytest.raises(MapError, match='m.png .* colours need a palette'):
            read_labels(tmp_path / 'm.png')

    def test_grey_levels_are_ids_unless_they_are_said_to_be_colours(self, tmp_path):
        palette = Palette(((0, 0, 0, 0), (255, 255, 255, 1)), ('', ''))
        Image.fromarray(np.array([[0, 255, 7]], np.uint8)).save(tmp_path / 'm.png')
        assert read_labels(tmp_path / 'm.png', palette).tolist() == [[0, 255, 7]]
        assert read_labels(tmp_path / 'm.png', palette, coded=True).tolist() == [[0, 1, -1]]

    def test_probabilities_become_their_highest_class(self, tmp_path):
        prob = np.zeros((3, 2, 2), np.float32)
        prob[[0, 1, 2, 1], [0, 0, 1, 1], [0, 1, 0, 1]] = 1
        np.savez(tmp_path / 'm.npz', prob=prob)
        assert read_labels(tmp_path / 'm.npz').tolist() == [[0, 1], [2, 1]]

    def test_a_volume(self, tmp_path):
        pages = [Image.fromarray(IDS), Image.fromarray(IDS[::-1].copy())]
        pages[0].save(tmp_path / 'm.tif', save_all=True, append_images=pages[1:])
        assert read_labels(tmp_path / 'm.tif').tolist() == [IDS.tolist(), IDS[::-1].tolist()]

    @pytest.mark.parametrize('name', ['m.png', 'm.npy', 'm.tif'])
    def test_what_cannot_be_read_is_named(self, tmp_path, name):
        (tmp_path / name).write_bytes(b'nothing')
        with pytest.raises(MapError, match=f'{name} cannot be read'):
            read_labels(tmp_path / name)

    def test_nothing_is_unpickled(self, tmp_path):
        np.save(tmp_path / 'm.npy', np.array([{'a': 1}], object), allow_pickle=True)
        with pytest.raises(MapError, match='m.npy'):
            read_labels(tmp_path / 'm.npy')

    @pytest.mark.parametrize(
        ('array', 'shape'),
        [
            (np.zeros((4, 5), np.uint8), (4, 5, 3)),
            (np.zeros((4, 5, 3), np.uint8), (4, 5, 3)),
            (np.zeros((3, 4, 5), np.uint8), (4, 5, 3)),
            (np.zeros((7, 4, 5), np.int16), (7, 4, 5, 3)),
        ],
    )
    def test_photographs_have_three_channels(self, tmp_path, array, shape):
        np.save(tmp_path / 'p.npy', array)
        found = read_photo(tmp_path / 'p.npy')
        assert found.shape == shape and found.dtype == np.uint8

    @pytest.mark.parametrize('odd', [np.nan, np.inf, -np.inf])
    def test_what_is_no_number_leaves_a_photograph_as_it_is(self, tmp_path, odd):
        levels = np.linspace(0, 1, 200).reshape(10, 20)
        levels[0, 0] = odd
        np.save(tmp_path / 'p.npy', levels)
        np.save(tmp_path / 'q.npy', np.full((4, 5), odd))
        found = read_photo(tmp_path / 'p.npy')
        assert (
            found[0, 0, 0] == (255 if odd == np.inf else 0)
            and found.max() == 255
            and len(np.unique(read_photo(tmp_path / 'q.npy'))) == 1
        )

    def test_deep_photographs_are_stretched(self, tmp_path):
        np.save(tmp_path / 'p.npy', np.linspace(-1000, 3000, 200).reshape(10, 20))
        found = read_photo(tmp_path / 'p.npy')
        assert found.min() == 0 and found.max() == 255 and 100 < np.median(found) < 155


class TestFinding:
    @pytest.fixture
    def folder(self, tmp_path):
        for name in ('a/x.png', 'b/x.png', 'b/y_gt.png', 'v1.2.png', 'notes.txt'):
            (tmp_path / 'maps' / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / 'maps' / name).touch()
        return tmp_path / 'maps'

    @pytest.mark.parametrize(
        ('identity', 'found'),
        [
            ('a/x', 'a/x.png'),
            ('b/x.jpg', 'b/x.png'),
            ('x', None),  # two have this name
            ('y', 'b/y_gt.png'),
            ('elsewhere/y', 'b/y_gt.png'),
            ('y_gt', 'b/y_gt.png'),
            ('v1.2', 'v1.2.png'),
            ('z', None),
        ],
    )
    def test_by_identity(self, folder, identity, found):
        maps = Folder(folder, '_gt', LABELS, '--targets')
        assert maps.find(identity, ['_gt']) == (found and folder / found)

    def test_the_tables_columns_come_first(self, folder, table, tmp_path):
        path = table([[[8, 1, 2]]] * 2, images=['x', 'y'], files={'target_file': ['maps/a/x.png', '']})
        files = PictureFiles([load_table(path, 'm')], targets=folder, suffixes=('', '_gt', ''))
        assert files.find('m', 'x', 'target_file') == tmp_path / 'maps' / 'a' / 'x.png'
        assert files.find('m', 'y', 'target_file') == folder / 'b' / 'y_gt.png'
        assert files.find('m', 'y', 'pred_file') is None and not files.known('m', 'pred_file')


class TestWindow:
    def test_a_small_object_is_shown_large(self):
        mask = np.zeros((400, 800), bool)
        mask[100:110, 700:712] = True
        top, left, bottom, right = window_of(mask)
        assert (bottom - top, right - left) == (67, 133) and top < 100 < 110 < bottom and left < 700 < 712 < right

    def test_of_an_aerial_picture_a_few_hundred_pixels(self):
        mask = np.zeros((4000, 8000), bool)
        mask[1000:1010, 7000:7012] = True
        top, left, bottom, right = window_of(mask)
        assert (bottom - top, right - left) == (320, 640) and top < 1000 and left < 7000

    def test_a_large_one_is_the_whole_picture(self):
        mask = np.zeros((40, 80), bool)
        mask[5:35, 10:70] = True
        assert window_of(mask) is None and window_of(np.zeros((40, 80), bool)) is None

    def test_scattered_mistakes_are_shown_where_they_are_densest(self):
        mask = np.zeros((300, 600), bool)
        mask[10, 10] = mask[290, 590] = True
        mask[200:205, 400:405] = True
        top, left, bottom, right = window_of(mask)
        assert (bottom - top, right - left) == (100, 200) and mask[top:bottom, left:right].sum() >= 25

    def test_the_window_stays_inside(self):
        mask = np.zeros((60, 90), bool)
        mask[0, 89] = True
        top, left, bottom, right = window_of(mask)
        assert top == 0 and right == 90 and bottom > 20 and left < 60

    def test_densest_by_hand(self):
        mask = np.zeros((6, 6), bool)
        mask[4:, 3:5] = True
        assert densest(mask, 2, 2) == (4, 3, 6, 5)


class TestDrawing:
    def test_kinds_by_hand(self):
        truth, pred = np.array([[1, 1, 0, 0, 2, -1]]), np.array([[1, 0, 1, 0, 0, 1]])
        wanted = [drawing.HIT, drawing.MISSED, drawing.ALARM, drawing.RIGHT, drawing.OTHER, drawing.IGNORED]
        assert drawing.error_kinds(pred, truth, 1).tolist() == [wanted]

    def test_labels_keep_their_colours(self):
        colours = np.concatenate([PALETTE, [[255, 255, 255]]])
        ids = np.array([[0, 1], [2, -1]])
        found = pixels(drawing.label_picture(ids, None, 64, colours))
        assert found.shape == (64, 64, 3)
        assert [found[y, x].tolist() for y, x in ((0, 0), (0, 63), (63, 0), (63, 63))] == colours[[0, 1, 2, 3]].tolist()
        assert len(np.unique(found.reshape(-1, 3), axis=0)) == 4

    def test_more_classes_than_a_byte_holds(self):
        colours = np.concatenate([built_in(300), [[255, 255, 255]]])
        found = pixels(drawing.label_picture(np.array([[299, 3]]), None, 32, colours))
        assert found[0, 0].tolist() == colours[299].tolist()

    def test_error_map_colours_and_hatch(self):
        kinds = np.repeat(np.arange(6)[None], 2, 0)
        found = pixels(drawing.error_picture(kinds, None, 600))
        for kind in range(5):
            assert found[100, 50 + 100 * kind].tolist() == list(drawing.KINDS[kind][1])
        assert len(np.unique(found[:, 500:].reshape(-1, 3), axis=0)) == 2

    def test_a_photograph_of_another_size_shows_the_same_part(self):
        photo = np.zeros((40, 80, 3), np.uint8)
        photo[:, 40:] = 255
        found = pixels(drawing.photo_picture(photo, (0, 10, 10, 20), (10, 20), 64))
        assert found.min() > 200

    def test_no_picture_is_a_tower(self):
        assert drawing.shown_shape((1000, 10), 320) == (640, 6) and drawing.shown_shape((100, 200), 320) == (160, 320)


class TestPalette:
    @pytest.mark.parametrize(
        'text', ['{"b": [4, 5, 6], "a": [1, 2, 3], "ignore": [9, 9, 9]}', '[[1, 2, 3], [4, 5, 6]]']
    )
    def test_by_name_or_in_order(self, tmp_path, text):
        (tmp_path / 'p.json').write_text(text)
        shown, palette = of_palette('p.json', read_palette(tmp_path / 'p.json'), ['a', 'b'])
        assert shown.tolist() == [[1, 2, 3], [4, 5, 6]]
        assert {(1, 2, 3, 0), (4, 5, 6, 1)} <= set(palette.colours)

    @pytest.mark.parametrize(
        ('text', 'sentence'),
        [
            ('{"a": [1, 2, 3]}', "lacks 1 classes, the first is 'b'"),
            ('[[1, 2, 3]]', 'each of the 2 classes, got 1 colours'),
        ],
    )
    def test_every_class_needs_a_colour(self, tmp_path, text, sentence):
        (tmp_path / 'p.json').write_text(text)
        with pytest.raises(ValueError, match=sentence):
            of_palette('p.json', read_palette(tmp_path / 'p.json'), ['a', 'b'])

    def test_the_built_in_colours_differ(self):
        assert len(np.unique(built_in(171), axis=0)) == 171 and built_in(300).shape == (300, 3)
