"""``make gpu``, without a card: what it says then, what it finds wrong, and its file."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks import gpu_report, resize, results
from shared_spec import LOSSES

torch = pytest.importorskip('torch', reason='PyTorch is not installed')


@pytest.fixture
def report(tmp_path):
    return gpu_report.Report(tmp_path / 'report.md', 'cpu', is_quick=True)


def test_without_a_card_it_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert gpu_report.main(['--out', str(tmp_path / 'report.md')]) == 2
    said = capsys.readouterr().err
    assert said.startswith('gpu_report: needs a CUDA device, and PyTorch ') and said.count('\n') == 1
    assert not list(tmp_path.iterdir())


def test_without_pytorch_it_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu_report.importlib.util, 'find_spec', lambda name: None if name == 'torch' else name)
    assert gpu_report.main(['--out', str(tmp_path / 'report.md')]) == 2
    assert capsys.readouterr().err.startswith('gpu_report: needs torch, which this Python has not: ')


def compared(report, *job):
    return gpu_report.compare_case(report, *job, gpu_report.reference(*job))


@pytest.mark.parametrize(('name', 'example'), [('UnifiedFocalLoss', 'default'), ('RegionMutualInformationLoss', 'max')])
def test_a_loss_that_is_right(report, name, example):
    found = compared(report, name, example, 'pixel_weight_soft')
    assert found.pop('wrong') == {}
    assert found.keys() == {(p, part) for p in gpu_report.PRECISIONS for part in ('value', 'gradient')}
    assert all(0 <= error < 1e-5 for error in found.values())


@pytest.mark.parametrize('part', ['value', 'gradient'])
def test_a_loss_that_is_wrong_is_found(report, monkeypatch, part):
    from segparity.parity import torch_side

    honest = torch_side.value_and_gradient

    def off(*arguments, **more):
        dtype, got = honest(*arguments, **more)
        return dtype, got | {part: got[part] + 1e-3}

    monkeypatch.setattr(torch_side, 'value_and_gradient', off)
    wrong = compared(report, 'SoftDiceLoss', 'default', 'hard_label')['wrong']
    assert wrong.keys() == {f'{how}, {p}' for how in ('by itself', 'in blocks') for p in gpu_report.PRECISIONS}
    assert all(f'{part} off by ' in why for why in wrong.values())


def test_a_loss_that_fails_is_found(report, monkeypatch):
    from segparity.parity import torch_side

    monkeypatch.setattr(torch_side, 'value_and_gradient', lambda *_, **more: 1 / 0)
    wrong = compared(report, 'SoftDiceLoss', 'default', 'hard_label')['wrong']
    assert set(wrong.values()) == {'fails: division by zero'}


def test_a_measured_case_and_its_traffic(report):
    names = ('WeightedCrossEntropyLoss', 'torch cross_entropy', 'SMP LovaszLoss')
    column = gpu_report.measure_case(report, names, (1, 3, 8, 8), 'soft')
    assert {'WeightedCrossEntropyLoss', 'torch cross_entropy'} == column['seconds'].keys()
    assert all(times[0] > 0 for times in column['seconds'].values()) and 'SMP LovaszLoss' in column['left_out']
    column['seconds']['torch cross_entropy'] = [1.0]
    gpu_report.bandwidth, honest = (lambda _: 3 * 4.0 * 1 * 3 * 64), gpu_report.bandwidth
    try:
        gpu_report.add_traffic(report, [results.comparison('T', {'some': column}, None)])
    finally:
        gpu_report.bandwidth = honest
    assert '| limit / time | some: 1000.000 ms |' in report.parts[-1]
    assert '| torch cross_entropy | 1.000 |' in report.parts[-1]


def test_heads_that_resize(report):
    pytest.importorskip('mmseg', reason='MMSegmentation is not installed')
    column = gpu_report.measure_heads(report, (1, 3, 16, 16), 4)
    assert column['seconds'].keys() == set(resize.names()) and not column['left_out'] and not report.wrong


def test_what_the_time_does_not_suffice_for_is_named(report, monkeypatch):
    report.start -= gpu_report.COSTS_END + 1
    column = gpu_report.measure_case(report, ('SoftDiceLoss',), (1, 3, 8, 8), 'hard')
    assert column['left_out'] == {'SoftDiceLoss': 'no time was left'} and not column['seconds']
    monkeypatch.setattr(gpu_report, 'ProcessPoolExecutor', lambda *_, **more: ThreadPoolExecutor(1))
    monkeypatch.setattr(gpu_report, 'reference', lambda *_: None)
    gpu_report.check_values(report)
    (told,) = (x for x in report.path.read_text().split('\n\n') if x.startswith('Not compared, for want of time: '))
    assert all(f'{name} (' in told for name in LOSSES)


def test_without_pytest_it_says_so(report, monkeypatch):
    monkeypatch.setattr(gpu_report.importlib.util, 'find_spec', lambda name: None)
    gpu_report.run_tests(report)
    assert report.path.read_text().endswith('Not run: pytest is not installed.\n') and not report.wrong


def test_tests_that_fail_are_wrong(report, monkeypatch):
    monkeypatch.setattr(gpu_report.sys, 'executable', 'false')
    gpu_report.run_tests(report)
    assert report.wrong == ['pytest -m gpu ended with status 1']


@pytest.mark.slow
def test_from_end_to_end(tmp_path):
    path = tmp_path / 'report.md'
    assert gpu_report.main(['--device', 'cpu', '--quick', '--out', str(path)]) == 0
    text = path.read_text()
    for title in ('Value and gradient', 'Large logits', 'Targets', 'Time and memory', 'Fraction of', 'Tests marked'):
        assert f'\n## {title}' in text
    assert ' tests collected ' in text and 'wrong**' not in text
