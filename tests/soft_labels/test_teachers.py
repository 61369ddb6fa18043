"""What ``Distiller`` and ``MeanTeacher`` do alike: probabilities, NaN, other kinds of images, and what both refuse."""

import math

import numpy as np
import pytest

from tests.soft_labels.test_distiller import THREE
from tests.support.frameworks import axis


def ask(worker, function):
    return worker.call(f'tests.soft_labels.keras_teachers:{function}', None)


@THREE
def test_consistency_by_default_is_of_what_the_outputs_are(framework, worker):
    for name, (found, want) in ask(worker, 'probabilities')[0].items():
        assert found == pytest.approx(want, rel=1e-5) and want[0] > 0.01, name


@THREE
def test_terms_of_losses_of_keras(framework, worker):
    found, logits = ask(worker, 'of_keras_losses')
    z, taught = (logits[name].astype(np.float64) for name in ('student', 'teacher'))
    assert found['binary'] == pytest.approx(np.mean(np.log1p(np.exp(z)) - z / (1 + np.exp(-taught))), rel=1e-5)
    mean, total = found['sparse']
    assert total == pytest.approx(mean * z[..., 0].size, rel=1e-5)


@THREE
def test_a_teacher_that_says_nan(framework, worker):
    found = ask(worker, 'no_numbers')[0]
    counted, ignored = found['found']
    assert math.isnan(counted) and math.isfinite(ignored) and ignored > 0
    assert math.isnan(found['step'][0]) and found['step'][1] and math.isnan(found['mean_teacher'])


@THREE
def test_labelled_images_keep_their_fractions_beside_integers(framework, worker):
    _, together, alone = ask(worker, 'other_kinds_of_images')[0]
    assert together == pytest.approx(alone, rel=1e-5)


@THREE
def test_a_student_with_a_function_for_a_layer(framework, worker):
    _, found = ask(worker, 'with_a_function')
    np.testing.assert_array_equal(found['teacher'], found['student'])
    assert np.abs(found['student']).max() > 0.1


@pytest.mark.parametrize('framework', axis('keras_torch'))
def test_a_teacher_that_no_compiler_takes(framework, worker):
    assert ask(worker, 'without_a_compiler')[0] == [False, True]


@THREE
def test_weights_after_a_fit_that_failed(framework, worker):
    said, same, again = ask(worker, 'after_a_failure')[0]
    assert 'target must be (N, *space)' in said and same and again == 'nothing raised'


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax'))
def test_logits_taken_for_probabilities_are_nan_where_nobody_sees_them(framework, worker):
    assert math.isnan(ask(worker, 'unseen')[0])


REFUSED = {
    'logits': "ValueError: Distiller: teacher_from_logits must be False, for the teacher's output 'logits' comes from a "
    'softmax, got True',
    'logits_of_sequential': "ValueError: Distiller: teacher_from_logits must be False, for the teacher's output 'logits' "
    'comes from a softmax, got True',
    'logits_of_student': 'ValueError: MeanTeacher: teacher_from_logits must be False, as from_logits of JaccardMetricLoss '
    'in student_loss, got True',
    'activation': 'ValueError: Distiller: losses of one output must agree on activation, for they get the same '
    'probabilities of the teacher, got sigmoid and softmax',
    'maps': "ValueError: Distiller: student_loss must be one number, JaccardMetricLoss has reduction='none'",
    'maps_of_keras': 'ValueError: Distiller: student_loss must be one number, SparseCategoricalCrossentropy has '
    'reduction=None',
    'consistency': "ValueError: MeanTeacher: consistency_loss must be one number, JaccardMetricLoss has reduction='none'",
    'metrics': 'ValueError: Distiller: metrics must be a dictionary by the outputs main, aux, got [<MeanIoU',
    'two_inputs': 'TypeError: MeanTeacher: labelled images must be one array, got ',
    'weak': 'MeanTeacher: weak must keep the size of images (12, 12, 2), got (4, 4, 2)',
    'strong': 'MeanTeacher: strong must keep the size of images (12, 12, 2), got (4, 4, 2)',
    'probabilities': "ValueError: Distiller: the teacher's outputs must be probabilities where teacher_from_logits=False, "
    'got ',
}


@THREE
def test_what_both_refuse(framework, worker):
    found = ask(worker, 'refused')[0]
    assert REFUSED.keys() - found.keys() <= {'probabilities'} and found.keys() <= REFUSED.keys()
    for name, sentence in found.items():
        assert REFUSED[name] in sentence, name
