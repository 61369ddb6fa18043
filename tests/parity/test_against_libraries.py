"""``segparity check NAME --against LIBRARY``: the installed libraries, in words and in JSON."""

import json

import pytest

from segparity.cli import main
from segparity.migrate.running import installed_version
from segparity.parity.against.libraries import LIBRARIES


def run(capsys, *words):
    code = main(['check', *words])
    out, err = capsys.readouterr()
    return code, out, err


def needs(library):
    if installed_version(library) is None:
        pytest.skip(f'{library} is not installed')


def test_the_libraries_are_those_of_the_table():
    from segparity.migrate.peers.against import LIBRARIES as OF_TABLE

    assert set(LIBRARIES) == set(OF_TABLE)


def test_the_same_loss_of_a_library_agrees(capsys):
    needs('mmseg')
    config = json.dumps(dict(type='SoftTverskyLoss', granularity='I', classes='all', smooth=1.0, ignore_index=255))
    code, out, _ = run(capsys, '--config', config, '--against', 'mmseg', '--json')
    found = json.loads(out)
    assert code == 0 and found['ok'] and found['peers'][0]['theirs'].startswith('TverskyLoss(')
    assert found['peers'][0]['value_error'] <= 1e-6


def test_another_one_differs_and_the_words_say_how(capsys):
    needs('monai')
    code, out, _ = run(capsys, 'SoftDiceLoss', '--against', 'monai')
    assert code == 1 and 'DIFFERS' in out and "its classes is 'all', ours 'auto'" in out


def test_what_does_not_go_with_a_library_is_refused(capsys):
    code, _, err = run(capsys, 'SoftDiceLoss', '--against', 'smp', '--channels', '4')
    assert code == 2 and 'leave out --data and --channels' in err and err.count('\n') == 1


def test_a_library_that_is_missing_is_one_sentence(capsys, monkeypatch):
    monkeypatch.setattr('segparity.migrate.peers.against.installed_version', lambda library: None)
    code, _, err = run(capsys, 'SoftDiceLoss', '--against', 'smp')
    assert code == 2 and 'is not installed' in err and err.count('\n') == 1
