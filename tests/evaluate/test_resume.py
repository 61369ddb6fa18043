"""A run that is killed or interrupted goes on where it was."""

import json
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from segparity.evaluate import work
from segparity.evaluate.journal import HEAD, MARK, Journal, stamp_of
from segparity.evaluate.pairs import Pair
from tests.evaluate.data import data_set, label_maps, refusal, run, save

ROOT = Path(__file__).resolve().parents[2]
# waits before it reads the last image, and says when it does
SLOW = """
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from segparity.evaluate import work
measure = work.measure
def slow(settings, specs, pair):
    if pair.image == sys.argv[1]:
        pathlib.Path(sys.argv[2]).touch()
        time.sleep(60)
    return measure(settings, specs, pair)
work.measure = slow
from segparity.cli import main
sys.exit(main(sys.argv[3:]))
"""


def stopped(tmp_path, how, arguments):
    """Runs the command until it has come to the last image, then sends it a signal; returns its end."""
    at_last = tmp_path / 'at_last'
    process = subprocess.Popen(
        [sys.executable, '-c', SLOW, 'b/007', at_last, *map(str, arguments)],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(600):
            if at_last.exists() or process.poll() is not None:
                break
            time.sleep(0.05)
        assert at_last.exists(), process.communicate()
        process.send_signal(how)
        _, err = process.communicate(timeout=30)
        return process.returncode, err
    finally:
        process.kill()


@pytest.fixture
def arguments(tmp_path):
    folders = data_set(tmp_path, *label_maps(8))
    return ['evaluate', *folders, '--num-classes', '4', '--boundary', '--workers', '1']


@pytest.fixture
def measured(monkeypatch):
    """The images that are measured in this process."""
    images, measure = [], work.measure

    def noted(settings, specs, pair):
        images.append(pair.image)
        return measure(settings, specs, pair)

    monkeypatch.setattr(work, 'measure', noted)
    return images


@pytest.mark.skipif(os.name != 'posix', reason='sends signals')
@pytest.mark.parametrize('state', [True, False], ids=['state', 'cache'])
@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGINT], ids=['killed', 'interrupted'])
def test_a_stopped_run_goes_on(tmp_path, capsys, arguments, measured, cache, how, state):
    given = arguments + (['--state', tmp_path / 's.npz'] if state else [])
    journals = tmp_path if state else cache / 'segparity'
    code, err = stopped(tmp_path, how, given)
    if how == signal.SIGINT:
        said = 'segparity: interrupted; 7 of 8 pairs are done and kept: the same command continues\n'
        assert (code, err) == (130, said)
    else:
        assert code == -signal.SIGKILL
    assert len(list(journals.glob('*.journal'))) == 1 and not (tmp_path / 's.npz').exists()

    code, out, err = run(capsys, *given, '--json', '-')
    assert code == 0 and err == '7 of 8 pairs were done by an earlier run\n' and measured == ['b/007']
    assert not list(journals.glob('*.journal'))
    code, whole, _ = run(capsys, *given, '--json', '-')
    assert out == whole and len(measured) == 1 + 8


def killed(tmp_path, arguments):
    stopped(tmp_path, signal.SIGKILL, [*arguments, '--state', tmp_path / 's.npz'])
    return [*arguments, '--state', tmp_path / 's.npz', '--quiet']


def test_only_unchanged_files_count_as_done(tmp_path, capsys, arguments, measured):
    given = killed(tmp_path, arguments)
    save(tmp_path / 'pred' / 'a' / '002.png', label_maps(1, seed=9)[0][0])
    os.utime(tmp_path / 'gt' / 'b' / '003.png', ns=(1, 1))
    assert run(capsys, *given)[0] == 0 and measured == ['a/002', 'b/003', 'b/007']


def test_a_file_that_changes_while_it_is_read_does_not_count_as_done(tmp_path, capsys, arguments, monkeypatch):
    measure, seen = work.measure, []

    def meddled(settings, specs, pair):
        row = measure(settings, specs, pair)
        seen.append(pair.image)
        if len(seen) == 2:
            os.utime(pair.pred, ns=(1, 1))
        if len(seen) == 4:
            raise KeyboardInterrupt
        return row

    monkeypatch.setattr(work, 'measure', meddled)
    assert run(capsys, *arguments)[0] == 130 and seen == ['a/000', 'a/002', 'a/004', 'a/006']
    assert run(capsys, *arguments, '--quiet')[0] == 0
    assert seen[4:] == ['a/002', 'a/006', *(f'b/00{k}' for k in (1, 3, 5, 7))]


def test_other_settings_and_fresh(tmp_path, capsys, arguments, measured):
    given = killed(tmp_path, arguments)
    sentence = refusal(capsys, *given, '--ignore-index', 'none', '--unknown', 'count')
    assert 's.npz.journal holds what an unfinished run with other settings has done: --fresh forgets it' in sentence
    assert not measured
    assert run(capsys, *given, '--fresh')[0] == 0 and len(measured) == 8


