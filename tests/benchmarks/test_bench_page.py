"""``python -m benchmarks``: tables, plots and raw numbers, from tiny shapes; and the page of the documentation."""

import argparse
import importlib
import json
import re
import signal
from pathlib import Path

import pytest

from benchmarks import (
    area,
    batches,
    bench_page,
    contenders,
    overlap,
    peers,
    pixel,
    publish,
    results,
    tables,
    targets,
    under_load,
)  # fmt: skip
from benchmarks.areas import AREAS, Run
from benchmarks.contenders import PEERS
from shared_spec import LOSSES

pytest.importorskip('matplotlib', reason='matplotlib is not installed')
benchmarks_main = importlib.import_module('benchmarks.__main__')
main = benchmarks_main.main
ROOT = Path(__file__).resolve().parents[2]
CASE = '(2, 19, 512, 1024)'
REGION = results.comparison(
    'Region losses, hard labels, float32',
    {
        CASE: results.case(
            {'JaccardMetricLoss': [0.02, 0.03], 'MONAI DiceLoss': [0.01, 0.01], 'mmseg DiceLoss': [0.04, 0.04]},
            {'JaccardMetricLoss': 150, 'MONAI DiceLoss': 300, 'mmseg DiceLoss': 700},
            unit_bytes=100,
            left_out={'SMP JaccardLoss': 'segmentation_models_pytorch is not installed'},
        )
    },
    'MONAI DiceLoss',
)
SCALING = results.scaling('Cost', 'pixels', [10, 100], {'a': [[0.001], [0.01]], 'b': [None, [0.5]]})
ACCURACY = results.accuracy('Accuracy, hard labels, float32', {CASE: {'JaccardMetricLoss': [0.0, 2e-5]}})
FOUND = dict(
    machine=dict(processor='some', commit='abc'),
    options='python -m benchmarks',
    areas=dict(region=[REGION], scaling=[SCALING], accuracy=[ACCURACY]),
    failed={'metrics': 'ended with status 1'},
)


def test_a_comparison_as_a_table():
    assert tables.markdown(REGION).splitlines() == [
        f'| ms (ratio to MONAI DiceLoss; peak memory in logits) | {CASE} |',
        '| --- | --- |',
        '| MONAI DiceLoss | 10.0 (1.00; 3.00) |',
        '| JaccardMetricLoss | 25.0 (2.50; 1.50) |',
        '| mmseg DiceLoss | 40.0 (4.00; 7.00) |',
        '',
        'Left out: SMP JaccardLoss (segmentation_models_pytorch is not installed).',
    ]


def test_scaling_as_a_table():
    assert tables.markdown(SCALING).splitlines()[2:] == ['| a | 1.00 | 10.0 | 1.00 |', '| b |  | 500 |  |']


def test_accuracy_as_a_table():
    assert tables.markdown(ACCURACY).splitlines()[2:] == ['| JaccardMetricLoss | 0.0e+00; 2.0e-05 |']


def test_sections_of_several_processes_become_one():
    def section(case):
        return results.comparison('T', {case: results.case({'x': [1.0]})}, None)

    (found,) = results.merge([section('jax'), section('torch')])
    assert list(found['cases']) == ['jax', 'torch']


def test_the_page_names_machine_failures_and_targets(tmp_path):
    (tmp_path / 'bench.json').write_text(json.dumps(FOUND))
    assert main(['--redraw', '--out', str(tmp_path)]) == 0
    text = (tmp_path / 'bench.md').read_text()
    assert '- processor: some' in text and '- **failed**: metrics (ended with status 1)' in text
    row = f'| Region losses, hard labels, float32, {CASE} '
    assert row + '| time over MONAI DiceLoss | at most 1.00 | 2.50 | **missed** by a factor of 2.50 |' in text
    assert row + '| times faster than mmseg DiceLoss | at least 3.00 | 1.67 | **missed** by a factor of 1.80 |' in text
    assert 'JaccardLoss | at least' not in text  # nothing was measured
    assert '| error of the gradient | at most 1e-05 | 2e-05 | **missed** by a factor of 2.00 |' in text
    images = re.findall(r'!\[.+?\]\((.+?)\)', text)
    assert sorted(images) == sorted(path.name for path in tmp_path.glob('*.png')) and len(images) == 3
    for image in images:
        assert (tmp_path / image).read_bytes().startswith(b'\x89PNG')
        assert (tmp_path / image).stat().st_size < 100_000


