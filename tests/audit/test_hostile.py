"""Tables and pictures from somebody who means no good: what they name, and what their headers declare."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from segparity.audit.picture_files import PictureFiles
from segparity.audit.picture_reading import read_labels, read_photo
from segparity.audit.tables import load_table
from segparity.evaluate.maps import MapError

ONE = [[[6, 1, 2], [0, 2, 1]]]  # the counts of an image of nine pixels


def png(path, width, height):
    """A few bytes that declare a picture of this size."""

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    header = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(100))
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', data) + chunk(b'IEND', b''))
    return path


@pytest.fixture
def shown(tmp_path):
    """The folder of a table's pictures, every kind of them 3 x 3."""
    ids = np.array([[0, 0, 0], [0, 0, 0], [1, 1, 0]], np.uint8)
    for kind in ('images', 'targets', 'preds'):
        (tmp_path / kind).mkdir()
        Image.fromarray(ids).save(tmp_path / kind / 'x.png')
    return tmp_path


FOLDERS = '--images', 'images', '--targets', 'targets', '--preds', 'preds'


@pytest.mark.usefixtures('no_figures')
@pytest.mark.parametrize(
    ('kind', 'sentence'),
    [
        ('images', 'images/x.png is 40000x40000, out of all proportion to the label map of 3x3.'),
        ('targets', 'targets/x.png is 40000x40000, out of all proportion to the table.'),
        ('preds', 'sizes differ: preds/x.png is 40000x40000, the ground truth 3x3.'),
    ],
)
def test_a_header_out_of_proportion_is_one_sentence(shown, table, audit, kind, sentence):
    png(shown / kind / 'x.png', 40_000, 40_000)
    code, out, err = audit(table(ONE, images=['x']), *FOLDERS)
    assert code == 0 and not err and sentence in out and 'cannot be read' not in out


@pytest.mark.parametrize('dtype', ['u1', 'f4'])
def test_an_array_out_of_proportion_is_not_read(tmp_path, dtype):
    path = tmp_path / 'x.npy'
    np.save(path, np.zeros((3, 3), dtype))
    path.write_bytes(path.read_bytes().replace(b'(3, 3)', b'(40000, 40000)')[:-8])
    with pytest.raises(MapError, match='x.npy is 40000x40000, out of all proportion to the label map of 3x3'):
        read_photo(path, (3, 3))


def test_probabilities_must_have_the_size_of_the_labels(tmp_path):
    np.savez(tmp_path / 'x.npz', prob=np.ones((2, 4, 5), np.float32) / 2)
    assert read_labels(tmp_path / 'x.npz', shape=(4, 5)).shape == (4, 5)
    with pytest.raises(MapError, match='sizes differ: .*x.npz is 2x4x5, the ground truth 5x4'):
        read_labels(tmp_path / 'x.npz', shape=(5, 4))


def test_photographs_of_another_resolution_stay(shown, table, audit):
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(shown / 'images' / 'x.png')
    code, out, _ = audit(table(ONE, images=['x']), *FOLDERS)
    assert code == 0 and 'proportion' not in out and 'not found' not in out


def test_only_pictures_are_opened_whatever_their_names_say(tmp_path):
    (tmp_path / 'x.png').write_bytes(
        b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n'
    )  # Pillow runs a program
    with pytest.raises(MapError, match='x.png cannot be read: it is no image of the kind PNG or JPEG or TIFF'):
        read_photo(tmp_path / 'x.png')


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='the system has no named pipes')
@pytest.mark.usefixtures('no_figures')
def test_a_pipe_among_the_pictures_is_not_waited_for(shown, table, audit):
    os.remove(shown / 'images' / 'x.png')
    os.mkfifo(shown / 'images' / 'x.png')
    code, out, _ = audit(table(ONE, images=['x']), *FOLDERS)
    assert code == 0 and '1 picture not found (input of x)' in out


class TestFilesThatTablesName:
    @pytest.fixture
    def place(self, shown, table, monkeypatch):
        """Where a table below ``run`` that names a file has its picture: (file, command-line root) -> path or None."""
        (shown / 'run').mkdir()
        (shown / 'elsewhere').mkdir()
        monkeypatch.chdir(shown / 'elsewhere')

        def find(named, **folders):
            path = table(ONE, name='run/m.csv', images=['x'], files={'target_file': [str(named)]})
            files = PictureFiles([load_table(path, 'm')], **folders)
            return files.find('m', 'x', 'target_file'), files.outside

        return find

    def test_below_the_tables_folder(self, place, shown):
        (shown / 'targets').rename(shown / 'run' / 'targets')
        inside = shown / 'run' / 'targets' / 'x.png'
        assert place('targets/x.png') == place(inside) == (inside, {})

    def test_below_the_current_folder(self, place, shown):
        (shown / 'targets').rename(shown / 'elsewhere' / 'targets')
        inside = shown / 'elsewhere' / 'targets' / 'x.png'
        assert place('targets/x.png') == place(inside) == (inside, {})

    def test_nowhere_else(self, place, shown):
        outside = shown / 'targets' / 'x.png'
        for named in (outside, '../targets/x.png', f'{shown}/run/../targets/x.png'):
            assert place(named) == (None, {('m', 'x', 'target_file'): str(outside)}), named
        assert place('/nowhere/x.png') == (None, {})

    def test_unless_an_option_names_a_folder(self, place, shown):
        outside = shown / 'targets' / 'x.png'
        for folders in (dict(roots=[shown]), dict(images=shown / 'targets'), dict(preds=[shown / 'targets'])):
            assert place(outside, **folders) == (outside, {})
        assert place(outside, roots=[shown / 'target'])[0] is None  # a folder, not the beginning of a name

    def test_the_folder_s_own_file_takes_its_place(self, place, shown):
        found, outside = place(shown / 'preds' / 'x.png', targets=shown / 'targets')
        assert found == shown / 'targets' / 'x.png' and not outside

    def test_links_lead_where_they_lead(self, place, shown):
        (shown / 'run' / 'data').symlink_to(shown / 'targets')
        assert place('data/x.png') == (shown / 'run' / 'data' / 'x.png', {})
        (shown / 'other').symlink_to(shown / 'run')  # the same folder under another name
        (shown / 'run' / 'y.png').write_bytes(b'')
        assert place(shown / 'other' / 'y.png') == (shown / 'other' / 'y.png', {})

    @pytest.mark.parametrize('named', ['x\0y', 'x' * 5000, 'a/' * 3000])
    def test_a_name_that_can_be_none(self, place, named):
        assert place(named) == (None, {})

    @pytest.mark.usefixtures('no_figures')
    def test_the_page_says_so(self, place, shown, audit):
        place(shown / 'targets' / 'x.png')
        code, out, _ = audit(shown / 'run' / 'm.csv', '--preds', shown / 'preds')
        assert code == 0 and 'not opened' not in out  # the fixture stands in the folder above
        (shown / 'far').mkdir()
        (shown / 'run').rename(shown / 'far' / 'run')
        named = [shown / 'far' / 'run' / 'm.csv', '--preds', shown / 'preds', '--out', shown / 'a.html']
        os.chdir(shown / 'elsewhere')
        from segparity.cli import main

        assert main(['audit', *map(str, named)]) == 0
        assert f'1 file that the tables name not opened ({shown}/targets/x.png)' in (shown / 'a.html').read_text()
        assert main(['audit', *map(str, named), '--root', str(shown / 'targets')]) == 0
        assert 'not opened' not in (shown / 'a.html').read_text()
