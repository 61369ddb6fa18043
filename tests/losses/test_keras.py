"""What is Keras' own: signatures, saving, sample weights, precision, a strategy; in one process per backend."""

import pytest

from segparity.parity.frameworks import Worker, missing
from shared_spec import LOSSES
from tests.support.frameworks import axis
from tests.support.same import assert_same

HOST = {'name', 'reduction', 'dtype'}
pytestmark = pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))


def ask(worker, function, arrays=None, **arguments):
    return worker.call(f'tests.losses.keras_calls:{function}', arrays, **arguments)


def test_signature_is_the_spec_s(framework, worker):
    found, _ = ask(worker, 'signatures')
    for name, cls in LOSSES.items():
        want = {f.metadata['keras_name'] or k: f.metadata['keras_default'] for k, f in cls.parameters().items()}
        assert {k: v for k, v in found[name].items() if k not in HOST} == want
        assert {k: found[name][k] for k in HOST} == dict(name=None, reduction='sum_over_batch_size', dtype=None)


@pytest.mark.parametrize('name', list(LOSSES))
def test_configuration_round_trip(name, framework, worker):
    assert ask(worker, 'round_trip', name=name)[0] == dict(complete=True, same=True, dtype='float64')


def test_saved_models_reload_in_another_process(framework, worker, tmp_path):
    saved = {name: str(tmp_path / f'{name}.keras') for name in ('CompatibleTverskyLoss', 'WeightedSumLoss')}
    values = {name: ask(worker, 'save', name=name, path=path)[0] for name, path in saved.items()}
    with Worker('keras_torch' if not missing('keras_torch') else framework) as other:  # and on another backend
        for name, path in saved.items():
            assert_same(ask(other, 'load', path=path)[0], values[name], 'float32', name)


def test_wrong_input_gets_one_sentence(framework, worker):
    found, _ = ask(worker, 'errors')
    assert found['typo'] == "SpecError: JaccardMetricLoss: unknown parameter 'smoth', did you mean 'smooth'?"
    assert found['ignore'] == "SpecError: JaccardMetricLoss: ignore_class must be an integer, or None, got 'x'"
    assert (
        found['mmseg_name']
        == "SpecError: JaccardMetricLoss: unknown parameter 'ignore_index', did you mean 'ignore_class'?"
    )
    assert found['reduction'].startswith('SpecError: JaccardMetricLoss: reduction must be one of')
    want = 'ValueError: JaccardMetricLoss: target must be (N, *space) = (2, 4, 5) to match pred (N, *space, C) = (2, 4, 5, 3), got (2, 3, 5)'
    assert found['shape'] == want
    assert found['dtype'] == 'TypeError: JaccardMetricLoss: y_pred must be floating point, got int32'
    assert found['weight'].startswith(
        'ValueError: JaccardMetricLoss: weight must be one number per pixel (2, 4, 5) or per image (2,)'
    )
    assert found['sum'].startswith('SpecError: WeightedSumLoss: losses must be a list of losses')
    assert "did you mean 'SoftDiceLoss'" in found['sum_name']


def test_sample_weight_acts_on_pixels_and_images(framework, worker):
    alone, by_image, by_pixel, by_pixel1 = ask(worker, 'sample_weights')[0]
    for value in (by_image, by_pixel, by_pixel1):
        assert_same(value, alone, 'float32')


def test_label_257_survives_bfloat16(framework, worker):
    exact, half = ask(worker, 'many_classes_in_half_precision')[0]
    assert exact < 0.1
    assert_same(half, exact, 'bfloat16')


@pytest.mark.parametrize('policy', ['mixed_bfloat16', 'mixed_float16'])
def test_mixed_precision_trains(policy, framework, worker):
    losses, _ = ask(worker, 'mixed_precision', policy=policy)
    assert losses[-1] < losses[0] < 10


def test_weighted_sum_takes_losses_of_keras(framework, worker):
    total, by_hand, again = ask(worker, 'foreign_part')[0]
    assert_same(total, by_hand, 'float32')
    assert_same(again, total, 'exact')


def test_sizes_unknown_before_the_call(framework, worker):
    compiled, direct = ask(worker, 'unknown_sizes')[0]
    assert_same(compiled, direct, 'float32')