def test_a_peer_that_is_missing_is_left_out(monkeypatch):
    monkeypatch.setitem(peers.PACKAGES, 'MONAI', 'no_such_package')
    with pytest.raises(peers.LeftOut, match='^no_such_package is not installed$'):
        peers.load('MONAI', 'losses')


def test_publishing_replaces_what_stands_between_the_markers(tmp_path):
    docs, measured = tmp_path / 'docs', tmp_path / 'out'
    (docs / 'images').mkdir(parents=True)
    (docs / 'images' / 'old.png').touch()
    measured.mkdir()
    (measured / 'bench.json').write_text(json.dumps(FOUND | dict(areas=dict(region=[REGION]))))
    (docs / 'benchmarks.md').write_text(f'before\n{publish.BEGIN}\nold\n{publish.END}\nafter\n')
    publish.publish(measured, docs)
    once = (docs / 'benchmarks.md').read_text()
    publish.publish(measured, docs)
    assert (docs / 'benchmarks.md').read_text() == once
    assert once.startswith(f'before\n{publish.BEGIN}\n\n- processor') and once.endswith(f'\n\n{publish.END}\nafter\n')
    assert 'old' not in once and '## Targets' in once
    images = re.findall(r'\]\(images/(.+?)\)', once)
    assert sorted(images) == sorted(path.name for path in (docs / 'images').iterdir())
    (docs / 'benchmarks.md').write_text('no markers')
    with pytest.raises(ValueError, match='^publish: .* must have the lines'):
        publish.publish(measured, docs)


def test_the_documentation_names_every_area_and_shows_its_plots():
    docs = ROOT / 'docs'
    text = (docs / 'benchmarks.md').read_text(encoding='utf-8')
    assert text.index(publish.BEGIN) < text.index(publish.END)
    without = re.search('^- not measured: (.+)$', text, re.MULTILINE)
    for title, _ in AREAS.values():
        assert f'\n## {title}\n' in text or title in without[1]
    images = set(re.findall(r'\]\(images/(.+?)\)', text))
    assert images == {path.name for path in (docs / 'images').glob('*.png')}
    assert all((docs / 'images' / name).stat().st_size < 100_000 for name in images)


def sections_of(name, monkeypatch, *more):
    """Title -> section of an area's tiny shapes, measured in this process; the peak is left out."""
    pytest.importorskip('mmseg', reason='MMSegmentation is not installed')
    module = importlib.import_module(f'benchmarks.{name}')
    monkeypatch.setattr(overlap, 'peak_bytes', lambda *_: 1000)
    options = argparse.Namespace(rounds=1, quick=True, **dict(more))
    return {section['title']: section for section in json.loads(json.dumps(list(module.measure(options))))}


def test_the_area_of_accuracy(monkeypatch):
    sections = sections_of('accuracy', monkeypatch)
    assert len(sections) == 3
    for name, (value, gradient) in sections['Accuracy, hard labels, float32']['errors']['(2, 3, 32, 32)'].items():
        assert value < 1e-6 and gradient < 1e-5, name
    assert all('JaccardMetricLoss' in tables.markdown(section) for section in sections.values())