def test_what_is_reported_may_change(tmp_path, capsys, arguments, measured):
    assert run(capsys, *killed(tmp_path, arguments), '--q', '50')[0] == 0 and measured == ['b/007']


def test_a_bad_pair_keeps_what_is_done(tmp_path, capsys, arguments, measured):
    good = (tmp_path / 'pred' / 'b' / '007.png').read_bytes()
    (tmp_path / 'pred' / 'b' / '007.png').write_bytes(b'')
    assert 'b/007: ' in refusal(capsys, *arguments)
    (tmp_path / 'pred' / 'b' / '007.png').write_bytes(good)
    del measured[:]
    assert run(capsys, *arguments, '--quiet')[0] == 0 and measured == ['b/007']


@pytest.fixture
def pairs(tmp_path):
    for k in range(3):
        save(tmp_path / f'{k}.png', np.zeros((2, 2), np.uint8))
    return [Pair(str(k), str(tmp_path / f'{k}.png'), str(tmp_path / f'{k}.png')) for k in range(3)]


def written(path, pairs):
    journal = Journal(path, 'key')
    for k, pair in enumerate(pairs):
        journal.add(pair, stamp_of(pair), {'counts': np.full((2, 3), k), 'diagonal': np.float64(k)})
    journal.close()
    return path.read_bytes()


def done(path, pairs):
    journal = Journal(path, 'key')
    found = [journal.finished_row(pair) for pair in pairs]
    journal.close()
    return [k for k, row in enumerate(found) if row is not None and (row['counts'] == k).all() and row['diagonal'] == k]


def test_a_torn_tail_is_cut_off_wherever_it_is_torn(tmp_path, pairs):
    path = tmp_path / 'j'
    whole = written(path, pairs)
    seen = []
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        seen.append(done(path, pairs))
        assert len(path.read_bytes()) <= max(length, 120)
    assert seen == sorted(seen) and seen[-1] == [0, 1, 2] and seen[0] == [] and seen[len(whole) - 1] == [0, 1]


def test_a_damaged_record_ends_what_is_believed(tmp_path, pairs):
    path = tmp_path / 'j'
    whole = bytearray(written(path, pairs))
    whole[-len(whole) // 3] ^= 8
    path.write_bytes(whole)
    assert done(path, pairs) in ([0], [0, 1])
    written(path, pairs)  # and it can be written again
    assert done(path, pairs) == [0, 1, 2]


@pytest.mark.parametrize('content', [b'a text of somebody else', b'{"json": 1}', bytes(300)])
def test_a_file_that_is_no_journal_is_kept(tmp_path, content):
    (tmp_path / 'j').write_bytes(content)
    with pytest.raises(ValueError, match='is no journal of segparity evaluate, and is not overwritten'):
        Journal(tmp_path / 'j', 'key')
    assert (tmp_path / 'j').read_bytes() == content


def test_a_record_of_something_else_is_one_sentence(tmp_path, pairs):
    written(tmp_path / 'j', pairs)
    for payload in (b'', b'no zlib', zlib.compress(b'[1, 2]\n'), zlib.compress(b'["0", [], ["counts"]]\nno array')):
        with open(tmp_path / 'j', 'ab') as stream:
            stream.write(HEAD.pack(MARK, len(payload), zlib.crc32(payload)) + payload)
        with pytest.raises(ValueError, match='is no journal of segparity evaluate, and is not overwritten: .+$'):
            Journal(tmp_path / 'j', 'key')
        (tmp_path / 'j').unlink()
        written(tmp_path / 'j', pairs)


def test_two_runs_do_not_write_one_journal(tmp_path):
    pytest.importorskip('fcntl', reason='locks of POSIX')
    first = Journal(tmp_path / 'j', 'key')
    with pytest.raises(ValueError, match='another run is writing'):
        Journal(tmp_path / 'j', 'key')
    first.remove()
    Journal(tmp_path / 'j', 'key').remove()


def test_a_cache_that_cannot_be_written_costs_only_the_resuming(tmp_path, capsys, arguments, monkeypatch):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    code, out, err = run(capsys, *arguments, '--json', '-')
    assert code == 0 and json.loads(out)['images'] == 8 and 'could not be continued' in err


def test_a_worker_that_dies_is_one_sentence(tmp_path, capsys, arguments, monkeypatch):
    from segparity.evaluate import run as runner

    monkeypatch.setattr(runner, 'work', die)
    sentence = refusal(capsys, *arguments[:-1], '2', '--state', tmp_path / 's.npz')
    assert "a worker process died, probably for want of memory, at or after one of 'a/000'" in sentence


def die(pairs):
    os.kill(os.getpid(), signal.SIGKILL)
