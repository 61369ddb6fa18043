"""What is Keras' own: signatures, saving, sample weights, precision, a strategy; in one process per backend."""

import pytest

from segparity.parity.frameworks import Worker, missing_sentence
from shared_spec import LOSSES
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

HOST = dict(name=None, reduction='sum_over_batch_size', dtype=None)
pytestmark = pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))


def ask(worker, function, arrays=None, **arguments):
    return worker.call(f'tests.losses.keras_calls:{function}', arrays, **arguments)


def test_signature_is_the_spec_s(framework, worker):
    found, _ = ask(worker, 'signatures')
    for name, cls in LOSSES.items():
        want = {f.metadata['keras_name'] or k: f.metadata['keras_default'] for k, f in cls.parameters().items()}
        want = {k: list(v) if isinstance(v, tuple) else v for k, v in want.items()}  # as it comes from the worker
        host = {**HOST, 'layer': None} if cls.learnt else HOST
        assert {k: v for k, v in found[name].items() if k not in host} == want
        assert {k: found[name][k] for k in host} == host


@pytest.mark.parametrize('name', list(LOSSES))
def test_configuration_round_trip(name, framework, worker):
    assert ask(worker, 'round_trip', name=name)[0] == dict(complete=True, same=True, dtype='float64')


@pytest.mark.slow
@pytest.mark.slow_on('keras_tensorflow')
def test_saved_models_of_every_loss_reload_in_another_process(framework, worker, tmp_path):
    values = ask(worker, 'save', folder=str(tmp_path))[0]
    assert set(values) == set(LOSSES)
    with Worker('keras_torch' if not missing_sentence('keras_torch') else framework) as other:  # and on another backend
        loaded = ask(other, 'load', folder=str(tmp_path))[0]
    for name in LOSSES:
        assert_same(loaded[name], values[name], 'float32', name)


@pytest.mark.slow
@pytest.mark.slow_on('keras_tensorflow')
def test_fit_learns_nu_of_robust_t_and_the_file_keeps_it(framework, worker, tmp_path):
    path = str(tmp_path / 'robust.keras')
    found = ask(worker, 'learn_nu', path=path)[0]
    start, trained, loaded, trained_further, left_alone = found['nus']
    assert_same(start, 2.0, 'float32')
    assert abs(trained - start) > 1e-2
    assert loaded == trained and trained_further != loaded and left_alone == trained
    assert found['history'][-1] < found['history'][0]
    assert_same(found['values'][1], found['values'][0], 'float32')
    assert found['own']
    with Worker(framework) as other:
        assert ask(other, 'learnt_nu', path=path)[0] == dict(nu=trained, own=True)


def test_a_nu_of_robust_t_that_fit_could_not_train_is_refused(framework, worker):
    found = ask(worker, 'wrong_layers')[0]
    assert found['none'].startswith(
        'SpecError: RobustTLoss: learn_nu=True needs layer, a keras_plugin.layers.DegreesOf'
    )
    assert found['kind'].startswith('SpecError: RobustTLoss: layer must be a DegreesOfFreedom layer or the name of one')
    assert found['fixed'] == 'SpecError: RobustTLoss: layer is given, which trains nu, but learn_nu is False'
    assert found['start'].startswith("SpecError: RobustTLoss: nu=3 contradicts the layer 'alone', where nu starts at 1")
    for key, name in (('unbuilt', 'alone'), ('unknown', 'nobody')):
        assert found[key].startswith(
            f'ValueError: RobustTLoss: no model has called the DegreesOfFreedom layer {name!r}'
        )
    assert found['nu'].startswith('SpecError: DegreesOfFreedom: nu must be a number > 0')


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
    assert found['sum_positions'].startswith('TypeError: ') and 'positional argument' in found['sum_positions']


def test_sample_weight_of_jaccard_metric_acts_on_pixels_and_images(framework, worker):
    alone, by_image, by_pixel, by_pixel1 = ask(worker, 'sample_weights')[0]
    for value in (by_image, by_pixel, by_pixel1):
        assert_same(value, alone, 'float32')


def test_label_257_survives_bfloat16(framework, worker):
    exact, half = ask(worker, 'many_classes_in_half_precision')[0]
    assert exact < 0.1
    assert_same(half, exact, 'bfloat16')


def test_weighted_sum_takes_losses_without_their_name(framework, worker):
    unnamed, named = ask(worker, 'unnamed_losses')[0]
    assert unnamed == named


def test_weighted_sum_takes_losses_of_keras(framework, worker):
    total, by_hand, again = ask(worker, 'foreign_part')[0]
    assert_same(total, by_hand, 'float32')
    assert_same(again, total, 'exact')


def test_sizes_unknown_before_the_call(framework, worker):
    compiled, direct = ask(worker, 'unknown_sizes')[0]
    assert_same(compiled, direct, 'float32')