@pytest.mark.parametrize(
    'soft', [pytest.param(False, id='hard'), pytest.param(True, id='soft', marks=pytest.mark.slow)]
)
def test_the_area_of_region_losses(monkeypatch, soft):
    options = dict(soft=soft, all=True, dtype='float32', shapes=None)
    (section,) = sections_of('overlap', monkeypatch, *options.items()).values()
    ((case, column),) = section['cases'].items()
    assert case == '(2, 19, 32, 64)' and column['unit_bytes'] == 2 * 19 * 32 * 64 * 4
    ours = {name for name in column['seconds'] if not name.startswith(PEERS)}
    assert ours >= {'JaccardMetricLoss', 'SoftDiceLoss', 'SensitivitySpecificityLoss'}
    assert not any(name in column['left_out'] for name in LOSSES if 'soft' in LOSSES[name].labels)
    assert all(len(times) == 1 and times[0] > 0 for times in column['seconds'].values())
    assert column['peaks'].keys() == column['seconds'].keys()


@pytest.mark.parametrize(
    'soft', [pytest.param(False, id='hard'), pytest.param(True, id='soft', marks=pytest.mark.slow)]
)
def test_the_area_of_pixel_losses(monkeypatch, soft):
    monkeypatch.setattr(pixel, 'QUICK', pixel.QUICK[-1:])
    monkeypatch.setattr(pixel, 'MEASURABLE', 0)
    (section,) = sections_of('pixel', monkeypatch, ('soft', soft)).values()
    ((case, column),) = section['cases'].items()
    assert section['title'] == pixel.title('soft' if soft else 'hard') and case == '(1, 3, 8, 8, 8)'
    assert not any(why.startswith('fails') for why in column['left_out'].values())
    without = {pixel.WASSERSTEIN, f'MONAI {pixel.WASSERSTEIN}', *pixel.HARD} if soft else {pixel.FEATURES}
    assert column['seconds'].keys() == set(pixel.NAMES) - set(pixel.OF_PICTURES) - without
    assert column['peaks'].keys() == column['seconds'].keys()


def test_every_loss_is_in_an_area():
    names = {name.split(',')[0] for name in (*pixel.NAMES, *overlap.CATALOGUE)}
    assert set(LOSSES) <= names | {'LovaszHingeLoss'}


def test_the_area_of_losses_beside_other_work(monkeypatch):
    started, resting, popen = [], [], under_load.subprocess.Popen
    monkeypatch.setattr(under_load.subprocess, 'Popen', lambda *words: started.append(popen(*words)) or started[-1])

    def measured(names, shape, rounds):
        resting.append([process.poll() for process in started])
        return {name: [1.0] for name in names}, {}

    monkeypatch.setattr(under_load, 'time_contenders', measured)
    (section,) = sections_of('under_load', monkeypatch).values()
    assert [*section['cases']] == ['(2, 3, 32, 32), alone', '(2, 3, 32, 32), beside 2 busy processes']
    assert resting == [[], [None, None]] and [process.returncode for process in started] == [-signal.SIGKILL] * 2


@pytest.mark.parametrize('name', ['JaccardMetricLoss', 'WeightedCrossEntropyLoss'])
def test_the_plain_way_under_load_computes_the_same(name):
    pytest.importorskip('torch', reason='PyTorch is not installed')
    logits, target = batches.batch((2, 3, 64, 64))
    assert target.unique().tolist() == [0, 1, 2, batches.IGNORED]  # every class, and ignored pixels
    ours, plain = (contenders.build(x, 'hard')(logits, target).item() for x in (name, under_load.PLAIN[name]))
    assert plain == pytest.approx(ours, rel=1e-5)


