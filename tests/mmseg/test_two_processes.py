"""MMSegmentation's own training script under torchrun: two processes end with the weights of one."""

import json
from pathlib import Path

import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config

import mmseg_plugin  # noqa: F401
from tests.mmseg.tiny_training import config, logged
from tests.support.assertions import assert_same

SCRIPT = Path(mmseg.__file__).parent / '.mim' / 'tools' / 'train.py'
pytestmark = [
    pytest.mark.skipif(not SCRIPT.is_file(), reason='this MMSegmentation came without its tools'),
    pytest.mark.xdist_group('two_processes'),
]
ACCUMULATIVE_COUNTS = {'every_step': 1, 'accumulated': 2, 'unsynced': 1}
STEPS = 4


def prepared(pictures, folder, name, **changes):
    """The config of a run with two heads: a sum of losses, and a class frequency."""
    options = dict(sync=name != 'unsynced')
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.5))
    made = config(
        pictures,
        folder / name,
        [
            dict(type='WeightedCrossEntropyLoss', loss_weight=0.25, **options),
            dict(type='JaccardMetricLoss', loss_weight=0.75, granularity={'D': 0.5, 'I': 0.5}, **options),
        ],
        iterations=STEPS,
        optim_wrapper=dict(wrapper, accumulative_counts=ACCUMULATIVE_COUNTS[name]),
        **changes,
    )
    frequent = dict(type='WeightedCrossEntropyLoss', class_weight='inverse_frequency', loss_weight=0.4, **options)
    made['model']['auxiliary_head'] = dict(made['model']['decode_head'], loss_decode=frequent)
    return made


@pytest.fixture(scope='module')
def two(pictures, tmp_path_factory, python):
    """The folder of the runs of two processes, each with batches of 2."""
    folder = tmp_path_factory.mktemp('two')
    changes = dict(
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None),
    )
    files = []
    for name in ACCUMULATIVE_COUNTS:
        files.append(folder / f'{name}.py')
        Config(prepared(pictures, folder, name, **changes)).dump(files[-1])
    launch = ('-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2')
    commands = json.dumps([[str(SCRIPT), str(file), '--launcher', 'pytorch'] for file in files])
    python(*launch, Path(__file__).with_name('host_scripts.py'), commands)
    return folder


def weights(folder):
    """All of a run's weights at its end, as one vector."""
    state = torch.load(folder / f'iter_{STEPS}.pth', weights_only=True)['state_dict']
    return np.concatenate([w.flatten().numpy() for w in state.values()])


@pytest.fixture
def runs(name, pictures, tmp_path, train, two):
    """(name, folder of one process with batches of 4, folder of two)."""
    train(prepared(pictures, tmp_path, name, batch_size=4))
    return name, tmp_path / name, two / name


@pytest.mark.slow
@pytest.mark.parametrize('name', ACCUMULATIVE_COUNTS)
def test_the_weights_and_the_log_are_those_of_one_process(name, runs):
    name, one, two = runs
    difference = np.abs(weights(two) - weights(one)).max()
    if name == 'unsynced':
        assert difference > 1e-2  # rank batches of 2 are no batch of 4
        return
    assert_same(weights(two), weights(one), 'float32')
    assert logged(two) == pytest.approx(logged(one), rel=1e-5)
