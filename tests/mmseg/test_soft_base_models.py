"""MMSegmentation's base models learn from soft labels and from teachers, whatever heads they have."""

import copy
from pathlib import Path

import mmseg
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
from mmseg_plugin.soft_labels.sources import LabelSmoothing

CONFIGS = Path(mmseg.__file__).parent / '.mim' / 'configs' / '_base_' / 'models'
LOSSES = [dict(type='WeightedCrossEntropyLoss', loss_weight=0.25), dict(type='JaccardMetricLoss', loss_weight=0.75)]

# Base config -> the heads that learn from soft labels
HEADS = {
    'ann_r50-d8': {'ANNHead', 'FCNHead'},
    'apcnet_r50-d8': {'APCHead', 'FCNHead'},
    'bisenetv1_r18-d32': {'FCNHead'},
    'ccnet_r50-d8': {'CCHead', 'FCNHead'},
    'danet_r50-d8': {'DAHead', 'FCNHead'},
    'deeplabv3_r50-d8': {'ASPPHead', 'FCNHead'},
    'deeplabv3plus_r50-d8': {'DepthwiseSeparableASPPHead', 'FCNHead'},
    'dmnet_r50-d8': {'DMHead', 'FCNHead'},
    'dnl_r50-d8': {'DNLHead', 'FCNHead'},
    'dpt_vit-b16': {'DPTHead'},
    'emanet_r50-d8': {'EMAHead', 'FCNHead'},
    'encnet_r50-d8': {'EncHead', 'FCNHead'},
    'fast_scnn': {'DepthwiseSeparableFCNHead', 'FCNHead'},
    'fastfcn_r50-d32_jpu_psp': {'PSPHead', 'FCNHead'},
    'fcn_unet_s5-d16': {'FCNHead'},
    'fpn_r50': {'FPNHead'},
    'gcnet_r50-d8': {'GCHead', 'FCNHead'},
    'isanet_r50-d8': {'ISAHead', 'FCNHead'},
    'nonlocal_r50-d8': {'NLHead', 'FCNHead'},
    'ocrnet_r50-d8': {'OCRHead', 'FCNHead'},
    'pspnet_unet_s5-d16': {'PSPHead', 'FCNHead'},
    'segformer_mit-b0': {'SegformerHead'},
    'segmenter_vit-b16_mask': {'SegmenterMaskTransformerHead'},
    'setr_pup': {'SETRUPHead'},
    'stdc': {'FCNHead'},
    'upernet_swin': {'UPerHead', 'FCNHead'},
}
SIZE = 64
QUICK = {'encnet_r50-d8', 'ocrnet_r50-d8'}
NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in HEADS]
TAUGHT = ['danet_r50-d8', 'encnet_r50-d8', 'ocrnet_r50-d8', 'stdc', 'upernet_swin', 'segformer_mit-b0']

pytestmark = pytest.mark.skipif(not CONFIGS.is_dir(), reason='this MMSegmentation came without its configs')


def with_our_losses(config):
    """A configuration whose heads have our losses, but for heads that make labels of their own."""
    if isinstance(config, list):
        return [with_our_losses(one) for one in config]
    if not isinstance(config, dict):
        return config
    changed = {key: with_our_losses(value) for key, value in config.items()}
    if 'loss_decode' in config and config.get('type') != 'STDCHead':
        changed['loss_decode'] = LOSSES
    return changed


def model_config(name):
    init_default_scope('mmseg')
    config = with_our_losses(Config.fromfile(CONFIGS / f'{name}.py').model.to_dict())
    config.update(pretrained=None, data_preprocessor=dict(config['data_preprocessor'], size=(SIZE, SIZE)))
    config['backbone'].pop('init_cfg', None)
    return config


def step(model):
    """The losses of one step, which every head has a part in."""
    decode = model.decode_head[-1] if isinstance(model.decode_head, torch.nn.ModuleList) else model.decode_head
    target = torch.randint(decode.num_classes, (2, 1, SIZE, SIZE))
    target[..., :8] = 255
    batch = dict(
        inputs=[torch.randint(256, (3, SIZE, SIZE), dtype=torch.uint8) for _ in range(2)],
        data_samples=[SegDataSample(gt_sem_seg=PixelData(data=t)) for t in target],
    )
    losses = model.loss(**model.data_preprocessor(batch, training=True))
    model.parse_losses(losses)[0].backward()
    for head in (module for module in model.modules() if hasattr(module, 'conv_seg') and module.conv_seg is not None):
        grads = [p.grad for p in head.parameters() if p.grad is not None]
        assert grads and all(torch.isfinite(grad).all() for grad in grads)
    return losses