def test_targets_of_every_pixel_loss_find_their_case():
    seconds = {name: [1.0] for name in pixel.NAMES}
    case = results.case(seconds, dict.fromkeys(seconds, 100), unit_bytes=100)
    section = results.comparison(pixel.title('hard'), {str(shape): case for shape in pixel.SHAPES}, pixel.REFERENCE)
    load = results.comparison(
        under_load.TITLE,
        {
            under_load.case_name(shape, 2): results.case({name: [1.0] for name in under_load.NAMES})
            for shape in under_load.SHAPES
        },
        'torch cross_entropy',
    )
    rows = targets.table({'pixel': [section], 'load': [load]}).splitlines()
    for name in (*pixel.PIXEL, pixel.RECIPE, *pixel.COMPOUND, pixel.WASSERSTEIN, pixel.RMI):
        for shape in pixel.SHAPES[:2]:
            assert any(f'{shape} | {name}: time over' in row for row in rows), (name, shape)
    assert sum('Beside other work' in row for row in rows) == len(under_load.SHAPES) * len(under_load.PLAIN)
    assert f'{pixel.SHAPES[0]} | {pixel.RMI}: memory in logits | at most 4.00 | 1.00 | met |' in '\n'.join(rows)


def test_the_area_of_lovasz_losses(monkeypatch):
    sections = sections_of('lovasz', monkeypatch)
    assert {name: [*section['cases']] for name, section in sections.items()} == {
        'Lovasz softmax': ['3 classes, (2, 3, 32, 32)'],
        'Lovasz hinge': ['hinge, (2, 1, 32, 32)'],
    }
    assert all(
        {'segparity', 'mmseg'} <= column['seconds'].keys() for x in sections.values() for column in x['cases'].values()
    )


@pytest.mark.slow
@pytest.mark.parametrize('area', AREAS)
def test_an_area_from_end_to_end(area, tmp_path):
    pytest.importorskip('mmseg', reason='MMSegmentation is not installed')
    assert main(['--quick', '--areas', area, '--rounds', '1', '--threads', '1', '--out', str(tmp_path)]) == 0
    found = json.loads((tmp_path / 'bench.json').read_text())
    assert not found['failed'] and found['machine']['packages']
    text = (tmp_path / 'bench.md').read_text()
    assert all(f'### {section["title"]}\n\n' in text for section in found['areas'][area])
    assert area == 'gpu' or any(tmp_path.glob('*.png'))


def test_an_area_that_fails_is_named_and_the_others_go_on(tmp_path, monkeypatch):
    areas = {'first': ('First', [Run('no_such_file')]), 'second': ('Second', [])}
    monkeypatch.setattr(benchmarks_main, 'AREAS', areas)
    monkeypatch.setattr(bench_page, 'AREAS', areas)
    assert main(['--out', str(tmp_path)]) == 1
    text = (tmp_path / 'bench.md').read_text()
    assert '- **failed**: no_such_file (ended with status 1' in text and '\n## Second\n' in text


def test_nothing_to_redraw_is_one_sentence(tmp_path):
    with pytest.raises(
        SystemExit, match='^benchmarks: --redraw needs .*bench.json, which python -m benchmarks writes$'
    ):
        main(['--redraw', '--out', str(tmp_path)])


def test_more_cores_than_there_are_is_one_sentence(tmp_path):
    with pytest.raises(
        SystemExit, match='^benchmarks: --threads must be from 1 to [0-9]+, the cores at hand, got 5000$'
    ):
        main(['--threads', '5000', '--out', str(tmp_path)])


@pytest.mark.parametrize('rounds', ['0', '-3', '1.5', 'two'])
def test_a_number_of_rounds_that_is_none_is_one_sentence(rounds, tmp_path):
    for read in (lambda words: main([*words, '--out', str(tmp_path)]), area.parser('An area.').parse_args):
        with pytest.raises(
            SystemExit, match=f'^benchmarks: --rounds must be a whole number above 0, got {re.escape(rounds)}$'
        ):
            read(['--rounds', rounds])
    assert not list(tmp_path.iterdir())


def test_a_shape_that_is_none_is_one_sentence():
    options = overlap.parser().parse_args(['--quick', '--shapes', '0', '2'])
    with pytest.raises(SystemExit, match=r'^benchmarks: --shapes must be from 0 to 1, got \[0, 2\]$'):
        next(overlap.measure(options))
