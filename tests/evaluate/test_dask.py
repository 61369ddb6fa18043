"""The work on a Dask cluster of two workers."""

import contextlib
import socket
import threading

import pytest

from tests.evaluate.data import data_set, label_maps, refusal, run

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
    sentence = refusal(capsys, 'evaluate', *folders, '--num-classes', '4', '--dask', address)
    assert 'a/002: ' in sentence and 'the prediction 99 at (1, 1)' in sentence


@pytest.mark.parametrize(
    ('there', 'words'),
    [
        (None, 'nothing within 1 seconds'),
        (lambda connection: None, 'nothing within 1 seconds'),
        (
            lambda connection: connection.sendall(bytes([120] * 64)),
            'the connection was closed, or what answers is none',
        ),
    ],
    ids=['nothing', 'silence', 'something_else'],
)
def test_no_scheduler_is_one_sentence(tmp_path, capsys, monkeypatch, there, words):
    from segparity.evaluate import cluster

    monkeypatch.setattr(cluster, 'PATIENCE', 1)
    folders = data_set(tmp_path, *label_maps(1))
    with listening(there) as address:
        sentence = refusal(capsys, 'evaluate', *folders, '--num-classes', '4', '--dask', address)
    assert sentence == f'segparity: no Dask scheduler answers at {address}: {words}\n'


@contextlib.contextmanager
def listening(act):
    """The address of a port where ``act`` is done with every connection, or where nothing listens."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        address, connections = f'tcp://127.0.0.1:{server.getsockname()[1]}', []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connections.append(server.accept()[0])
                    act(connections[-1])

        if act is None:
            server.close()
        else:
            threading.Thread(target=serve, daemon=True).start()
        yield address
        for connection in connections:
            connection.close()


@pytest.mark.parametrize('address', ['nonsense', 'foo://x:1'])
def test_what_is_no_address_leaves_no_half_made_client(tmp_path, capsys, monkeypatch, address):
    """Such a client waits, and says so with a traceback, when it is thrown away."""
    monkeypatch.setattr(distributed.Client, '__init__', lambda *a, **k: pytest.fail('a client was made'))
    folders = data_set(tmp_path, *label_maps(1))
    sentence = refusal(capsys, 'evaluate', *folders, '--num-classes', '4', '--dask', address)
    assert sentence.startswith(f'segparity: no Dask scheduler answers at {address}: ')


def test_a_scheduler_that_goes_away_is_one_sentence(tmp_path, capsys, monkeypatch, address):
    def spread(*arguments):
        raise distributed.client.FutureCancelledError('task', 'scheduler-connection-lost')
        yield

    monkeypatch.setattr('segparity.evaluate.cluster.spread', spread)
    folders = data_set(tmp_path, *label_maps(1))
    sentence = refusal(capsys, 'evaluate', *folders, '--num-classes', '4', '--dask', address)
    assert sentence == f'segparity: the Dask scheduler at {address} has gone; what is done is kept\n'
