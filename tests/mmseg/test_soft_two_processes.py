"""Smoothed labels and a teacher under torchrun: two processes end with the weights of one."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import mmseg_plugin  # noqa: F401
from tests.mmseg.test_two_processes import SCRIPT, STEPS, weights
from tests.mmseg.tiny_training import config, logged, model
from tests.support.assertions import assert_same

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SCRIPT.is_file(), reason='this MMSegmentation came without its tools'),
    pytest.mark.xdist_group('soft_two_processes'),
]
LOSSES = [
    dict(type='WeightedCrossEntropyLoss', loss_weight=0.25),
    dict(type='JaccardMetricLoss', loss_weight=0.75, granularity={'D': 0.5, 'I': 0.5}),
]
HOOKS = dict(
    label_smoothing=dict(type='LabelSmoothingHook', epsilon=0.1),
    distillation=dict(type='BoundaryLabelSmoothingHook', epsilon=0.5),
)


def prepared(pictures, folder, name, teacher, **changes):
    student = model(LOSSES)
    student['auxiliary_head'] = dict(student['decode_head'], loss_decode=LOSSES[:1])
    distilled = dict(
        type='DistilledSegmentor',
        student=student,
        teacher=model(LOSSES),
        teacher_checkpoint=str(teacher),
        temperature=2.0,
    )
    return config(
        pictures,
        folder / name,
        None,
        iterations=STEPS,
        model=distilled if name == 'distillation' else student,
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.5)),
        custom_hooks=[HOOKS[name]],
        **changes,
    )


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    init_default_scope('mmseg')
    torch.manual_seed(4)
    path = tmp_path_factory.mktemp('teacher') / 'teacher.pth'
    torch.save(MODELS.build(model(LOSSES)).state_dict(), path)
    return path


@pytest.fixture(scope='module')
def two(pictures, teacher, tmp_path_factory, python):
    """The folder of the runs of two processes, each with batches of 2."""
    folder = tmp_path_factory.mktemp('two')
    changes = dict(
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None),
    )
    files = []
    for name in HOOKS:
        files.append(folder / f'{name}.py')
        Config(prepared(pictures, folder, name, teacher, **changes)).dump(files[-1])
    launch = ('-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2')
    commands = json.dumps([[str(SCRIPT), str(file), '--launcher', 'pytorch'] for file in files])
    python(*launch, Path(__file__).with_name('host_scripts.py'), commands)
    return folder


@pytest.mark.parametrize('name', HOOKS)
def test_the_weights_and_the_log_are_those_of_one_process(name, pictures, teacher, tmp_path, train, two):
    train(prepared(pictures, tmp_path, name, teacher, batch_size=4))
    assert_same(weights(two / name), weights(tmp_path / name), 'float32')
    assert logged(two / name) == pytest.approx(logged(tmp_path / name), rel=1e-5)
