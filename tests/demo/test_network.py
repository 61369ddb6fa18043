"""One layer list, two worlds: the same logits, the same first loss, the same schedule."""

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('sklearn')
pytest.importorskip('PIL')

from segparity.demo import network
from segparity.demo.settings import CLASSES, PALETTE, Settings, config_path
from segparity.demo.worlds import BACKENDS, installed, keras_backend, mmseg_world

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group('demo_network')]  # each world runs once
# The backend that the demo takes here; the others are the same file, compiled for much longer.
USED = keras_backend() or 'torch'
KERAS = [pytest.param(f'keras_{name}', marks=[] if name == USED else pytest.mark.slow) for name in BACKENDS]
# Normalising over a batch of three magnifies float32's rounding where a channel hardly varies; evaluation does not.
TOLERANCE = {'eval': 2e-5, 'train': 5e-4}


@pytest.fixture(scope='module')
def forward(written, tmp_path_factory):
    """World -> what `forward.py` saw; skips where the world is not installed."""
    cache = {}

    def run(name):
        if name not in cache:
            world, _, backend = name.partition('_')
            missing = mmseg_world().missing if world == 'mmseg' else [m for m in ('keras', backend) if not installed(m)]
            if missing:
                pytest.skip(f'{", ".join(missing)} not installed')
            path = tmp_path_factory.mktemp('forward') / f'{name}.npz'
            env = {**os.environ, 'KERAS_BACKEND': backend or 'torch', 'CUDA_VISIBLE_DEVICES': ''}
            command = [sys.executable, '-m', 'tests.demo.forward', world, str(written), str(path)]
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)
            if done.returncode:
                pytest.fail(f'{name}: {done.stderr[-2000:]}')
            with np.load(path) as arrays:
                cache[name] = dict(arrays)
        return cache[name]

    return run


@pytest.mark.parametrize('world', KERAS)
def test_logits_and_loss_are_those_of_mmsegmentation(forward, world):
    one, other = forward('mmseg'), forward(world)
    for mode in ('eval', 'train'):
        assert one[mode].shape == other[mode].shape and np.ptp(one[mode]) > 0.1
        np.testing.assert_allclose(other[mode], one[mode], rtol=0, atol=TOLERANCE[mode])
    assert abs(one['loss'] - other['loss']) <= 1e-5


@pytest.mark.parametrize('world', ['mmseg', *KERAS])
def test_the_learning_rates_are_the_plan_s(forward, written, world):
    np.testing.assert_allclose(forward(world)['rates'], network.Plan.read(written).learning_rates, rtol=1e-6)


def test_the_sampler_gives_the_planned_batches(forward, written):
    assert (forward('mmseg')['order'] == network.Plan.read(written).batches.ravel()).all()


def test_the_default_learning_rates_rise_and_fall():
    rates = network.learning_rates(Settings())
    assert rates.argmax() == 119 and rates.max() == pytest.approx(6e-3)
    assert rates[0] == pytest.approx(6e-3 / 25) and rates[-1] == pytest.approx(6e-3 / 25 / 1e4)


def test_every_scene_comes_once_a_round(small):
    order = network.batches(Settings(train_scenes=12, iterations=10, batch=6, val_every=10)).ravel()
    for start in range(0, 60, 12):
        assert sorted(order[start : start + 12]) == list(range(12))


def test_the_same_seed_gives_the_same_plan(small):
    one, other = network.initial_weights(small), network.initial_weights(small)
    assert one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)
    assert (network.batches(small) == network.batches(small)).all()


def test_the_plan_is_read_back(written, small):
    plan = network.Plan.read(written)
    weights = network.initial_weights(small)
    assert plan.weights.keys() == weights.keys() and all(
        (plan.weights[name] == weights[name]).all() for name in weights
    )
    assert plan.batches.shape == (small.iterations, small.batch) and plan.learning_rates.shape == (small.iterations,)


def test_the_config_says_what_the_settings_say():
    """A user who copies the config gets the demo's training: nothing but data, weights and batches is set on top."""
    config = {}
    exec(compile(config_path().read_text(), 'config', 'exec'), config)
    settings = Settings()
    assert config['max_iters'] == settings.iterations == config['param_scheduler']['total_steps']
    assert config['train_dataloader']['batch_size'] == settings.batch
    assert config['train_cfg']['val_interval'] == settings.val_every
    assert config['optim_wrapper']['optimizer']['weight_decay'] == settings.weight_decay
    assert config['param_scheduler']['eta_max'] == settings.peak_lr
    assert config['model']['backbone']['base_channels'] == settings.base_channels
    assert config['model']['backbone']['num_stages'] == network.STAGES
    assert (config['classes'], tuple(config['palette'])) == (CLASSES, PALETTE)