@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES)
def test_smoothing_changes_the_losses_of_every_head(name):
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(model_config(name)))
    other = copy.deepcopy(model)
    give_soft_labels(model, LabelSmoothing(0.3))
    told = {type(head).__name__ for head in model.modules() if hasattr(head, 'soft_labels')}
    assert told == HEADS[name]
    found = []
    for one in (model, other):
        torch.manual_seed(1)
        found.append(step(one))
    soft, hard = found
    assert list(soft) == list(hard)
    changed = {key for key, value in soft.items() if 'loss' in key and not torch.equal(value, hard[key])}
    kept = {key for key in soft if 'loss' in key} - changed
    assert all('jaccard' in key or 'cross_entropy' in key for key in changed)
    assert kept == {key for key in soft if 'loss_se' in key or ('loss' in key and name == 'stdc' and 'aux_2' in key)}


@pytest.mark.slow
@pytest.mark.parametrize('name', TAUGHT)
def test_a_student_and_a_teacher(name, tmp_path):
    """A model learns from another of its kind, and from one of another kind."""
    student = model_config(name)
    for kind in {name, 'segformer_mit-b0'}:
        teacher = model_config(kind)
        network = MODELS.build(teacher)
        torch.save(network.state_dict(), tmp_path / f'{kind}.pth')
        teacher.update(data_preprocessor=student['data_preprocessor'])
        config = dict(student=student, teacher=teacher, teacher_checkpoint=str(tmp_path / f'{kind}.pth'))
        model = revert_sync_batchnorm(MODELS.build(dict(type='DistilledSegmentor', **config)))
        losses = step(model)
        own = {key for key in losses if key.endswith(('.loss_weighted_cross_entropy', '.loss_jaccard_metric'))}
        own -= {key for key in own if '.teacher.' in key}
        taught = {key for key in losses if '.teacher.' in key}
        assert len(taught) == len(own) > 0
        assert all(torch.isfinite(losses[key]) for key in taught)


def test_knet_learns_in_every_stage():
    init_default_scope('mmseg')
    norm = dict(type='BN')
    update = dict(
        type='KernelUpdateHead',
        num_classes=4,
        num_ffn_fcs=2,
        num_heads=2,
        num_mask_fcs=1,
        feedforward_channels=16,
        in_channels=8,
        out_channels=8,
        dropout=0.0,
        conv_kernel_size=1,
        ffn_act_cfg=dict(type='ReLU', inplace=True),
        with_ffn=True,
        feat_transform_cfg=dict(conv_cfg=dict(type='Conv2d'), act_cfg=None),
        kernel_updator_cfg=dict(
            type='KernelUpdator',
            in_channels=8,
            feat_channels=8,
            out_channels=8,
            act_cfg=dict(type='ReLU', inplace=True),
            norm_cfg=dict(type='LN'),
        ),
    )
    generate = dict(
        type='FCNHead', in_channels=6, channels=8, num_convs=1, num_classes=4, norm_cfg=norm, align_corners=False
    )
    head = MODELS.build(
        dict(
            type='IterativeDecodeHead',
            num_stages=2,
            kernel_update_head=[update, update],
            kernel_generate_head=dict(generate, loss_decode=LOSSES),
        )
    )
    assert give_soft_labels(torch.nn.ModuleDict(dict(decode_head=head)), LabelSmoothing(0.1)) == []
    samples = [SegDataSample(gt_sem_seg=PixelData(data=t)) for t in torch.randint(4, (2, 1, 16, 16))]
    losses = head.loss([torch.randn(2, 6, 8, 8)], samples, {})
    assert {f'loss_jaccard_metric.s{stage}' for stage in range(3)} <= set(losses)
    assert not hasattr(head, 'soft_labels') and hasattr(head.kernel_generate_head, 'soft_labels')
