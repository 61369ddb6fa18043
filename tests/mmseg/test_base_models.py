"""MMSegmentation's own base models train a step on a CPU with our losses in place of theirs."""

from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_plugin  # noqa: F401

CONFIGS = Path(mmseg.__file__).parent / '.mim' / 'configs' / '_base_' / 'models'
LOSS = [
    dict(type='WeightedCrossEntropyLoss', loss_weight=0.25),
    dict(type='JaccardMetricLoss', loss_weight=0.75, smooth=1.0),
]
RESNET18 = dict(
    backbone=dict(depth=18), decode_head=dict(in_channels=512, channels=32), auxiliary_head=dict(in_channels=256)
)

# Base config -> changes that make it small; the architecture stays.
SMALL = {
    'fcn_unet_s5-d16': dict(
        backbone=dict(base_channels=4),
        decode_head=dict(in_channels=4, channels=4),
        auxiliary_head=dict(in_channels=8, channels=4),
    ),
    'deeplabv3_r50-d8': RESNET18,
    'pspnet_r50-d8': RESNET18,
    'segformer_mit-b0': {},
    'fpn_r50': dict(backbone=dict(depth=18), neck=dict(in_channels=[64, 128, 256, 512])),
}

pytestmark = pytest.mark.skipif(not CONFIGS.is_dir(), reason='this MMSegmentation came without its configs')


@pytest.mark.parametrize('name', SMALL)
def test_a_step(name):
    torch.manual_seed(0)
    config = Config.fromfile(CONFIGS / f'{name}.py')
    config.merge_from_dict(dict(model=dict(SMALL[name], pretrained=None)))
    config.model.decode_head.loss_decode = LOSS
    if 'auxiliary_head' in config.model:
        config.model.auxiliary_head.loss_decode = dict(type='JaccardMetricLoss', loss_weight=0.4)
    config.model.data_preprocessor.size = (64, 64)
    model = revert_sync_batchnorm(MODELS.build(dict(config.model, _scope_='mmseg')))

    classes = model.decode_head.num_classes
    target = torch.randint(classes, (2, 1, 64, 64))
    target[..., :8] = 255
    batch = dict(
        inputs=[torch.randint(256, (3, 64, 64), dtype=torch.uint8) for _ in range(2)],
        data_samples=[SegDataSample(gt_sem_seg=PixelData(data=t)) for t in target],
    )
    batch = model.data_preprocessor(batch, training=True)
    total, logged = model.parse_losses(model.loss(**batch))
    total.backward()

    assert {'decode.loss_weighted_cross_entropy', 'decode.loss_jaccard_metric'} <= set(logged)
    assert ('aux.loss_jaccard_metric' in logged) == ('auxiliary_head' in config.model)
    trained = [p.grad for p in model.parameters() if p.requires_grad and p.grad is not None]
    assert trained and all(torch.isfinite(grad).all() for grad in trained)
    assert any(grad.any() for grad in trained)
