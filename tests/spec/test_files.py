"""Files that are written whole, and sentences about damaged ones."""

import os
import stat
import zipfile

import pytest

from shared_spec.control_characters import escape_controls
from shared_spec.files import one_sentence, replacing, without_owner


def write(path, text):
    with replacing(path) as part:
        part.write_text(text)


def test_a_link_stays_one(tmp_path):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'link').symlink_to(tmp_path / 'folder' / 'file')
    for text in ('new', 'old'):  # it led nowhere at first
        write(tmp_path / 'link', text)
        assert (tmp_path / 'link').is_symlink() and (tmp_path / 'folder' / 'file').read_text() == text
    assert [path.name for path in (tmp_path / 'folder').iterdir()] == ['file']


def test_what_is_written_stands_beside_the_file_until_it_is_whole(tmp_path):
    """Another folder may be another disk, from which nothing is moved in one step."""
    path = tmp_path / 'new' / 'table.csv'
    write(path, 'whole')
    with pytest.raises(RuntimeError), replacing(path) as part:
        assert (part.parent, part.suffix, part.name[:7]) == (path.parent, '.csv', '.table.')
        part.write_text('half')
        raise RuntimeError
    assert path.read_text() == 'whole' and list(path.parent.iterdir()) == [path]


def test_a_name_as_long_as_the_system_takes(tmp_path):
    for letter in 'xü':
        path = tmp_path / (letter * (os.pathconf(tmp_path, 'PC_NAME_MAX') // len(letter.encode()) - 4) + '.txt')
        write(path, letter)
        assert path.read_text() == letter


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='the system has no named pipes')
def test_a_pipe_is_written_into_and_not_replaced(tmp_path):
    path = tmp_path / 'pipe'
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write(path, 'through')
    assert os.read(reader, 100) == b'through' and stat.S_ISFIFO(path.stat().st_mode)
    os.close(reader)


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (KeyError('head'), 'it is damaged'),
        (TypeError("Settings.__init__() got an unexpected keyword argument 'x'"), 'it is damaged'),
        (EOFError(), 'it is damaged'),
        (MemoryError(), 'there is not enough memory'),
        (zipfile.BadZipFile('File is not a zip file\nat all'), 'File is not a zip file'),
        (PermissionError(13, 'Permission denied', 'x'), 'Permission denied'),
        (ValueError('BoundaryState: counts must be integers'), 'counts must be integers'),
        (ValueError('image_cells: prob must be'), 'prob must be'),
        (ValueError('EOF: reading array data'), 'EOF: reading array data'),
    ],
)
def test_a_reason_has_no_word_of_python(error, words):
    with pytest.raises(ValueError) as found, one_sentence('x is none'):
        raise error
    assert str(found.value) == f'x is none: {words}'


def test_only_an_owner_is_left_out():
    assert without_owner('a/b.png: image_cells: x') == 'a/b.png: image_cells: x'
    assert without_owner('FineGrained: q must be') == 'q must be'


def test_control_characters_are_made_visible():
    assert escape_controls('a\x1b[2J\n\r\t\x9b\u202e\udcff\x00ü 日本') == r'a\x1b[2J\n\r\t\x9b\u202e\udcff\x00ü 日本'
