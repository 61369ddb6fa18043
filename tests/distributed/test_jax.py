"""keras.distribution on four host devices of JAX against one: one computation sees the whole batch, and nothing drifts."""

import os

import pytest

from segparity.parity.frameworks import FAST_TO_COMPILE, Worker
from tests.distributed.cases import cases
from tests.support.assertions import assert_same
from tests.support.frameworks import axis, need

FRAMEWORK = axis('keras_jax_x64')[0].values[0]
pytestmark = pytest.mark.xdist_group('jax_devices')
HERE = 'tests.distributed.jax_devices'


@pytest.fixture(scope='module')
def fit(request):
    """Trains in a worker of its own: devices are split before JAX starts."""
    need(FRAMEWORK, [name for name in request.config.getoption('--require').split(',') if name])
    flags = [os.environ.get('XLA_FLAGS', ''), FAST_TO_COMPILE]
    devices = '--xla_force_host_platform_device_count=4'
    with Worker(FRAMEWORK, XLA_FLAGS=' '.join([*flags, devices])) as worker:
        yield lambda layout, **arguments: worker.call(f'{HERE}:fit', layout=layout, **arguments)


def same(got, want, case=''):
    assert got[0].keys() == want[0].keys() and 'error' not in want[0], got[0]
    for key, value in want[0].items():
        assert_same(got[0][key], value, 'float64' if key == 'loss' else 'float32', case)
    assert_same(got[1]['kernel'], want[1]['kernel'], 'float64', case)


@pytest.fixture(scope='module')
def one(fit):
    return fit('one')


@pytest.mark.slow
@pytest.mark.parametrize('sync', [True, False])
def test_data_parallel_trains_as_one_device(fit, one, sync):
    """With sync=False too: there are no shares of which a loss could be taken."""
    same(fit('data', sync=sync), one)


@pytest.mark.slow
def test_model_parallel_trains_as_one_device(fit, one):
    same(fit('model'), one)


@pytest.mark.slow
@pytest.mark.parametrize('name', [name for name in cases() if name.endswith('-uneven') and not cases()[name].mode])
def test_every_loss_trains_as_on_one_device(fit, name):
    same(fit('data', name=name), fit('one', name=name), name)


@pytest.mark.slow
def test_a_batch_that_devices_cannot_share_is_refused(fit):
    assert 'evenly divide' in fit('data', images=6)[0]['error']
