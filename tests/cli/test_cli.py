"""The command line as a person uses it."""

import dataclasses
import subprocess
import sys

import pytest

from segparity.cli import main
from segparity.parity import check_parity
from segparity.parity.check import Row
from segparity.parity.frameworks import installed_frameworks
from shared_spec import LOSSES, METRICS, SpecError


def run(capsys, *arguments):
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_list_names_everything(capsys):
    code, out, _ = run(capsys, 'list')
    assert code == 0 and all(name in out for name in (*LOSSES, *METRICS))


@pytest.mark.parametrize('name', [*LOSSES, *METRICS])
def test_show_says_all_there_is_to_know(name, capsys):
    code, out, _ = run(capsys, 'show', name)
    spec = {**LOSSES, **METRICS}[name]
    assert code == 0 and all(parameter in out for parameter in spec.parameters())
    assert 'MMSegmentation' in out and 'Keras' in out and 'Source' in out


def test_a_wrong_name_gets_a_hint_and_code_2(capsys):
    code, out, err = run(capsys, 'show', 'JacardLoss')
    assert code == 2 and 'did you mean' in err and err.count('\n') == 1 and not out
    code, _, err = run(capsys, 'check', 'SoftDise')
    assert code == 2 and "did you mean 'SoftDiceLoss'" in err
    code, _, err = run(capsys, 'check', '--framework', 'troch')
    assert code == 2 and "did you mean 'torch'" in err


def test_no_command_prints_help(capsys):
    code, out, _ = run(capsys)
    assert code == 2 and 'segparity' in out and 'check' in out


@pytest.mark.slow
def test_check_agrees(capsys):
    if 'torch' not in installed_frameworks():
        pytest.skip('needs PyTorch and MMSegmentation')
    name = 'SensitivitySpecificityLoss'  # which has few examples
    code, out, err = run(capsys, 'check', name, '--framework', 'torch')
    ways = [line.split()[2] for line in out.splitlines() if line.startswith(f'{name} ')]
    assert code == 0 and f'{len(ways)} of {len(ways)} agree' in out
    assert ways[:4] == ['plain', 'plain', 'fused', 'fused'] and set(ways[4:]) <= {'kernels'}
    assert ways[4:] or 'left out: torch kernels needs' in out
    assert len(err.splitlines()) == 10 and err.startswith('segparity check: ') and '\x1b' not in err


def test_check_finds_a_disagreement(capsys, monkeypatch):
    row = Row(
        'SoftDiceLoss', 'torch', 'float32', value_error=1e-3, grad_error=0.0, cases=3, worst='default, absent_class'
    )
    monkeypatch.setattr('segparity.parity.check_command.check_parity', lambda *a, **k: [row])
    code, out, _ = run(capsys, 'check', 'SoftDiceLoss')
    assert code == 1 and 'DIFFERS' in out and 'absent_class' in out and '0 of 1 agree' in out
    right = dataclasses.replace(row, value_error=0.0)
    monkeypatch.setattr('segparity.parity.check_command.check_parity', lambda *a, **k: [right])
    code, out, _ = run(capsys, 'check', 'SoftDiceLoss')
    assert code == 0 and 'DIFFERS' not in out and ' ok' in out and '1 of 1 agree' in out
    monkeypatch.setattr('segparity.parity.check_command.check_parity', lambda *a, **k: [right, row])
    assert run(capsys, 'check', 'SoftDiceLoss')[0] == 1
    monkeypatch.setattr('segparity.parity.check_command.check_parity', lambda *a, **k: [])
    assert run(capsys, 'check', 'SoftDiceLoss')[0] == 2  # where nothing ran nothing agrees


def test_what_is_printed_keeps_its_brackets(capsys, monkeypatch):
    hint = "keras_jax needs jax: pip install 'segparity[keras,jax]'"
    row = Row('SoftDiceLoss', 'torch', 'float32', 1.0, 0.0, 3, 'a [bold] case', 'pip install [mmseg]', 'plain')
    monkeypatch.setattr(
        'segparity.parity.check_command.missing_sentence', lambda name: hint if name == 'keras_jax' else ''
    )
    monkeypatch.setattr('segparity.parity.check_command.check_parity', lambda *a, **k: [row])
    _, out, _ = run(capsys, 'check')
    assert all(text in out for text in (f'left out: {hint}\n', 'DIFFERS (a [bold] case)', 'pip install [mmseg]'))


@pytest.mark.parametrize('kind', [LOSSES, METRICS])
def test_show_and_list_print_what_the_spec_says_as_it_stands(kind, capsys, monkeypatch):
    name = next(iter(kind))
    field = next(iter(kind[name].parameters().values()))
    monkeypatch.setattr(kind[name], 'title', 'of [bold] :smile: labels')
    monkeypatch.setattr(field, 'metadata', {**field.metadata, 'meaning': 'a [link=x] of all'})
    assert 'of [bold] :smile: labels' in run(capsys, 'list')[1]
    out = run(capsys, 'show', name)[1]
    assert 'of [bold] :smile: labels' in out and 'a [link=x] of all' in out


def test_check_parity_takes_your_own_data_and_can_fail():
    if 'torch' not in installed_frameworks():
        pytest.skip('needs PyTorch and MMSegmentation')
    import numpy as np

    data = dict(pred=np.linspace(-2, 2, 12).reshape(1, 3, 4), target=np.array([[0, 1, 2, 255]]), ignore_index=255)
    rows = check_parity(['SoftJaccardLoss'], data, frameworks=['torch'])
    assert all(row.ok and row.framework == 'torch' for row in rows)
    assert {(row.way, row.dtype) for row in rows if row.way != 'kernels'} == {
        (way, dtype) for way in ('plain', 'fused') for dtype in ('float32', 'float64')
    }
    bad = dict(data, target=np.array([[0, 1, 2, 9]]))
    with pytest.raises(ValueError, match='labels must be below 3'):
        check_parity(['SoftJaccardLoss'], bad, frameworks=['torch'])
    with pytest.raises(ValueError, match="must have 'pred' and 'target'"):
        check_parity(['SoftJaccardLoss'], {'pred': data['pred']})
    with pytest.raises(SpecError, match='unknown loss'):
        check_parity(['Nothing'])
    with pytest.raises(SpecError, match="unknown way 'fuzed', did you mean 'fused'"):
        check_parity(ways=['fuzed'])


def test_piped_output_is_plain():
    done = subprocess.run([sys.executable, '-m', 'segparity', 'list'], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and '\x1b' not in done.stdout and 'JaccardMetricLoss' in done.stdout


@pytest.mark.slow
def test_golden_table_counts_the_cases_passed(monkeypatch):
    pytest.importorskip('mmseg', reason='needs PyTorch and MMSegmentation')
    from segparity.parity import report

    monkeypatch.setattr(report, 'installed_frameworks', lambda: ['torch'])
    lines = report.golden_table('tests/golden', ['LovaszHingeLoss', 'JaccardMetricLoss']).splitlines()
    assert lines[-4].split(' | ') == ['| loss', 'numpy', 'torch |']
    for line in lines[-2:]:
        name, numpy, torch = line.strip('| ').split(' | ')
        passed, of = numpy.split('/')
        assert name in LOSSES and passed == of and int(of) > 3 and torch == numpy
