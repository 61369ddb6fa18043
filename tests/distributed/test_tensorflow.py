"""tf.distribute's MirroredStrategy on two virtual CPUs against one device; eagerly in float64, and in ``fit``."""

import numpy as np
import pytest

from segparity.parity.frameworks import Worker
from tests.distributed.cases import cases, few_names
from tests.support.assertions import assert_same
from tests.support.frameworks import axis, need

FRAMEWORK = axis('keras_tensorflow')[0].values[0]
pytestmark = pytest.mark.xdist_group('replicas')
TRAINED = [name for name, case in cases().items() if case.mode in ('', 'more')]
DEFAULT = few_names(TRAINED)
UNSYNCED = ['JaccardMetric-unsynced', 'LovaszSoftmax-unsynced']
HERE = 'tests.distributed.tensorflow_replicas'


@pytest.fixture(scope='module')
def replicas(request):
    """A worker of its own: devices are split before TensorFlow starts."""
    need(FRAMEWORK, [name for name in request.config.getoption('--require').split(',') if name])
    with Worker(FRAMEWORK) as worker:
        worker.call(f'{HERE}:split_cpu')
        yield lambda function, arrays=None, **arguments: worker.call(f'{HERE}:{function}', arrays, **arguments)


@pytest.fixture(scope='module')
def trained(replicas):
    return replicas('train', names=[*DEFAULT, *UNSYNCED])[1]


def same(found, name):
    one, two = found[f'{name}/one'], found[f'{name}/two']
    assert_same(two[0], one[0], 'float64', name)
    assert_same(two[1:], one[1:], 'float64', name, scale=np.abs(one[1:]).max())


@pytest.mark.slow
@pytest.mark.parametrize('name', DEFAULT)
def test_two_uneven_replicas_train_as_one_device(trained, name):
    same(trained, name)


@pytest.mark.slow
@pytest.mark.parametrize('name', UNSYNCED)
def test_without_sync_replicas_drift(trained, name):
    one, two = trained[f'{name}/one'], trained[f'{name}/two']
    assert abs(two[0] - one[0]) > 1e-4
    assert np.abs(two - one)[1:].max() > 0.01 * np.abs(one[1:]).max()


@pytest.mark.slow
@pytest.mark.parametrize('name', [name for name in TRAINED if name not in DEFAULT])
def test_every_example_on_two_replicas(replicas, name):
    same(replicas('train', names=[name])[1], name)


@pytest.mark.slow
def test_batch_norm_is_of_each_replica_unless_synchronized(replicas):
    """What docs/moving.md says of it; tests/moving has the same images, and PyTorch."""
    pytest.importorskip('torch', reason='torch is not installed')
    from tests.moving.arrays import two_kinds_of_images, typical
    from tests.moving.page import assert_figures

    x = two_kinds_of_images()
    apart = replicas('batch_norm', dict(x=x), synchronized=False)[1]
    assert_figures('BatchNorm of each device', typical(apart['two'], apart['one']))
    together = replicas('batch_norm', dict(x=x), synchronized=True)[1]
    assert_same(together['two'], together['one'], 'float32')


@pytest.mark.slow
def test_sums_and_maps_are_those_of_one_device(replicas):
    _, found = replicas('reductions')
    for key in ('sum True', 'sum False', 'none True', 'none False'):
        assert_same(found[f'{key}/two'], found[f'{key}/one'], 'float64', key)


@pytest.mark.slow
def test_fit_trains_as_on_one_device(replicas):
    (one, weights), (two, found) = replicas('fit', replicas=1), replicas('fit', replicas=2)
    assert_same(two, one, 'float32')
    assert_same(found['kernel'], weights['kernel'], 'float32')


@pytest.mark.slow
def test_a_bank_of_a_branched_model_fills_as_on_one_device(replicas):
    (want, one), (got, two) = (replicas('fit_with_bank', replicas=n) for n in (1, 2))
    assert_same(got, want, 'float32')
    assert set(one) == set(two)
    for name in one:
        assert_same(two[name], one[name], 'float32', name)
    (bank,) = (one[name] for name in one if name.startswith('embeddings'))
    (pushed,) = (one[name] for name in one if name.startswith('pushed'))
    assert np.abs(bank).sum() > 0 and (pushed > 3).any()


@pytest.mark.slow
def test_a_compiled_step_is_refused_in_a_sentence(replicas):
    said, _ = replicas('fit', replicas=2, jit_compile=True)
    assert said.startswith('TensorFlow cannot compile a step that several replicas share') and '\n' not in said


@pytest.mark.slow
def test_students_of_teachers_on_two_replicas(replicas):
    found = replicas('from_teachers')[1]
    for name in ('distiller', 'mean_teacher'):
        assert_same(found[f'{name}/two'], found[f'{name}/one'], 'float32', name)
