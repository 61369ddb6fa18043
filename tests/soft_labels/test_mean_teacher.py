"""``MeanTeacher``: its losses and its teacher by hand, who answers, files, data, and what is refused."""

import numpy as np
import pytest

from shared_spec import LOSSES
from tests.soft_labels.test_distiller import THREE, loaded_without_us, softmax
from tests.support.frameworks import axis

EVERY = pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))


def ask(worker, function, arrays=None, **arguments):
    return worker.call(f'tests.soft_labels.keras_mean_teacher:{function}', arrays, **arguments)


def assert_consistency_by_hand(logs, found):
    logits, other, taught = (np.moveaxis(found[k].astype(np.float64), -1, 1) for k in ('logits', 'other', 'taught'))
    jaccard = LOSSES['JaccardMetricLoss'](smooth=1.0)
    label = jaccard.reference(logits, found['y'])
    soft = softmax(taught / 0.5)
    sure = (soft.max(1) >= 0.6) * 1.0
    assert 0.2 < sure.mean() < 0.95
    pixels = -(soft * np.log(softmax(other))).sum(1)
    consistency = 0.25 * (sure * pixels).sum() / sure.sum() + 0.75 * jaccard.reference(other, soft, sure)
    assert logs['label_loss'] == pytest.approx([label] * 6, rel=1e-5)
    assert logs['consistency_loss'] == pytest.approx([consistency] * 6, rel=1e-5)
    share = [np.exp(-5 * (1 - min(step / 4, 1)) ** 2) for step in range(6)]
    assert logs['loss'] == pytest.approx([label + 2 * s * consistency for s in share], rel=1e-5)


@THREE
def test_the_loss_is_the_sum_written_out(framework, worker):
    assert_consistency_by_hand(*ask(worker, 'consistency'))


@pytest.mark.slow
@EVERY
def test_a_compiled_step(framework, worker):
    assert_consistency_by_hand(*ask(worker, 'consistency', compiled=True))


@THREE
def test_one_channel(framework, worker):
    found, want = ask(worker, 'one_channel')[0]
    assert found == pytest.approx(want, rel=1e-5) and want > 0.01


@THREE
def test_the_teacher_is_the_mean_of_the_student_s_past(framework, worker):
    (number, trained, steps), found = ask(worker, 'followed')
    assert trained and steps == 4 and number == 8
    moved = 0
    for k in range(number):
        student = [found[f'{step}/{k}'].astype(np.float64) for step in range(5)]
        want = (student[0] + student[1]) / 2  # 1 - 1 / (1 + 1)
        for step in (2, 3, 4):
            m = min(0.6, 1 - 1 / (step + 1))  # 0.6 in place of 2/3 and more
            want = m * want + (1 - m) * student[step]
        np.testing.assert_allclose(found[f'teacher/{k}'], want, rtol=1e-5, atol=1e-6)
        moved += np.abs(want - student[4]).max() > 1e-4
    assert moved >= 6  # moving statistics among them


@THREE
def test_training_that_stops_and_goes_on(framework, worker):
    (whole, parts), weights = ask(worker, 'resumed')
    assert parts == whole and len(set(whole)) == 3
    names = [name for name in weights if name.startswith('whole')]
    assert len(names) == 17  # those of two networks, and the step
    for name in names:
        np.testing.assert_array_equal(weights[name.replace('whole', 'parts')], weights[name], err_msg=name)


def assert_who_answers(names, found):
    for who, other in (('teacher', 'student'), ('student', 'teacher')):
        trained, tested = names[who]
        assert trained == ['consistency_loss', 'label_loss', 'loss', 'mIoUD']
        assert tested == ['label_loss', 'loss', 'mIoUD']
        np.testing.assert_array_equal(found[f'{who}/model'], found[f'{who}/{who}'])
        np.testing.assert_allclose(found[f'{who}/file'], found[f'{who}/model'], rtol=1e-5, atol=1e-6)
        assert np.abs(found[f'{who}/model'] - found[f'{who}/{other}']).max() > 1e-3
        assert found[f'{who}/loss'][0] == pytest.approx(found[f'{who}/loss'][1], rel=1e-5)


@THREE
def test_who_answers(framework, worker):
    assert_who_answers(*ask(worker, 'answers'))


@pytest.mark.slow
@EVERY
def test_save_writes_a_plain_model(framework, worker, tmp_path):
    names, found = ask(worker, 'answers', path=str(tmp_path / 'teacher.keras'))
    assert_who_answers(names, found)
    images = np.random.default_rng([0, True]).normal(size=(2, 12, 12, 2)).astype('float32')
    got = loaded_without_us(framework, tmp_path / 'teacher.keras', images)
    np.testing.assert_allclose(got, found['teacher/teacher'], rtol=1e-5, atol=1e-6)


LONGER = dict(more=[[0, 0, 0], [1, 1, -1], [0, 2, 0]], fewer=[[0, 0, 0], [1, 1, -1], [2, 0, -2]])


@pytest.mark.parametrize('framework', axis('keras_torch'))
def test_batches_of_two_data_sets(framework, worker):
    assert ask(worker, 'together')[0] == {**LONGER, 'weight': 5}


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_tensorflow'))
def test_two_pipelines(framework, worker):
    found = ask(worker, 'pipelines')[0]
    unknown = found.pop('unknown')
    assert found == {**LONGER, 'endless': [[0, 0, 0], [1, 1, -1], [0, 0, 0]]}
    assert unknown.startswith('ValueError: semi_supervised: labelled must have a batch and a known number of them')


REFUSED = {
    'momentum': 'SpecError: MeanTeacher: momentum must be a number >= 0 and < 1, got 1.0',
    'threshold': 'SpecError: MeanTeacher: confidence_threshold must be a number >= 0 and <= 1',
    'steps': 'SpecError: MeanTeacher: ramp_up_steps must be an integer >= 0, got 0.5',
    'answers': "SpecError: MeanTeacher: answers must be one of 'teacher', 'student', got 'both'",
    'view': "SpecError: MeanTeacher: weak must be a Keras layer or a function of images, got 'flip'",
    'plain': 'TypeError: MeanTeacher: fit takes batches of labelled and unlabelled images, which semi_supervised makes',
    'sizes': 'ValueError: MeanTeacher: labelled and unlabelled images must have one size, got (12, 12, 2) and (10, 10, 2)',
    'temperature': 'ValueError: MeanTeacher: consistency_loss: DistillationKLLoss must have the temperature 1 of the '
    'MeanTeacher, got 3',
    'loss': 'TypeError: MeanTeacher: compile takes student_loss and consistency_loss, got loss_weights',
    'data': 'TypeError: semi_supervised: labelled and unlabelled must be two PyDatasets or two tf.data.Datasets, got '
    'ndarray and ndarray',
    'batch': 'TypeError: semi_supervised: a labelled batch must be (x, y) or (x, y, sample_weight), got ndarray',
    'empty': 'ValueError: semi_supervised: labelled must have a batch and a known number of them, got 0',
    'file': 'NotImplementedError: MeanTeacher: save() writes a plain model',
}


@THREE
def test_what_a_mean_teacher_refuses(framework, worker):
    found = ask(worker, 'refused')[0]
    assert found.keys() == REFUSED.keys()
    for name, sentence in REFUSED.items():
        assert sentence in found[name], name
