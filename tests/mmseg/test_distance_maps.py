"""GenerateDistanceMap in a pipeline: the packed map reaches the loss of a head, and is the one that the loss makes."""

import numpy as np
import pytest
import torch

import mmseg_plugin  # noqa: F401  first: it makes mmseg importable beside mmcv-lite

# isort: split
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS, TRANSFORMS

from mmseg_plugin.heads.distance_map_hook import hand_over_maps
from mmseg_plugin.heads.swap import fuse_resize
from mmseg_plugin.losses.boundary import maps
from shared_spec import SpecError
from tests.mmseg.heads import CLASSES, IGNORED, build, features, head_config
from tests.support.assertions import assert_same

LOSSES = [
    dict(type='SurfaceLoss', spacing=[2.0, 0.5]),
    dict(type='RegionWiseLoss', map='boundary'),
    dict(type='DistanceMapCrossEntropyLoss', regions='classes', loss_name='loss_penalised'),
]


def results(seed, size=(16, 16)):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, size).astype(np.uint8)
    labels[:3] = IGNORED
    return dict(
        img=rng.integers(0, 255, (*size, 3)).astype(np.uint8),
        gt_seg_map=labels,
        img_shape=size,
        seg_fields=['gt_seg_map'],
    )


def packed(losses, sizes=((16, 16), (16, 16))):
    """Data samples of a pipeline that flips and then makes maps, padded to one size."""
    init_default_scope('mmseg')
    steps = [dict(type='RandomFlip', prob=1.0)]
    steps += [dict(type='GenerateDistanceMap', loss=loss, num_classes=CLASSES) for loss in losses]
    pipeline = Compose([*steps, dict(type='PackSegInputsWithDistanceMap')])
    items = [pipeline(results(k, size)) for k, size in enumerate(sizes)]
    preprocess = MODELS.build(dict(type='SegDataPreProcessor', size=(16, 16), seg_pad_val=IGNORED))
    given = dict(inputs=[x['inputs'] for x in items], data_samples=[x['data_samples'] for x in items])
    return preprocess(given, training=True)['data_samples']


@pytest.fixture
def made(monkeypatch):
    """Which losses made their own map."""
    found = []
    for kind in (type(MODELS.build(loss)) for loss in LOSSES):
        make = kind.make_map
        monkeypatch.setattr(kind, 'make_map', lambda self, *x, make=make: found.append(self) or make(self, *x))
    return found


def losses_of(head, samples):
    found = head.loss_by_feat(head(features()), samples)
    total = sum(value for name, value in found.items() if 'loss' in name)
    (gradient,) = torch.autograd.grad(total, head.conv_seg.weight)
    return {**{name: value.detach() for name, value in found.items()}, 'gradient': gradient}


@pytest.mark.parametrize('fused', [False, True], ids=['own_resize', 'fused_resize'])
@pytest.mark.parametrize('sizes', [((16, 16), (16, 16)), ((16, 11), (9, 16))], ids=['equal', 'padded'])
def test_packed_maps_reach_surface_and_region_wise_and_distance_map_losses(made, sizes, fused):
    samples, head = packed(LOSSES, sizes), build(head_config(loss_decode=LOSSES))
    want = losses_of(head, samples)
    assert len(made) == 3
    if fused:
        fuse_resize(head)
    assert list(hand_over_maps(head).values()) == [
        [f'gt_distance_map_{kind}_ignoring_{IGNORED}' for kind in ('boundary', 'penalty_of_classes', 'signed_2_0.5')]
    ]
    got = losses_of(head, samples)
    assert len(made) == 3  # none again
    for name, value in want.items():
        assert_same(got[name].double(), value.double(), 'float32', name)
    assert all(loss.handed_over is None for loss in head.modules() if isinstance(loss, maps.Mapped))


def test_a_padded_surface_map_whose_pixels_count_makes_nan():
    samples, head = packed(LOSSES[:1], ((16, 11), (9, 16))), build(head_config(loss_decode=LOSSES[:1]))
    samples[0].gt_sem_seg.data[:, -1, -1] = 0
    hand_over_maps(head)
    assert head.loss_by_feat(head(features()), samples)['loss_surface'].isnan()


def test_a_surface_loss_in_a_sum_gets_the_map_and_its_dice_does_not(made):
    parts = [dict(type='SoftDiceLoss'), LOSSES[0]]
    samples, head = packed(LOSSES[:1]), build(head_config(loss_decode=dict(type='WeightedSumLoss', losses=parts)))
    want = losses_of(head, samples)
    hand_over_maps(head)
    assert_same(losses_of(head, samples)['loss_weighted_sum'], want['loss_weighted_sum'], 'float32')
    assert len(made) == 1


def test_samples_of_which_some_have_a_map_are_refused():
    samples, head = packed(LOSSES[:1]), build(head_config(loss_decode=LOSSES[:1]))
    hand_over_maps(head)
    samples[1].pop(f'gt_distance_map_signed_2_0.5_ignoring_{IGNORED}')
    with pytest.raises(ValueError, match='1 of 2 data samples have no gt_distance_map_signed_2_0.5'):
        head.loss_by_feat(head(features()), samples)


def test_what_generate_distance_map_refuses():
    with pytest.raises(SpecError, match="loss must be one of DistanceMapCrossEntropyLoss, .*, got 'SoftDiceLoss'"):
        TRANSFORMS.build(dict(type='GenerateDistanceMap', loss='SoftDiceLoss', num_classes=2))
    with pytest.raises(SpecError, match='num_classes must be an integer >= 1, got 0'):
        TRANSFORMS.build(dict(type='GenerateDistanceMap', loss='SurfaceLoss', num_classes=0))
    make = TRANSFORMS.build(dict(type='GenerateDistanceMap', loss='SurfaceLoss', num_classes=2))
    with pytest.raises(ValueError, match=r'needs gt_seg_map \(H, W\), got none'):
        make({})
