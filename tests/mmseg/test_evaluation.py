"""The evaluators inside MMSegmentation's Runner: the same last digit on one process and on several."""

import json

import pytest

pandas = pytest.importorskip('pandas', reason="pandas is not installed: pip install -e '.[evaluate]'")

from segparity.audit.table_reading import read_table
from tests.mmseg.tiny_training import write_pictures

pytestmark = pytest.mark.xdist_group('evaluation')  # the run of one process is made once
TABLES = ('overlap', 'calibration', 'boundary')


@pytest.fixture(scope='module')
def seven(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp('seven'), count=7)


@pytest.fixture(scope='module')
def alone(seven, python, tmp_path_factory):
    """(results, folder of the tables) of one process."""
    out = tmp_path_factory.mktemp('alone')
    python('-m', 'tests.mmseg.evaluation_run', seven, out)
    return json.loads((out / 'results.json').read_text()), out


@pytest.mark.slow
def test_the_results_are_worth_comparing(alone):
    results, _ = alone
    found = results['runner']
    assert found == results['cpu']
    assert {
        'aAcc',
        'mIoUD',
        'mFscoreI50',
        'mIoUC5',
        'mDiceCQ',
        'ECED',
        'SCEI',
        'edge/BoundaryIoUC',
        'edge/HD95I',
    } <= set(found)
    once = [v for k, v in found.items() if k + 'D' not in found]  # mIoU is mIoUD
    assert len(set(once)) > 0.7 * len(once) and all(v == v for v in found.values())


@pytest.mark.slow
@pytest.mark.parametrize('processes', [pytest.param(2, marks=pytest.mark.slow), 3])
def test_processes_give_the_last_digit_of_one(processes, alone, seven, python, tmp_path):
    launch = ('-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={processes}')
    python(*launch, '-m', 'tests.mmseg.evaluation_run', seven, tmp_path)
    want, folder = alone
    got = json.loads((tmp_path / 'results.json').read_text())
    assert got['runner'] == want['runner']  # the sampler repeats images: seven do not divide
    assert got['cpu'] == got['gpu'] == want['runner']  # shards of different lengths, one of them empty
    assert list(got['not_finite']) == list(got['cpu']) and all(v != v for v in got['not_finite'].values())
    for name in TABLES:
        assert (tmp_path / f'{name}.csv').read_bytes() == (folder / f'{name}.csv').read_bytes()


@pytest.mark.slow
def test_the_table_holds_every_class_of_every_image(alone, seven):
    results, folder = alone
    table = read_table(folder / 'overlap.csv')
    assert len(table) == 7 * 3 and table['class_name'].tolist() == ['ground', 'box', 'row'] * 7
    assert table['image'].tolist() == [str(seven / 'img' / f'{i}.png') for i in range(7) for _ in range(3)]
    assert table['target_file'][3] == str(seven / 'ann' / '1.png')
    assert table['tp'].sum() / (table['tp'] + table['fn']).sum() == pytest.approx(results['runner']['aAcc'] / 100)
    counted = table[table['present']]
    assert 100 * counted.groupby('class_id')['IoU'].mean().mean() == pytest.approx(results['runner']['mIoUC'])
    assert table[~table['present']]['IoU'].isna().all()
    errors, edges = (pandas.read_csv(folder / f'{name}.csv') for name in ('calibration', 'boundary'))
    assert 100 * errors.groupby('image')['ECE'].first().mean() == pytest.approx(results['runner']['ECEI'])
    assert edges.groupby('class_id')['HD95'].mean().mean() == pytest.approx(results['runner']['edge/HD95C'])
