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


@pytest.mark.parametrize('ignored', ['mask', 'boundary'])
def test_a_padded_batch_has_another_map_where_what_is_ignored_is_a_boundary(ignored):
    loss = dict(type='ActiveBoundaryLoss', max_boundary_ratio=0.3, ignored=ignored, ignore_index=IGNORED)
    samples, head = packed([loss], ((16, 11), (9, 16))), build(head_config(loss_decode=[loss]))
    want = losses_of(head, samples)
    hand_over_maps(head)
    got = losses_of(head, samples)
    for name, value in want.items():
        assert_same(got[name].double(), value.double(), 'float32', name)


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
    with pytest.raises(
        SpecError, match="loss must be one of ActiveBoundaryLoss, DistanceMapCrossEntropyLoss, .*, got 'SoftDiceLoss'"
    ):
        TRANSFORMS.build(dict(type='GenerateDistanceMap', loss='SoftDiceLoss', num_classes=2))
    with pytest.raises(SpecError, match='num_classes must be an integer >= 1, got 0'):
        TRANSFORMS.build(dict(type='GenerateDistanceMap', loss='SurfaceLoss', num_classes=0))
    make = TRANSFORMS.build(dict(type='GenerateDistanceMap', loss='SurfaceLoss', num_classes=2))
    with pytest.raises(ValueError, match=r'needs gt_seg_map \(H, W\), got none'):
        make({})
    for wrong, sentence in {
        'list': (
            dict(loss=[LOSSES[0]]),
            'loss must be the configuration of one loss, or its name, got a list; each map has a',
        ),
        'erosion': (
            dict(loss=dict(type='HausdorffDistanceLoss', method='erosion')),
            "loss takes no map: HausdorffDistanceLoss: distance_map belongs to method='distance_transform'",
        ),
        'ignored': (dict(ignore_index='255'), "ignore_index must be an integer, or None, got '255'"),
    }.values():
        with pytest.raises(SpecError, match=f'GenerateDistanceMap: {sentence}'):
            TRANSFORMS.build(dict(dict(type='GenerateDistanceMap', loss='SurfaceLoss', num_classes=2), **wrong))
    with pytest.raises(ValueError, match='SurfaceLoss: target labels must be below 2, got 3'):
        make(dict(gt_seg_map=np.array([[0, 3], [255, 1]], np.uint8)))


def test_a_surface_map_that_stands_before_a_flip_is_refused():
    init_default_scope('mmseg')
    make = dict(type='GenerateDistanceMap', loss=LOSSES[0], num_classes=CLASSES)
    flip, pack = dict(type='RandomFlip', prob=1.0), dict(type='PackSegInputsWithDistanceMap')
    with pytest.raises(
        ValueError, match='gt_seg_map has changed since GenerateDistanceMap made gt_distance_map_signed_2_0'
    ):
        Compose([make, flip, pack])(results(0))
    alike = dict(results(0), gt_seg_map=np.broadcast_to(np.arange(16)[:, None] % CLASSES, (16, 16)))
    assert 'data_samples' in Compose([make, flip, pack])(alike)  # the same on both sides
    again = Compose([make, flip, make, pack])(results(0))['data_samples']
    want = Compose([flip, make, pack])(results(0))['data_samples']
    field = f'gt_distance_map_signed_2_0.5_ignoring_{IGNORED}'
    assert torch.equal(again.get(field).data, want.get(field).data)


def test_a_surface_map_of_other_ignored_labels_is_refused():
    loss = dict(LOSSES[0], ignore_index=7)  # which the head's losses ignore, and the transform does not know
    samples, head = packed(LOSSES[:1]), build(head_config(loss_decode=[loss]))
    hand_over_maps(head)
    with pytest.raises(
        ValueError, match='_ignoring_255 of the data samples ignores 255, the loss and its head ignore 7 and'
    ):
        head.loss_by_feat(head(features()), samples)
    samples = packed([loss])
    assert torch.isfinite(head.loss_by_feat(head(features()), samples)['loss_surface'])


def test_hausdorff_losses_without_a_map_are_passed_over(made):
    losses = [
        dict(type='HausdorffDistanceLoss'),
        dict(type='HausdorffDistanceLoss', method='erosion', loss_name='loss_e'),
    ]
    samples, head = packed(losses[:1]), build(head_config(loss_decode=losses))
    want = losses_of(head, samples)
    assert list(hand_over_maps(head).values()) == [[f'gt_distance_map_unsigned_ignoring_{IGNORED}']]
    for name, value in losses_of(head, samples).items():
        assert_same(value.double(), want[name].double(), 'float32', name)
