"""``Distiller``: a step by hand, JDTLosses' recipe, the teacher that stays, files, and what is refused."""

import os
import subprocess
import sys

import numpy as np
import pytest

from segparity.parity.frameworks import FRAMEWORKS
from shared_spec import LOSSES
from shared_spec.recalibration import DirichletRecalibration
from tests.soft_labels.test_page_blocks import recipe, region
from tests.support.frameworks import axis

SLOW = [
    pytest.param(*param.values, marks=[*param.marks, pytest.mark.slow])
    for param in axis('keras_tensorflow', 'keras_jax')
]
THREE = pytest.mark.parametrize('framework', [*axis('keras_torch'), *SLOW])


def ask(worker, function, arrays=None, **arguments):
    return worker.call(f'tests.soft_labels.keras_distiller:{function}', arrays, **arguments)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def enlarged(z):
    """(N, C, H, W) of twice the sides: bilinear by half pixels, at the border the nearest pixel."""
    for axis_of in (2, 3):
        n = z.shape[axis_of]
        at = np.clip((np.arange(2 * n) + 0.5) / 2 - 0.5, 0, n - 1)
        low = np.floor(at).astype(int)
        share = np.reshape(at - low, (-1, 1) if axis_of == 2 else (-1,))
        high = np.minimum(low + 1, n - 1)
        z = np.take(z, low, axis_of) * (1 - share) + np.take(z, high, axis_of) * share
    return z


