"""tf.distribute, which is TensorFlow's alone: JAX shards the whole computation and needs nothing of the losses."""

import pytest

from segparity.parity.frameworks import Worker
from tests.support.frameworks import axis
from tests.support.same import assert_same


@pytest.mark.parametrize('framework', axis('keras_tensorflow'))
def test_two_replicas_train_as_one_device(framework, worker):
    with Worker(framework) as fresh:  # devices are split before TensorFlow starts
        fresh.call('tests.losses.keras_calls:split_cpu')
        losses, weights = fresh.call('tests.losses.keras_calls:two_replicas')
    assert_same(losses[1], losses[0], 'float32')
    assert_same(weights['two'], weights['one'], 'float32')
