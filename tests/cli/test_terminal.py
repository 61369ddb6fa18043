"""What reaches the terminal, and what happens where nobody reads it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('PIL', reason='needs Pillow')

from segparity.cli import main
from tests.evaluate.data import data_set, label_maps, run, save

NASTY = 'a\x1b]0;x\x07\nsegparity: all is well\u202e\x9b2J'
FOUR = '--num-classes', '4', '--workers', '1'

CLOSED_PIPE = """
import os, sys
import segparity.parity.check_command, segparity.demo, segparity.demo.stages
from segparity.cli import main
from segparity.parity.check import Row
from segparity.terminal import say

segparity.parity.check_command.check_parity = lambda *a, **k: [Row('SoftDiceLoss', 'torch', 'float32', 0.0, 0.0, 1, 'x')]
segparity.demo.stages.run_demo = lambda args, console: say(console, 'a line') or 0
sys.modules['segparity.parity.report'] = type(sys)('segparity.parity.report')
sys.modules['segparity.parity.report'].report = lambda *a: '| a |'
reader, writer = os.pipe()
os.close(reader)
codes = {}
for words in WORDS:
    os.dup2(writer, 1)
    try:
        codes[words[0]] = main(words)
    except SystemExit as error:
        codes[words[0]] = error.code
print(codes, file=sys.stderr)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.mark.slow
def test_where_nobody_reads_all_files_are_there(tmp_path):
    folders = data_set(tmp_path, *label_maps(3))
    state, table = str(tmp_path / 's.npz'), str(tmp_path / 't.csv')
    commands = [
        ['list'], ['show', 'SoftDiceLoss'], ['check', 'SoftDiceLoss'], ['report'], ['demo'],
        ['evaluate', *folders, *FOUR, '--json', str(tmp_path / 'e.json'), '--per-image', table, '--state', state],
        ['merge', state, state, '--json', str(tmp_path / 'm.json')],
        ['audit', table, '--out', str(tmp_path / 'a.html'), '--json', str(tmp_path / 'a.json'), '--worst', '0'],
    ]  # fmt: skip
    script = CLOSED_PIPE.replace('WORDS', repr(commands))
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, timeout=120)
    assert done.stderr == f'{dict.fromkeys((words[0] for words in commands), 141)}\n'
    for name in ('e.json', 'm.json', 'a.json'):
        json.loads((tmp_path / name).read_text())
    assert '</html>' in (tmp_path / 'a.html').read_text()
    assert sorted(path.name for path in (tmp_path).iterdir() if path.is_file()) == [
        'a.html', 'a.json', 'e.json', 'm.json', 's.npz', 't.csv',
    ]  # fmt: skip


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='the system has no full device')
def test_a_full_disk_and_no_output_are_no_traceback():
    for redirect, code, words in (('>/dev/full', 2, 'segparity: No space left on device\n'), ('>&-', 0, '')):
        command = f'{sys.executable} -m segparity list {redirect}'
        done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr, done.stdout) == (code, words, '')


def has_no_controls(*texts):
    """Whether a terminal shows all of the texts and obeys none."""
    return all(c.isprintable() or c == '\n' for text in texts for c in text)


@pytest.fixture
def nasty(tmp_path):
    """Folders whose first image has a name that a terminal would obey; its prediction has another size."""
    preds, targets = label_maps(3)
    folders = data_set(tmp_path, preds, targets)
    try:
        save(tmp_path / 'pred' / f'{NASTY}.png', preds[0][1:])
        save(tmp_path / 'gt' / f'{NASTY}.png', targets[0])
    except OSError:
        pytest.skip('the file system takes no such names')
    return folders


def test_names_of_files_move_no_cursor(nasty, tmp_path, capsys):
    code, out, err = run(capsys, 'evaluate', *nasty, *FOUR)
    assert code == 2 and not out and has_no_controls(err) and r'\x1b]0;x\x07\nsegparity: all is well\u202e\x9b2J' in err
    assert err.count('\n') == 1 and err.startswith('segparity: a\\x1b')
    table = tmp_path / f'{NASTY}.csv'
    code, out, err = run(capsys, 'evaluate', *nasty, *FOUR, '--skip-bad', '--per-image', table)
    assert code == 0 and has_no_controls(out, err) and r'  a\x1b]0;x\x07\nsegparity' in out and '\nsegparity' not in out
    os.unlink(tmp_path / 'gt' / 'a' / '000.png')
    code, out, err = run(capsys, 'evaluate', *nasty, *FOUR, '--skip-bad', '--quiet')
    assert code == 0 and not out and has_no_controls(err) and r'\x1b' in err
    pytest.importorskip('matplotlib')
    code, out, err = run(capsys, 'audit', table, '--out', tmp_path / f'{NASTY}.html', '--worst', '0')
    assert code == 0 and has_no_controls(out, err) and r'\x1b' in out and not err
    code, out, err = run(capsys, 'audit', tmp_path / f'no{NASTY}.csv')
    assert code == 2 and has_no_controls(out, err) and err.count('\n') == 1


def test_names_of_classes_move_no_cursor(tmp_path, capsys):
    folders = data_set(tmp_path, *label_maps(2))
    (tmp_path / 'names').write_text('a\x1b[31m\nb\u202e\n[red]c\nd\n')
    code, out, err = run(capsys, 'evaluate', *folders, '--classes', tmp_path / 'names', '--workers', '1', '--all')
    assert code == 0 and has_no_controls(out, err) and r'a\x1b[31m ' in out and r'b\u202e ' in out and '[red]c ' in out


