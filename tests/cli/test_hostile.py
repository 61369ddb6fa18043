"""Wrong and hostile input of every command that reads files: one sentence, nothing lost, no word of Python."""

import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('PIL', reason='needs Pillow')

from tests.evaluate.data import data_set, label_maps, probabilities, refusal, run, save

FOUR = '--num-classes', '4', '--workers', '1'
PYTHON = re.compile(
    r'\b([A-Z][a-z]+){2,}\w*: |\b[a-z]+(_[a-z]+)+: |Error\b|PosixPath|<[\w. ]+ object|NoneType|\[Errno|__'
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a data set, a state and a table, which is the current one."""
    pytest.importorskip('pandas')
    data_set(tmp_path, *label_maps(3))
    from segparity.cli import main

    monkeypatch.chdir(tmp_path)
    for name, more in (('s.npz', ()), ('q.npz', ('--q', '7')), ('b.npz', ('--boundary',))):
        assert main(['evaluate', 'pred', 'gt', *FOUR, '--quiet', '--state', name, '--per-image', 't.csv', *more]) == 0
    save(tmp_path / 'prob.npz', probabilities(1)[0])
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'cut.npz').write_bytes((tmp_path / 's.npz').read_bytes()[:-300])
    (tmp_path / 'cut.csv').write_text((tmp_path / 't.csv').read_text()[:1000])
    (tmp_path / 'file').write_text('a\nb\nc\nd\n')
    np.savez(tmp_path / 'x.npz', head=np.frombuffer(b'{"format": "segparity evaluate state", "version": 1}', np.uint8))
    np.save(tmp_path / 'object.npy', np.array([None]), allow_pickle=True)
    (tmp_path / 'huge.npy').write_bytes(b'\x93NUMPY\x01\x00' + struct.pack('<H', 70) + HUGE.ljust(69).encode() + b'\n')
    (tmp_path / 'p.json').write_text('[' * 100_000)
    return tmp_path


HUGE = "{'descr': '|u1', 'fortran_order': False, 'shape': (9999999, 9999999)}"
G = 'gt/a/000.png'
WRONG = [
    'evaluate pred gt --num-classes 4 --q 0',
    'evaluate pred gt --num-classes 4 --q 5,5',
    'evaluate pred gt --num-classes 4 --q 101',
    'evaluate pred gt --num-classes 4 --metrics mIoo',
    'evaluate pred gt --num-classes 4 --levels D --distances',
    'evaluate pred gt --num-classes 4 --levels ,',
    'evaluate pred gt --num-classes 4 --beta 0',
    'evaluate pred gt --num-classes 4 --beta inf',
    'evaluate pred gt --num-classes 4 --boundary --ratio 7',
    'evaluate pred gt --num-classes 4 --distances --spacing 1,2,3',
    'evaluate pred gt --num-classes 4 --binary',
    'evaluate pred gt --num-classes 2',
    'evaluate pred gt --num-classes 4 --palette p.json',
    'evaluate pred gt --num-classes 4 --palette file',
    'evaluate pred gt --num-classes 4 --palette nowhere',
    'evaluate pred gt --num-classes 4 --palette empty',
    'evaluate pred gt --num-classes 4 --per-image t.xlsx',
    'evaluate pred gt --num-classes 4 --per-image empty',
    'evaluate pred gt --num-classes 4 --state file',
    'evaluate pred gt --num-classes 4 --json file/x.json',
    'evaluate pred empty --num-classes 4',
    'evaluate empty empty --num-classes 4',
    'evaluate nowhere gt --num-classes 4',
    f'evaluate prob.npz {G} --num-classes 5',
    f'evaluate cut.npz {G} --num-classes 4',
    f'evaluate object.npy {G} --num-classes 4',
    f'evaluate huge.npy {G} --num-classes 4',
    f'evaluate {G} huge.npy --num-classes 4',
    f'evaluate s.npz {G} --num-classes 4',
    'merge s.npz q.npz',
    'merge s.npz b.npz',
    'merge s.npz --q 0',
    'merge s.npz --empty diagonal --levels X',
    'merge cut.npz',
    'merge x.npz',
    'merge prob.npz',
    'merge t.csv',
    'merge empty',
    'merge nowhere',
    'audit cut.csv',
    'audit file',
    'audit s.npz',
    'audit nowhere.csv',
    'audit t.csv --palette p.json',
    'audit t.csv --q 0',
    'audit t.csv --images nowhere',
    'audit t.csv --out empty',
    'audit t.csv --png file',
    'audit t.csv --agree 3',
    'audit t.csv --json file/x.json',
]


@pytest.mark.slow
def test_what_is_refused_is_said_in_the_users_words(place, capsys):
    for words in WRONG:
        sentence = refusal(capsys, *words.split())
        assert not PYTHON.search(sentence), (words, sentence)


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        ('evaluate pred gt --num-classes 4 --q 0', '--q must be a list (it may be empty) of different integers from 1'),
        ('evaluate pred gt --num-classes 4 --metrics mIoo,mAcc', "got mIoo,mAcc, did you mean 'mIoU'?"),
        ('evaluate pred gt --num-classes 4 --boundary --ratio 7', '--ratio must be a number > 0 and <= 1, got 7.0'),
        ('merge s.npz --q 0', '--q must be a list (it may be empty) of different integers from 1 to 100'),
        ('merge s.npz b.npz', 'were evaluated with different settings: --boundary: only the second has it'),
        ('merge t.csv', 't.csv is no state of segparity evaluate: it is another kind of file, or damaged'),
        ('merge x.npz', 'x.npz is no state of segparity evaluate: it is damaged'),
        ('audit file', 'TABLE: the per-image table is a .csv or .parquet file'),
        ('audit t.csv --json file/x.json', '--json file/x.json cannot be written: file is a file'),
        ('evaluate pred gt --num-classes 4 --state empty', '--state empty is a folder, expected the name of a file'),
        ('audit t.csv --palette p.json', 'p.json is no palette: it is nested too deeply'),
    ],
)
def test_the_words(place, capsys, words, sentence):
    assert sentence in refusal(capsys, *words.split())


def contents():
    """Every file here, but for the fonts that matplotlib remembers where it is first used."""
    return {path: path.read_bytes() for path in Path().rglob('*') if path.is_file() and path.parts[0] != 'cache'}


@pytest.mark.parametrize(
    'words',
    [
        'evaluate pred gt --num-classes 4 --json pred/a/000.png',
        'evaluate pred gt --num-classes 4 --json gt/b/001.png',
        'evaluate pred gt --classes file --json file',
        'evaluate pred gt --classes file --json link',
        'evaluate pred gt --num-classes 4 --state new --json new',
        'merge s.npz --json s.npz',
        'merge s.npz --state new.npz --json ./new.npz',
        'audit t.csv --out t.csv',
        'audit t.csv --out pred/a/000.png',
        'audit t.csv --json gt/a/000.png --targets gt',
        'audit t.csv --out a --json a',
    ],
)
def test_no_output_takes_the_place_of_an_input(place, capsys, words):
    os.symlink('file', 'link')
    before = contents()
    sentence = refusal(capsys, *words.split())
    assert 'must be no file that is read, got ' in sentence or 'must be two files, got ' in sentence
    assert contents() == before


@pytest.mark.skipif(not os.path.exists('/bin/false'), reason='the system has no program that only fails')
def test_workers_that_do_not_start_are_no_closed_pipe(place, capsys, monkeypatch):
    monkeypatch.setattr('multiprocessing.spawn._python_exe', b'/bin/false')
    sentence = refusal(capsys, 'evaluate', 'pred', 'gt', '--num-classes', '4', '--workers', '2')
    assert 'worker process' in sentence and '--workers' in sentence


def test_a_merge_may_replace_one_of_its_states(place, capsys):
    before = Path('s.npz').read_bytes()
    assert run(capsys, 'merge', 's.npz', '--state', 's.npz', '--quiet') == (0, '', '')
    assert Path('s.npz').read_bytes() == before


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='the system has no named pipes')
def test_a_pipe_among_the_maps_is_not_waited_for(place, capsys):
    os.mkfifo('pred/a/pipe.png')
    assert run(capsys, 'evaluate', 'pred', 'gt', *FOUR, '--quiet') == (0, '', '')


def test_workers_that_are_handed_a_closed_pipe_do_not_start(place, capsys, monkeypatch):
    """As where the process that watches over locks has ended: Python says 'bad value(s) in fds_to_keep'."""
    from concurrent.futures import ProcessPoolExecutor

    def submit(*given):
        raise ValueError('bad value(s) in fds_to_keep')

    monkeypatch.setattr(ProcessPoolExecutor, 'submit', submit)
    sentence = refusal(capsys, 'evaluate', 'pred', 'gt', '--num-classes', '4', '--workers', '2')
    assert 'worker processes cannot be started; --workers 1' in sentence
