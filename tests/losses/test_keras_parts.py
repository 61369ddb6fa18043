"""Pieces of the Keras losses by hand: reductions of cross-entropy, helpers of the statistics, integers, warnings."""

import math

import numpy as np
import pytest

from segparity.parity.frameworks import Worker
from tests.support.assertions import assert_same
from tests.support.frameworks import axis, need

BACKENDS = pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))


def ask(worker, function, **arguments):
    return worker.call(f'tests.losses.keras_parts:{function}', **arguments)


@BACKENDS
def test_reductions_of_weighted_cross_entropy_have_the_weights_of_the_whole_batch(framework, worker):
    _, found = ask(worker, 'cross_entropies')
    assert len(found) == 4 * 3 * 2
    for name, got in found.items():
        if name.endswith('got'):
            assert_same(got, found[name.replace('got', 'want')], 'float32', name)


@BACKENDS
def test_helpers_of_the_statistics(framework, worker):
    dtypes, found = ask(worker, 'helpers')
    assert set(dtypes.values()) == {'float32'}
    root = [0, *(math.sqrt(x) for x in (0.1, 0.2, 0.5, 0.75, 2))]
    wanted = dict(
        floor=[0.2, 0.2, 0.2, 0.5, 0.75, 2],
        clip=[0.2, 0.2, 0.2, 0.5, 0.75, 0.75],
        power=root,
        largest=[2, 1],
        largest_kept=[[2], [2]],
        largest_below=-2.1,
        largest_of_none=np.zeros((2, 3)),
        largest_of_none_kept=np.zeros((2, 1, 3)),
        ratio=[1, 1, 1, 1, 1, 1],
        ratio_empty=[math.nan] * 6,
        minimum=[-1, 0.1, 0.2, 0.2, 0.1, -1],
    )
    for name, want in wanted.items():
        assert found[name].shape == np.shape(want), name
        np.testing.assert_allclose(found[name], want, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_jax_x64', 'keras_torch'))
def test_integers_that_the_backend_lacks_end_at_its_largest(framework, worker):
    widest, found = ask(worker, 'integers')
    narrow = framework == 'keras_jax'
    assert widest == ('int32' if narrow else 'int64')
    assert found['tensor'].tolist() == ([2**31 - 1, -(2**31), 7] if narrow else [2**40, -(2**40), 7])


@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_torch'))
def test_a_compiled_step_warns_that_nothing_can_look(framework, worker):
    (said,), _ = ask(worker, 'warned_of_compilation')
    who = {'keras_tensorflow': 'TensorFlow compiles this step with XLA', 'keras_torch': 'torch.compile compiles'}
    assert said.startswith(f'SEGPARITY_DEBUG=1: {who[framework]}')
    assert said.endswith('model.compile(jit_compile=False) raises the sentence that says what is wrong')


@pytest.mark.parametrize('framework', axis('keras_tensorflow'))
def test_the_ways_of_tensorflow_are_what_they_are_called(framework, worker):
    found, _ = ask(worker, 'ways_of_tensorflow')
    assert found == {
        'eager': [True, False, 6.0, [[3.0, 3.0]]],
        'graph': [False, False, 6.0, [[3.0, 3.0]]],
        'xla': [False, True, 6.0, [[3.0, 3.0]]],
    }


@BACKENDS
def test_a_loss_that_says_nothing_of_its_value_is_named(framework, worker):
    assert ask(worker, 'unfinished')[0] == 'Unfinished'


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_torch', 'keras_tensorflow'))
def test_fit_of_the_checks_takes_all_images_at_once(framework, worker):
    (fitted, evaluated, value), gradients = ask(worker, 'many_images_fit')
    assert_same([fitted, evaluated], [value, value], 'float32')
    assert_same(gradients['fit'], gradients['step'], 'float32_gradient')


@pytest.mark.parametrize('framework', axis('keras_torch'))
def test_a_tensor_without_values_is_not_looked_at(framework, worker):
    assert ask(worker, 'seen_elsewhere')[0] == [False, False]


@BACKENDS
def test_a_sum_with_a_foreign_loss_has_no_spec_and_may_be_a_part(framework, worker):
    found, _ = ask(worker, 'sums_with_a_foreign_loss')
    assert found['specs'] == [True, True, False]
    total, again, by_hand = found['values']
    assert_same(total, by_hand, 'float32')
    assert_same(again, total, 'exact')


@pytest.mark.slow
@pytest.mark.xdist_group('keras_torch')
@pytest.mark.parametrize(('few', 'least'), [(True, 200), pytest.param(False, 500, marks=pytest.mark.slow)])
def test_no_tensor_stays_on_the_cpu_where_keras_device_is_another(few, least):
    """As on a GPU: on the meta device a tensor of the CPU, or a look at a value, is an error."""
    need('keras_torch')
    with Worker('keras_torch', KERAS_TORCH_DEVICE='meta') as worker:
        (failed, ran), _ = worker.call('tests.losses.keras_parts:elsewhere', few=few)
    assert not failed and ran > least