def test_a_library_s_error_moves_no_cursor(capsys, monkeypatch):
    from segparity import manual

    for error in (RuntimeError('no \x1b[2J'), LookupError('odd \x1b[2J')):
        monkeypatch.setattr(manual, 'overview', lambda error=error: (_ for _ in ()).throw(error))
        code, out, err = run(capsys, 'list')
        assert code and not out and has_no_controls(err) and r'\x1b[2J' in err
        assert err.splitlines()[-1].startswith('segparity: ') and 'Error' not in err.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux takes any bytes for a name')
def test_a_name_that_is_no_text(tmp_path, capsys):
    folders = data_set(tmp_path, *label_maps(2))
    for folder in folders:
        os.rename(os.path.join(folder, 'a', '000.png'), os.fsencode(folder) + b'/a/\xff.png')
    files = '--json', tmp_path / 'j.json', '--state', tmp_path / 's.npz', '--per-image'
    for table in (tmp_path / 't.csv', tmp_path / 't.parquet'):
        code, _, err = run(capsys, 'evaluate', *folders, *FOUR, *files, table)
        assert code == 0 and not err
        assert run(capsys, 'merge', tmp_path / 's.npz', '--quiet') == (0, '', '')
        pytest.importorskip('matplotlib')
        page = '--out', tmp_path / 'a.html', '--json', tmp_path / 'a.json', '--worst', '1'
        code, _, err = run(capsys, 'audit', table, *page)
        assert code == 0 and not err
        (model,) = json.loads((tmp_path / 'a.json').read_text())['models'].values()
        assert list(model['image_iou']) == [r'a/\udcff', 'b/001']


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (
            'evaluate p g --num_classes 3',
            'segparity evaluate: unknown option --num_classes, did you mean --num-classes?',
        ),
        (
            'evaluate p g --num_classes=3',
            'segparity evaluate: unknown option --num_classes, did you mean --num-classes?',
        ),
        ('evaluate --nclasses 3', 'segparity evaluate: unknown option --nclasses, did you mean --classes?'),
        ('evaluate p g --reduce_zero_label', 'did you mean --reduce-zero-label?'),
        ('evaluate p g -boundary', 'unknown option -boundary, did you mean --boundary?'),
        ('evaluate p g --palete x', 'did you mean --palette?'),
        ('evaluate p g --qqqqqq', 'unknown option --qqqqqq, segparity evaluate --help lists them'),
        ('merge a --sate b', 'segparity merge: unknown option --sate, did you mean --state?'),
        ('audit --titel x', 'segparity audit: unknown option --titel, did you mean --title?'),
        ('demo --iteration_s 3', 'did you mean --iterations?'),
        ('check --frame-work torch', 'did you mean --framework?'),
        ('report --goldn x', 'did you mean --golden?'),
        ('list --hlep', 'did you mean --help?'),
        ('show --hlep', 'did you mean --help?'),
        ('evalute p g', 'segparity: unknown command evalute, did you mean evaluate?'),
        ('EVALUATE p g', 'did you mean evaluate?'),
        ('--verison', 'segparity: unknown option --verison, did you mean --version?'),
        ('evaluate p g --gt-suffix -mask', 'argument --gt-suffix: expected one argument'),
        ('evaluate p', 'the following arguments are required: GT (segparity evaluate --help says more)'),
        ('evaluate p g --ratio x', "argument --ratio: a number, got 'x'"),
        ('evaluate p g --num-classes 99999999', 'argument --num-classes: at most 65536 classes, got 99999999'),
        ('audit t --ignore-index x', "argument --ignore-index: a whole number or none, got 'x'"),
        ('audit t --q 5.5', "argument --q: a whole number, got '5.5'"),
    ],
)
def test_a_misspelt_word_names_the_nearest(capsys, words, sentence):
    with pytest.raises(SystemExit) as stopped:
        main(words.split())
    out, err = capsys.readouterr()
    assert stopped.value.code == 2 and not out and err.count('\n') == 1 and sentence in err


def test_words_that_begin_like_options_are_taken(tmp_path, capsys):
    preds, targets = label_maps(1)
    folders = data_set(tmp_path, preds, targets)
    words = 'evaluate', '--num-c', '4', '--ignore-index', '-1', '--unknown', 'count', '--workers', '1', '--', *folders
    code, out, _ = run(capsys, *words)
    assert code == 0 and '1 image' in out


def test_the_sentence_about_a_missed_object(tmp_path, capsys):
    preds, targets = label_maps(4)
    preds[2] = np.where(preds[2] == 3, 0, preds[2]).astype(np.uint8)
    folders = data_set(tmp_path, preds, targets)
    cells = sum((target == c).any() for target in targets for c in range(4))
    state = '--state', tmp_path / 's.npz', '--json', tmp_path / 'j.json'
    code, out, _ = run(capsys, 'evaluate', *folders, *FOUR, '--distances', *state)
    sentence = f"missed in 1 of {cells} (image, class), such as 'class 3' in 1 of 4 images: one mask is empty there"
    assert code == 0 and sentence in out and 'C rest' in out
    found = json.loads((tmp_path / 'j.json').read_text())
    assert found['missed'] == {'count': 1, 'of': cells} and found['results']['HDI'] == 'inf'
    assert found['per_class']['missed'] == [0, 0, 0, 1 / 4] and found['results']['HDI_rest'] < 20
    assert sentence in run(capsys, 'merge', tmp_path / 's.npz')[1]
    code, out, _ = run(capsys, 'merge', tmp_path / 's.npz', '--empty', 'diagonal')
    assert code == 0 and 'missed in' not in out and 'rest' not in out
