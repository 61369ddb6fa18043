"""The work on a Dask cluster of two workers."""

import pytest

from tests.evaluate.data import data_set, label_maps, refused, run

distributed = pytest.importorskip('distributed', reason='Dask is not installed')


@pytest.fixture(scope='module')
def address():
    options = dict(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=':0', host='127.0.0.1')
    with distributed.LocalCluster(**options) as cluster:
        yield cluster.scheduler_address


def test_a_cluster_gives_the_same_numbers(tmp_path, capsys, address):
    folders = data_set(tmp_path, *label_maps(9))
    common = 'evaluate', *folders, '--num-classes', '4', '--json', '-'
    here = run(capsys, *common, '--workers', '1')
    there = run(capsys, *common, '--dask', address)
    assert here == there and here[0] == 0


def test_faults_are_found_there_too(tmp_path, capsys, address):
    preds, targets = label_maps(4)
    preds[2][1, 1] = 99
    folders = data_set(tmp_path, preds, targets)
    sentence = refused(capsys, 'evaluate', *folders, '--num-classes', '4', '--dask', address)
    assert 'a/002: ' in sentence and 'the prediction 99 at (1, 1)' in sentence


def test_no_cluster_is_one_sentence(tmp_path, capsys, monkeypatch):
    from segparity.evaluate import cluster

    monkeypatch.setattr(cluster, 'PATIENCE', 0.5)
    folders = data_set(tmp_path, *label_maps(1))
    sentence = refused(capsys, 'evaluate', *folders, '--num-classes', '4', '--dask', 'tcp://127.0.0.1:9')
    assert sentence.startswith('segparity: no Dask scheduler answers at tcp://127.0.0.1:9: ')
