"""The configurations of ``configs/soft_labels``: those of the demo train, stop and go on; those of Cityscapes build."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_plugin  # noqa: F401
from mmseg_plugin.soft_labels.heads import give_soft_labels
from mmseg_plugin.soft_labels.teacher import Teacher, model_config
from tests.mmseg import test_demo_configs
from tests.mmseg.test_demo_configs import data, shortened  # noqa: F401  a fixture
from tests.mmseg.tiny_training import logged

FOLDER = Path(__file__).parents[2] / 'configs/soft_labels'
NAMES = ['label_smoothing', 'boundary_label_smoothing', 'distillation']
TERMS = {'distillation': 'decode.teacher.loss_jaccard_metric'}


@pytest.fixture
def short(data, monkeypatch, tmp_path):  # noqa: F811
    """A config of a few steps; of a distillation, with a teacher that has trained none."""
    monkeypatch.setattr(test_demo_configs, 'DEMO', FOLDER)
    monkeypatch.setattr(Config, 'pretty_text', property(lambda self: json.dumps(self._cfg_dict)))  # a host's, slow

    def make(name, work_dir, **changes):
        config = shortened(f'digits_unet_{name}', data, tmp_path / work_dir, **changes)
        if name == 'distillation':
            init_default_scope('mmseg')
            torch.manual_seed(2)
            teacher = MODELS.build(model_config('teacher', config.model.teacher))
            torch.save(teacher.state_dict(), tmp_path / 'teacher.pth')
            config.model.teacher_checkpoint = str(tmp_path / 'teacher.pth')
        return config

    return make


@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES)
def test_trains_resumes_and_is_evaluated(name, short, train, tmp_path):
    runner = train(short(name, 'whole'))
    checkpoint = str(tmp_path / 'whole' / 'iter_2.pth')
    rest = train(short(name, 'rest', load_from=checkpoint, resume=True))
    for term in ('loss', TERMS.get(name, 'decode.loss_jaccard_metric')):
        want, got = (logged(tmp_path / folder, term) for folder in ('whole', 'rest'))
        assert sorted(want) == [1, 2, 3, 4] and all(np.isfinite(value) for value in want.values())
        assert got == {step: want[step] for step in (3, 4)}
    found, again = runner.test(), rest.test()
    assert 0 < found['mIoUD'] < 100 and again['mIoUD'] == found['mIoUD']


def small(config):
    """The models of a config for Cityscapes, with inputs of 64 x 64."""
    config.model.pop('pretrained', None)
    config.model.data_preprocessor.size = (64, 64)
    return revert_sync_batchnorm(MODELS.build(config.model))


def step(model):
    """The names of the losses of one step."""
    target = torch.randint(19, (2, 1, 64, 64))
    target[..., :8] = 255
    batch = dict(
        inputs=[torch.randint(256, (3, 64, 64), dtype=torch.uint8) for _ in range(2)],
        data_samples=[SegDataSample(gt_sem_seg=PixelData(data=t)) for t in target],
    )
    losses = model.loss(**model.data_preprocessor(batch, training=True))
    model.parse_losses(losses)[0].backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    return {name for name in losses if 'loss' in name}


OF_LABELS = {'decode.loss_weighted_cross_entropy', 'decode.loss_jaccard_metric', 'aux.loss_weighted_cross_entropy'}


@pytest.mark.slow
def test_cityscapes_label_smoothing():
    config = Config.fromfile(FOLDER / 'cityscapes_pspnet_r18_label_smoothing.py')
    init_default_scope('mmseg')
    from mmseg.registry import HOOKS

    model = small(config)
    (hook,) = map(HOOKS.build, config.custom_hooks)
    assert give_soft_labels(model, hook.source) == []
    assert step(model) == OF_LABELS


@pytest.mark.slow
def test_cityscapes_distillation(tmp_path):
    config = Config.fromfile(FOLDER / 'cityscapes_pspnet_r18_distillation.py')
    init_default_scope('mmseg')
    teacher = MODELS.build(dict(model_config('teacher', config.model.teacher), pretrained=None))
    assert Teacher(teacher).auxiliary
    torch.save(dict(state_dict=teacher.state_dict()), tmp_path / 'teacher.pth')
    config.model.teacher_checkpoint = str(tmp_path / 'teacher.pth')
    config.model.student.pretrained = None
    config.model.student.data_preprocessor.size = (64, 64)
    model = revert_sync_batchnorm(MODELS.build(config.model))
    assert step(model) == OF_LABELS | {
        'decode.teacher.loss_distillation_k_l',
        'decode.teacher.loss_jaccard_metric',
        'aux.teacher.loss_distillation_k_l',
    }