def recalibrated(found, z):
    """Logits (N, C, H, W) of the teacher, those of its recalibrated probabilities where ``found`` has a recalibration."""
    if 'recalibration' not in found:
        return z
    y, prob = found['labels'], found['recalibration'].recalibrate(softmax(z))
    doubtful = z.argmax(1) != y
    for n, i, j in np.ndindex(y.shape):
        window = y[n, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        doubtful[n, i, j] |= len(np.unique(window)) > 1 and 255 not in window
    if found['recalibration'].pixels == 'doubtful':
        assert not doubtful[y != 255].all()
    else:
        doubtful[:] = True
    return np.where(doubtful[:, None], np.log(np.maximum(prob, np.finfo(np.float32).tiny)), z)


def losses_by_hand(found, bias, t=2.0):
    """The loss on labels and that on the teacher, of logits to which ``bias`` (C,) is added."""
    logits, teacher = (np.moveaxis(found[name].astype(np.float64), -1, 1) for name in ('logits', 'teacher'))
    logits, teacher = logits + np.reshape(bias, (1, -1, 1, 1)), softmax(recalibrated(found, enlarged(teacher)) / t)
    y, w = found['labels'], np.where(found['labels'] == 255, 0, found['weight'].astype(np.float64))
    own = np.take_along_axis(np.log(softmax(logits)), np.where(y == 255, 0, y)[:, None], 1)[:, 0]
    jaccard = LOSSES['JaccardMetricLoss'](smooth=1.0, ignore_index=255)
    label = 0.25 * -(w * own).sum() / w.sum() + 0.75 * jaccard.reference(logits, y, w)
    divergence = (teacher * (np.log(teacher) - np.log(softmax(logits / t)))).sum(1)
    taught = 0.25 * t**2 * (w * divergence).sum() / w.sum() + 0.75 * jaccard.reference(logits, teacher, w)
    return label, taught


def weighted(found, bias):
    label, taught = losses_by_hand(found, bias)
    return 0.3 * label + 0.7 * taught


def assert_a_step_by_hand(found, logged):
    label, taught = losses_by_hand(found, np.zeros(3))
    for logs in logged:
        assert logs['label_loss'] == pytest.approx(label, rel=1e-5)
        assert logs['teacher_loss'] == pytest.approx(taught, rel=1e-5)
        assert logs['loss'] == pytest.approx(0.3 * label + 0.7 * taught, rel=1e-5)
    slopes = [(weighted(found, e) - weighted(found, -e)) / 2e-6 for e in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(found['change'], -np.array(slopes), rtol=1e-3, atol=1e-6)


@THREE
def test_a_step_is_the_sum_written_out(framework, worker):
    logged, found = ask(worker, 'step')
    assert_a_step_by_hand(found, logged)


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_a_compiled_step(framework, worker):
    logged, found = ask(worker, 'step', compiled=True)
    assert_a_step_by_hand(found, logged)


@THREE
@pytest.mark.parametrize('pixels', ['all', 'doubtful'])
def test_a_recalibrated_teacher(pixels, framework, worker):
    rng = np.random.default_rng(0)
    keys = dict(prob=rng.dirichlet(np.ones(3), size=20), labels=rng.integers(3, size=20))
    logged, found = ask(worker, 'step', keys, pixels=pixels, compiled=framework != 'keras_torch')
    made = DirichletRecalibration(keys['prob'], keys['labels'], bandwidth=0.2, pixels=pixels)
    assert_a_step_by_hand({**found, 'recalibration': made}, logged)


@pytest.mark.parametrize('framework', axis('keras_torch'))
def test_recalibrations_that_do_not_fit(framework, worker):
    found = ask(worker, 'recalibrations')[0]
    assert np.isfinite(found.pop('trains'))
    assert "the teacher's outputs must be probabilities where teacher_from_logits=False, got " in found.pop('logits')
    assert found == {
        'kind': 'TypeError: Distiller: recalibration must be a DirichletRecalibration, got int',
        'classes': "ValueError: Distiller: recalibration of output 'logits' must have its 3 classes, its keys have 2",
        'output': "ValueError: Distiller: recalibration must be a dictionary by the outputs logits, got one of 'mian'",
        'sigmoid': "ValueError: Distiller: recalibration is of a softmax over the classes, and output 'logits' has a sigmoid",
        'several': "ValueError: Distiller: recalibration must be a dictionary by the outputs main, aux, got one of 'logits'",
    }


WIDE = [pytest.param(*param.values, marks=[*param.marks, pytest.mark.slow]) for param in axis('keras_tensorflow', 'keras_jax_x64')]  # fmt: skip


@pytest.mark.parametrize('framework', [*axis('keras_torch'), *WIDE])
def test_jdtlosses_recipe(framework, worker):
    case = recipe('kd')
    name, params = region(case)
    assert name == 'JaccardMetricLoss' and 'float64' in FRAMEWORKS[framework]['precisions']
    p = case.params
    weights = dict(
        main=p['ce_weight'] * p['main_weight'],
        aux=p['ce_weight'] * p['aux_weight'],
        regions=p['jdt_weight'],
        label=p['label_weight'],
        teacher=p['teacher_weight'],
    )
    names = ('logits', 'aux_logits', 'teacher_logits', 'aux_teacher_logits', 'label')
    given = {name: case.arrays[name] for name in names}
    loss, gradients = ask(worker, 'golden', given, weights=weights, temperature=p['T'], **params)
    case.assert_close(loss, 'loss')
    for name, gradient in gradients.items():
        case.assert_close(gradient, name)


@THREE
def test_the_teacher_stays(framework, worker):
    assert ask(worker, 'frozen')[0] == dict(same=True, trained=0, written=0, read=True)


@THREE
def test_files_of_weights_have_the_student_and_its_seeds(framework, worker):
    found = ask(worker, 'weights_file')[0]
    assert found['seeds'] == 1 and found['number'] == found['of_student'] + found['seeds']


@THREE
def test_pixels_that_do_not_count(framework, worker):
    found = ask(worker, 'ignored')[0]
    counted = found.pop('counted')
    assert abs(counted[0] - counted[1]) > 1e-3
    for name, (own, other) in found.items():
        assert own == pytest.approx(other, rel=1e-6), name


PLAIN = """
import sys, keras, numpy
model = keras.saving.load_model(sys.argv[1])
assert not any(name.startswith(('keras_plugin', 'shared_spec')) for name in sys.modules)
found = model.predict(numpy.load(sys.argv[2]), verbose=0)
numpy.save(sys.argv[3], found['main'] if isinstance(found, dict) else found)
"""


def loaded_without_us(framework, model, images):
    """The predictions of a saved model in a process that has nothing of this package."""
    folder = model.parent
    np.save(folder / 'images.npy', images)
    environment = dict(os.environ, KERAS_BACKEND=FRAMEWORKS[framework]['backend'], CUDA_VISIBLE_DEVICES='')
    paths = [str(model), str(folder / 'images.npy'), str(folder / 'found.npy')]
    subprocess.run([sys.executable, '-c', PLAIN, *paths], env=environment, cwd=folder, check=True, capture_output=True)
    return np.load(folder / 'found.npy')


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_save_writes_a_plain_student(framework, worker, tmp_path):
    sentence, found = ask(worker, 'saved', path=str(tmp_path / 'student.keras'))
    assert sentence.startswith('NotImplementedError: Distiller: save() writes a plain model')
    images = np.random.default_rng(0)
    images.integers(3, size=(4, 12, 12)), images.uniform(0.2, 2, size=(4, 12, 12))  # as the worker draws
    images = images.normal(size=(4, 12, 12, 2)).astype('float32')
    got = loaded_without_us(framework, tmp_path / 'student.keras', images)
    np.testing.assert_allclose(got, found['main'], rtol=1e-5, atol=1e-6)


@THREE
def test_training_that_stops_and_goes_on(framework, worker):
    (whole, parts), weights = ask(worker, 'resumed')
    assert parts == whole and len(set(whole)) == 3
    names = [name for name in weights if name.startswith('whole')]
    assert len(names) == 8
    for name in names:
        np.testing.assert_array_equal(weights[name.replace('whole', 'parts')], weights[name], err_msg=name)


@pytest.mark.parametrize('framework', axis('keras_torch'))
def test_what_losses_become_on_a_teacher(framework, worker):
    found = ask(worker, 'terms')[0]
    assert found['names'] == ['keras', 'region', 'sum'] and found['same'] and found['weights'] == [3]
    assert found['kl'] == [['DistillationKLLoss', 4, 0.5, True], ['DistillationKLLoss', 4, 1, True]]
    assert found['said'] == 2 * ['Distiller: LovaszSoftmaxLoss takes class ids alone, and has no teacher term']


@THREE
def test_a_branched_student(framework, worker):
    found = ask(worker, 'branched')[0]
    assert found['found'] == pytest.approx(found['want'], rel=1e-4)


@THREE
def test_an_output_without_labels(framework, worker):
    found, want = ask(worker, 'without_labels')[0]
    assert found == pytest.approx(want, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_mixed_precision(framework, worker):
    single, *halves = ask(worker, 'half')[0]
    assert halves == pytest.approx([single] * 2, rel=2e-2) and single not in halves


REFUSED = {
    'no_labels': 'ValueError: Distiller: training and evaluation need labels, got none',
    'no_model': 'TypeError: Distiller: teacher must be a keras.Model, got str',
    'no_weights': 'ValueError: Distiller: student must have its weights: give it an Input, or call it on images first',
    'same': 'ValueError: Distiller: teacher and student must share no variable, both have ',
    'temperature': 'SpecError: Distiller: temperature must be a number > 0, got 0',
    'weight': 'SpecError: Distiller: teacher_weight must be a number >= 0, got -1',
    'loss': 'TypeError: Distiller: compile takes student_loss and distillation_loss, got loss',
    'no_loss': 'TypeError: Distiller: student_loss must be a loss object, or a dictionary of them by outputs '
    "(WeightedSumLoss adds losses up), got 'mse'",
    'classes': "ValueError: Distiller: output 'logits' of teacher and student must have as many classes, got shapes "
    '(?, 12, 12, 5) and (?, 12, 12, 3)',
    'axes': "ValueError: Distiller: output 'logits' of teacher and student must have as many axes, got shapes "
    '(?, 288) and (?, 12, 12, 3)',
    'outputs': "ValueError: Distiller: the teacher has no output 'main', there are logits",
    'by_name': 'ValueError: Distiller: student_loss must be a dictionary by the outputs main, aux, got <',
    'no_names': 'ValueError: Distiller: student_loss must be one loss, for the student has outputs without names, '
    'got a dictionary of main',
    'unknown': "ValueError: Distiller: student_loss: no output is named 'edge', there are main, aux",
    'two_ignored': 'ValueError: Distiller: student_loss ignores 7 and 255; ignore_class must say which the teacher does',
    'hard': 'ValueError: Distiller: no loss of student_loss takes soft labels; give distillation_loss one that does',
    'hard_given': 'ValueError: Distiller: distillation_loss must take soft labels and need nothing else, '
    'LovaszSoftmaxLoss does not',
    'temperatures': 'ValueError: Distiller: distillation_loss: DistillationKLLoss must have the temperature 2 of the '
    'Distiller, got 1',
    'twice': "ValueError: Distiller: distillation_loss gets the teacher's probabilities, so DistillationKLLoss must have "
    'teacher_from_logits=False, got True',
}


@THREE
def test_what_a_distiller_refuses(framework, worker):
    found = ask(worker, 'refused')[0]
    assert found.keys() == REFUSED.keys()
    for name, sentence in REFUSED.items():
        assert found[name].startswith(sentence) and '\n' not in found[name], name
