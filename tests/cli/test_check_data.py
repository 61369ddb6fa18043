"""``segparity check`` on files of a user, and as JSON."""

import dataclasses
import json

import numpy as np
import pytest

from segparity.cli import main
from segparity.parity import check, yours
from segparity.parity.check import Row
from segparity.parity.frameworks import installed_frameworks
from shared_spec import LOSSES

ROW = Row('SoftDiceLoss', 'torch', 'float32', 1e-9, 1e-8, 3, 'default, hard_label', '', 'plain')
CHECK = 'segparity.parity.check_command.check_parity'


@pytest.fixture
def answers(monkeypatch):
    """What ``check_parity`` is asked, with rows as its answer."""
    asked = []

    def put(*rows):
        def check_parity(names, data, **options):
            asked.append((names, data, options))
            options['progress'](1, 2, 'on its way')
            options['notes']('torch kernels needs a CUDA device')
            options['notes']('predictions of 9,999 numbers: ...')
            return list(rows)

        monkeypatch.setattr(CHECK, check_parity)
        return asked

    return put


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=(1, 2, 4))
    labels[0, 0, 0] = 255
    np.savez(tmp_path / 'logits.npz', logits=rng.normal(size=(1, 3, 2, 4)), labels=labels, extra=1)
    return str(tmp_path / 'logits.npz')


def test_json_is_all_that_is_printed_and_its_keys_stay(answers, capsys):
    wrong = dataclasses.replace(ROW, value_error=float('inf'), grad_error=float('nan'), error='it ended')
    answers(ROW, wrong)
    assert main(['check', '--framework', 'torch', '--json']) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert list(found) == [
        'segparity', 'command', 'ok', 'compared', 'differing', 'rows', 'tolerances', 'left_out', 'remarks'
    ]  # fmt: skip
    assert (found['command'], found['ok'], found['compared'], found['differing']) == ('check', False, 2, 1)
    assert found['rows'][0] == dict(
        name='SoftDiceLoss', framework='torch', way='plain', precision='float32', cases=3, value_error=1e-9,
        gradient_error=1e-8, ok=True, worst='default, hard_label', error='',
    )  # fmt: skip
    assert found['rows'][1]['value_error'] == 'inf' and found['rows'][1]['gradient_error'] is None
    assert found['left_out'] == ['torch kernels needs a CUDA device']
    assert found['remarks'] == ['predictions of 9,999 numbers: ...']
    assert found['tolerances']['float32'] == dict(value=1e-6, gradient=1e-5)
    assert 'on its way' in err
    answers(ROW)
    assert main(['check', '--json']) == 0 and json.loads(capsys.readouterr().out)['ok'] is True


def test_what_is_wrong_is_a_sentence_and_no_json(answers, capsys, path):
    answers()
    for words, said in (
        (['--json'], 'nothing of what was named runs here'),
        (['--layout', 'NHWC'], '--layout says what --data holds, which is not given'),
        (['--probabilities'], '--probabilities says what --data holds'),
        (['--ignore-index', '0'], '--ignore-index says what --data holds'),
        (['--data', path, '--json'], '--ignore-index 255 leaves such pixels out'),
        (['--data', 'nowhere.npz'], 'nowhere.npz: No such file'),
        (['--config', '{"type": "SoftDise"}'], "did you mean 'SoftDiceLoss'"),
    ):
        assert main(['check', *words]) == 2
        out, err = capsys.readouterr()
        assert said in err and not out


@pytest.mark.slow
def test_what_a_loss_needs_and_the_data_lack_is_named(capsys, path):
    if 'torch' not in installed_frameworks():
        pytest.skip('needs PyTorch')
    names = ['ConditionalBoundaryLoss', 'InverseFormLoss']
    assert main(['check', *names, '--data', path, '--ignore-index', '255', '--framework', 'torch']) == 2
    said = ' '.join(capsys.readouterr().err.split())
    assert 'ConditionalBoundaryLoss: needs embedding, (N, D, *space) floating point and classifier,' in said
    assert '(conv_weight and conv_bias), among the data; InverseFormLoss: its predictions are those of a branch' in said


def test_data_and_configurations_are_handed_over(answers, capsys, path):
    asked = answers(ROW)
    config = '{"type": "SoftDiceLoss", "smooth": 1}'
    words = ['--data', path, '--ignore-index', '255', '--config', config, '--config', config]
    assert main(['check', *words]) == 0
    names, case, options = asked[-1]
    assert names is None and case.pred.shape == (1, 3, 2, 4) and case.ignore_index == 255 and case.from_logits
    assert list(options['configs']) == ['SoftDiceLoss', 'SoftDiceLoss 2']
    out = capsys.readouterr().out
    assert 'the array extra is not used' in out and 'left out: torch kernels' in out and '1 of 1 agree' in out
    assert main(['check', 'SoftDiceLoss']) == 0 and asked[-1][:2] == (['SoftDiceLoss'], None)
    assert asked[-1][2]['configs'] is None
    probabilities = '{"type": "SoftDiceLoss", "from_logits": false}'
    assert main(['check', *words[:4], '--config', probabilities]) == 0 and asked[-1][1].from_logits is False


@pytest.mark.slow
def test_a_file_is_checked(capsys, monkeypatch, path):
    if 'torch' not in installed_frameworks():
        pytest.skip('needs PyTorch')
    import contextlib

    from tests.support.frameworks import worker_of

    @contextlib.contextmanager
    def kept(framework):
        yield worker_of(framework)

    monkeypatch.setattr(check, 'Worker', kept)
    monkeypatch.setattr(yours, 'Worker', kept)
    words = ['check', 'SoftJaccardLoss', '--data', path, '--ignore-index', '255', '--framework', 'torch', '--json']
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row['way'] for row in found['rows']} >= {'plain', 'fused'} and found['ok']
    cases = len(LOSSES['SoftJaccardLoss'].examples)
    assert all(row['cases'] == cases for row in found['rows'] if row['way'] == 'plain')
