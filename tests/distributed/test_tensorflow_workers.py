"""tf.distribute over processes: two workers of MultiWorkerMirroredStrategy against one device; parameter servers refused."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from segparity.parity.frameworks import Worker
from tests.distributed.cases import few_names
from tests.distributed.tensorflow_ports import free_port
from tests.distributed.test_tensorflow import FRAMEWORK, HERE, TRAINED, same
from tests.support.frameworks import need

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group('tensorflow_workers')]
NAMES = few_names(TRAINED)


@pytest.fixture(scope='module', autouse=True)
def tensorflow(request):
    need(FRAMEWORK, [name for name in request.config.getoption('--require').split(',') if name])


@pytest.fixture(scope='module')
def workers(tmp_path_factory):
    """What the first of two workers wrote."""
    folder, ports = tmp_path_factory.mktemp('workers'), [free_port(), free_port()]
    path = os.pathsep.join(p or os.getcwd() for p in sys.path)
    running = []
    for rank in range(2):
        place = dict(cluster=dict(worker=[f'localhost:{p}' for p in ports]), task=dict(type='worker', index=rank))
        environment = dict(os.environ, PYTHONPATH=path, KERAS_BACKEND='tensorflow', TF_CONFIG=json.dumps(place))
        command = [sys.executable, '-m', 'tests.distributed.tensorflow_workers', folder, *NAMES]
        running.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    for process in running:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said[-4000:]
    return dict(np.load(folder / '0.npz'))


@pytest.mark.parametrize('name', NAMES)
def test_two_workers_train_as_one_device(workers, name):
    same(workers, name)


@pytest.mark.parametrize('sync', [True, False])
def test_parameter_servers_are_refused_with_sync(sync):
    with Worker(FRAMEWORK) as worker:
        found, _ = worker.call(f'{HERE}:parameter_server', sync=sync)
    if sync:
        assert 'have no step in common' in found
    else:
        assert 0 < found < 1
