"""``segparity migrate`` as it is typed: where code and report go, exit codes, JSON."""

import json
import math

import pytest

from segparity.cli import main
from segparity.migrate import peers
from segparity.migrate.items import Migrated, Reading
from shared_spec import LOSSES, from_dict

SAME = (
    'import keras\n'
    'model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 1)])\n'
    "model.compile('adam', loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255))\n"
)


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'train.py').write_text(SAME)
    return tmp_path


def run(capsys, *words):
    code = main(['migrate', *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_code_is_the_standard_output_and_the_report_is_not(script, capsys):
    code, out, err = run(capsys, 'train.py', '--to', 'mmseg')
    assert code == 0 and 'equal up to float32' in err
    compile(out, 'written.py', 'exec')
    code, said, err = run(capsys, 'train.py', '--to', 'mmseg', '--out', 'written.py')
    assert code == 0 and not err and 'written: written.py' in said
    assert (script / 'written.py').read_text() == out


def test_json_has_spec_and_code(script, capsys):
    code, out, err = run(capsys, 'train.py', '--to', 'keras', '--json')
    found = json.loads(out)
    assert code == 0 and not err and found['complete'] and found['command'] == 'migrate'
    (loss,) = found['losses']
    assert loss['line'] == 3 and loss['verdict'] == 'float32'
    assert from_dict(loss['readings'][0]['spec']) == LOSSES['WeightedCrossEntropyLoss'](ignore_index=255)
    compile(found['code'], 'written.py', 'exec')


def test_json_has_no_number_that_is_none(script, capsys, monkeypatch):
    odd = Reading('nearest', LOSSES['SoftDiceLoss'](), measured=math.inf, offset=math.nan)
    monkeypatch.setattr(peers, 'migrate_item', lambda item, context, compat: Migrated(item, [odd], context))
    code, out, _ = run(capsys, 'train.py', '--to', 'keras', '--json')
    reading = json.loads(out, parse_constant=pytest.fail)['losses'][0]['readings'][0]
    assert code == 1 and reading['measured'] == 'inf' and reading['offset'] is None


def test_base_names_the_configuration_from_where_the_code_is(script, capsys):
    (script / 'configs').mkdir()
    (script / 'configs' / 'mine.py').write_text('model = dict()')
    run(capsys, 'train.py', '--to', 'mmseg', '--base', 'configs/mine.py', '--out', 'configs/written.py')
    assert "_base_ = ['mine.py']" in (script / 'configs' / 'written.py').read_text()


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['nowhere.py', '--to', 'keras'], 'nowhere.py'),
        (['.', '--to', 'keras'], 'folder'),
        (['train.py', '--to', 'keras', '--out', 'train.py'], '--out'),
        (['train.py', '--to', 'keras', '--base', 'x.py'], '--base'),
        (['train.py', '--to', 'tensorflow'], '--to'),
    ],
)
def test_wrong_words_are_one_sentence(script, capsys, words, said):
    try:
        code, out, err = run(capsys, *words)
    except SystemExit as stop:  # of argparse
        code, (out, err) = stop.code, capsys.readouterr()
    assert code == 2 and not out and said in err and err.count('\n') == 1
    assert (script / 'train.py').read_text() == SAME
