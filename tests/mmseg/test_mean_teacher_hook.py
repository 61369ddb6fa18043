"""``MeanTeacherHook`` and ``SemiSupervisedSampler``: when the teacher starts, what they take, and what does not go with them."""

import itertools

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.registry import init_default_scope
from mmengine.runner import EpochBasedTrainLoop
from mmseg.registry import DATA_SAMPLERS, HOOKS, MODELS
from torch.utils.data import DataLoader

import mmseg_plugin  # noqa: F401
from tests.mmseg.tiny_training import IGNORED, model


@pytest.fixture(scope='module', autouse=True)
def scope():
    """MMEngine builds preprocessors by its own registry, which finds those of MMSegmentation from this scope."""
    init_default_scope('mmseg')


def built():
    student = model(dict(type='JaccardMetricLoss', ignore_index=IGNORED))
    return MODELS.build(dict(type='MeanTeacherSegmentor', student=student))


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        (dict(momentun=0.1), "unknown parameter 'momentun', did you mean 'momentum'"),
        (dict(begin_iteration=1), "unknown parameter 'begin_iteration', did you mean 'begin_iter'"),
        (dict(ema_type='ExponentialMovingAverage', gamma=2), "unknown parameter 'gamma'"),
        (dict(ema_type='StochasticWeightAverage'), 'ema_type must be an average with a momentum'),
        (dict(interval=0), 'interval must be an integer >= 1'),
    ],
)
def test_parameters_of_the_hook(given, words):
    with pytest.raises(ValueError, match=f'MeanTeacherHook: {words}'):
        HOOKS.build(dict(type='MeanTeacherHook', **given))


@pytest.mark.parametrize('given', [dict(ema_type='ExponentialMovingAverage'), dict(gamma=3, begin_iter=2)])
def test_the_hook_takes_what_its_average_takes(given):
    student = built()
    hook = HOOKS.build(dict(type='MeanTeacherHook', **given))
    hook.before_run(type('Runner', (), dict(model=student)))
    assert type(hook.ema_model).__name__ == given.get('ema_type', 'MomentumAnnealingEMA')


def loop(model_, *hooks, loader=None):
    """As much of a runner as ``before_train`` of the hook sees."""
    given = dict(model=model_, hooks=hooks, max_iters=4, train_dataloader=loader, train_loop=None)
    return type('Runner', (), given)


def test_the_teacher_starts_as_the_student():
    """MMEngine initialises and loads weights after ``before_run``, which makes the teacher."""
    student, hook = built(), HOOKS.build(dict(type='MeanTeacherHook'))
    hook.before_run(loop(student, hook))
    with torch.no_grad():
        student.decode_head.conv_seg.weight.fill_(0.25)
    hook.before_train(loop(student, hook))
    assert (hook.ema_model.module.decode_head.conv_seg.weight == 0.25).all()
    hook.ema_model.steps.fill_(3)  # as of a run that goes on
    student.decode_head.conv_seg.weight.data.fill_(0.5)
    hook.before_train(loop(student, hook))
    assert (hook.ema_model.module.decode_head.conv_seg.weight == 0.25).all()


def test_a_second_average_is_refused():
    """Both would swap their weights with the student's before validation, which has others afterwards."""
    student, hook = built(), HOOKS.build(dict(type='MeanTeacherHook'))
    hook.before_run(loop(student))
    with pytest.raises(ValueError, match='MeanTeacherHook is an EMAHook, and EMAHook a second one'):
        hook.before_train(loop(student, hook, HOOKS.build(dict(type='EMAHook'))))


def test_test_time_augmentation_finds_the_model():
    hook, student = HOOKS.build(dict(type='MeanTeacherHook')), built()
    hook.before_run(loop(MODELS.build(dict(type='SegTTAModel', module=student))))
    assert student.consistency.teacher.network is hook.ema_model.module.module


def test_batches_of_the_loader_are_those_of_the_sampler():
    mixed = ConcatDataset([Images(ann_file='5'), Images(ann_file='7')])
    sampler = DATA_SAMPLERS.build(dict(type='SemiSupervisedSampler', dataset=mixed, batch_size=4))
    student, hook = built(), HOOKS.build(dict(type='MeanTeacherHook'))
    hook.before_run(loop(student))
    hook.before_train(loop(student, loader=DataLoader(mixed, 4, sampler=sampler)))
    with pytest.raises(
        ValueError, match='SemiSupervisedSampler: batch_size must be that of train_dataloader, 3, got 4'
    ):
        hook.before_train(loop(student, loader=DataLoader(mixed, 3, sampler=sampler)))
    epochs = loop(student, loader=DataLoader(mixed, 4, sampler=sampler))
    epochs.train_loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    with pytest.raises(
        ValueError, match='SemiSupervisedSampler: draws without end, give train_cfg an IterBasedTrainLoop'
    ):
        hook.before_train(epochs)


class Images(BaseDataset):
    def load_data_list(self):
        return [dict(number=number) for number in range(int(self.ann_file))]


def test_batches_of_the_sampler():
    mixed = ConcatDataset([Images(ann_file='5'), Images(ann_file='7')])
    sampler = DATA_SAMPLERS.build(dict(type='SemiSupervisedSampler', dataset=mixed, batch_size=4, labelled=1, seed=3))
    drawn = list(itertools.islice(sampler, 4 * 35))
    batches = np.reshape(drawn, (-1, 4))
    assert (batches[:, 0] < 5).all() and (batches[:, 1:] >= 5).all() and batches.max() == 11
    assert sorted(batches[:5, 0]) == [0, 1, 2, 3, 4] and np.unique(batches[:7, 1:]).size == 7
    assert list(itertools.islice(sampler, 4 * 35)) == drawn
    for wrong, words in (
        (dict(batch_size=1), 'batch_size must be an integer >= 2'),
        (dict(batch_size=4, labeled=2), "unknown parameter 'labeled', did you mean 'labelled'"),
        (dict(batch_size=4, seed='1'), 'seed must be an integer, or None'),
        (dict(), 'batch_size must be given'),
        (dict(batch_size=4, labelled=4), 'labelled must leave room for unlabelled images'),
        (
            dict(batch_size=4, dataset=Images(ann_file='5')),
            'must be a ConcatDataset of labelled and of unlabelled images',
        ),
    ):
        with pytest.raises(ValueError, match=words):
            DATA_SAMPLERS.build({**dict(type='SemiSupervisedSampler', dataset=mixed), **wrong})
