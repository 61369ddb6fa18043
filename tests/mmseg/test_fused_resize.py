"""FusedResizeHook: heads whose losses resize by themselves give MMSegmentation's numbers, under its names."""

import copy

import pytest
import torch

import mmseg_plugin  # noqa: F401  first: it makes mmseg importable beside mmcv-lite

# isort: split
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_plugin.heads.loss_by_feat import loss_by_feat
from mmseg_plugin.heads.swap import fuse_resize
from mmseg_plugin.kernels import pixel_sums
from mmseg_plugin.kernels.resize import Resized
from tests.mmseg.heads import CLASSES, IGNORED, MANY_CHANNEL_LOSSES, ONE_CHANNEL, build, features, head_config, samples
from tests.mmseg.tiny_training import config, logged
from tests.support.assertions import assert_gradient, assert_same

WHOLE = (
    'LovaszSoftmaxLoss',
    'CenterlineDiceLoss',
    'ActiveBoundaryLoss',
    'TopologyAwareFocalLoss',
)  # look at all pixels
CE = dict(type='CrossEntropyLoss', loss_name='loss_theirs')
OURS = [dict(type='WeightedCrossEntropyLoss'), dict(type='JaccardMetricLoss')]


@pytest.fixture(autouse=True)
def blocks(monkeypatch):
    """Small inputs are taken block by block as large ones are."""
    monkeypatch.setattr(pixel_sums, 'SMALL', 10)
    monkeypatch.setattr(pixel_sums, 'BLOCK', 5000)


@pytest.fixture
def whole(monkeypatch):
    """Who made the logits of every pixel."""
    found, make, host = [], Resized.whole, loss_by_feat.__globals__['resize']
    monkeypatch.setattr(Resized, 'whole', lambda self: found.append('a loss') or make(self))
    monkeypatch.setitem(loss_by_feat.__globals__, 'resize', lambda *a, **k: found.append('the head') or host(*a, **k))
    return found


def label(classes=CLASSES, size=(50, 37)):
    target = torch.randint(classes, (2, *size), generator=torch.Generator().manual_seed(0))
    target[:, :3] = IGNORED
    return target


def soft_label():
    return torch.rand(2, CLASSES, 50, 37, generator=torch.Generator().manual_seed(2), dtype=torch.float64).softmax(1)


def compare(loss_decode, target=None, **changes):
    """The losses of a head as MMSegmentation makes them and with the losses' own resize, value and gradient."""
    target = label() if target is None else target
    host = build(head_config(loss_decode=loss_decode, **changes))
    with torch.no_grad():
        host.conv_seg.weight.mul_(5)
    ours = copy.deepcopy(host)
    said = fuse_resize(ours)
    want, got = (head.loss(features(), samples(target), {}) for head in (host, ours))
    assert list(got) == list(want)
    for name in want:
        assert got[name].shape == want[name].shape and got[name].dtype == want[name].dtype
        assert_same(got[name].detach().numpy(), want[name].detach().numpy(), 'float64', name)
    for losses in (want, got):
        sum(value.sum() for name, value in losses.items() if 'loss' in name).backward()
    for (name, a), b in zip(ours.named_parameters(), host.parameters()):
        assert_gradient(a.grad.numpy(), b.grad.numpy(), 'float64', name)
    return said


@pytest.mark.parametrize(
    'name',
    [n for n in MANY_CHANNEL_LOSSES if n not in WHOLE],
)
def test_every_loss(name, whole):
    assert compare(dict(type=name)) == []
    assert not whole


@pytest.mark.parametrize('align_corners', [False, True])
def test_several_losses(align_corners, whole):
    parts = [*OURS, dict(type='SoftDiceLoss', loss_name='loss_mine'), dict(type='SoftDiceLoss', loss_name='loss_mine')]
    assert compare(parts, align_corners=align_corners) == []
    assert not whole


@pytest.mark.parametrize(
    'parts',
    [
        OURS,
        OURS[::-1],
        [dict(type='WeightedCrossEntropyLoss', class_weight=[1.0, 0.0, 2.0, 0.5]), dict(type='DiceSemimetricLoss')],
        [dict(type='WeightedSumLoss'), dict(type='SoftDiceLoss', loss_weight=0)],
    ],
)
def test_losses_share_what_they_have_in_common(parts, monkeypatch):
    """Cross-entropy and overlap statistics take one interpolation a block, and one softmax."""
    blocks, block = [], Resized.block
    monkeypatch.setattr(Resized, 'block', lambda self, *a: blocks.append(0) or block(self, *a))
    one, both = [], []
    for losses, found in (([dict(type='JaccardMetricLoss')], one), (parts, both)):
        blocks.clear()
        compare(losses)
        found += blocks
    if parts == OURS:
        assert len(both) == len(one)


def test_a_probability_that_rounds_to_none():
    """Whose logarithm the fused operator has not; then cross-entropy takes it from the logits."""
    head = build(head_config(loss_decode=OURS))
    torch.nn.init.constant_(head.conv_seg.weight, 0)
    head.conv_seg.bias.data = torch.tensor([0.0, 1e4, 0, -1e4], dtype=torch.float64)
    other = copy.deepcopy(head)
    fuse_resize(other)
    want, got = (h.loss(features(), samples(label()), {}) for h in (head, other))
    for name in want:
        assert_same(got[name].detach().numpy(), want[name].detach().numpy(), 'float64', name)


def test_one_channel(whole):
    compare(dict(type='WeightedCrossEntropyLoss'), label(2), **ONE_CHANNEL)
    compare(dict(type='SoftDiceLoss'), label(2), **ONE_CHANNEL)
    assert not whole


@pytest.mark.parametrize('size', [(16, 16), (9, 40)])
def test_sizes(size):
    compare(OURS, label(size=size))


def test_losses_of_others_take_the_hosts_way(whole):
    said = compare([CE, *OURS, dict(CE, loss_name='loss_theirs_too')])
    sentence = 'the model (FCNHead) resizes its logits for CrossEntropyLoss, which is none of these losses'
    assert said == [sentence, sentence]
    assert whole == ['the head']  # once


@pytest.mark.parametrize('min_kept', [20, 1000, 10**6])
@pytest.mark.parametrize('thresh', [0.1, 0.3, 0.9])
def test_hard_examples_by_threshold(min_kept, thresh, whole):
    assert compare(OURS, sampler=dict(type='OHEMPixelSampler', thresh=thresh, min_kept=min_kept)) == []
    assert not whole


def test_hard_examples_where_all_are_ignored():
    compare(OURS, torch.full((2, 50, 37), IGNORED), sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=20))


def test_hard_examples_by_loss_take_the_hosts_way(whole):
    said = compare(dict(type='WeightedCrossEntropyLoss'), sampler=dict(type='OHEMPixelSampler', min_kept=20))
    assert said == ['the model (FCNHead) resizes its logits for OHEMPixelSampler without thresh']
    assert whole == ['the head']


def test_every_pixel_ignored():
    compare(OURS, torch.full((2, 50, 37), IGNORED))


def soft_samples(target):
    return [SegDataSample(gt_sem_seg=PixelData(data=t)) for t in target]


def test_soft_labels(whole):
    """Which MMSegmentation's own takes no further than its accuracy."""
    head, target = build(head_config(loss_decode=OURS)), soft_label()
    full = torch.nn.functional.interpolate(head(features()), target.shape[2:], mode='bilinear', align_corners=False)
    want = [loss(full, target, ignore_index=IGNORED) for loss in head.loss_decode]
    fuse_resize(head)
    got = head.loss(features(), soft_samples(target), {})
    for a, b in zip(list(got.values()), want):
        assert_same(a.detach().numpy(), b.detach().numpy(), 'float64')
    right = (full.argmax(1) == target.argmax(1)).double().mean() * 100
    assert got['acc_seg'].item() == pytest.approx(right.item(), rel=1e-6)
    assert not whole


def test_soft_labels_cannot_be_sampled():
    head = build(head_config(loss_decode=OURS, sampler=dict(type='OHEMPixelSampler', thresh=0.7)))
    fuse_resize(head)
    with pytest.raises(
        ValueError, match=r'OHEMPixelSampler: a sampler needs class ids \(N, 1, H, W\), got .*\(2, 4, 50, 37\)'
    ):
        head.loss(features(), soft_samples(soft_label()), {})


def test_accuracy_of_equal_logits():
    """Of equal logits MMSegmentation takes one; so does the block."""
    head = build(head_config(loss_decode=OURS))
    torch.nn.init.zeros_(head.conv_seg.weight)
    other = copy.deepcopy(head)
    fuse_resize(other)
    want, got = (h.loss(features(), samples(label()), {})['acc_seg'] for h in (head, other))
    assert torch.equal(want, got)


class TestWhichHeads:
    def test_a_head_with_its_own_is_named_and_left(self):
        encoder = dict(
            head_config(), type='mmseg.EncHead', in_channels=[6], in_index=[0], num_codes=4, loss_se_decode=CE
        )
        for key in ('num_convs', 'concat_input'):
            del encoder[key]
        model = torch.nn.ModuleList([MODELS.build(head_config(loss_decode=OURS)), MODELS.build(encoder)])
        assert fuse_resize(model) == ['1 (EncHead) has a loss_by_feat of its own and keeps it']
        assert model[0].loss_by_feat.__func__ is loss_by_feat
        assert model[1].loss_by_feat.__func__ is type(model[1]).loss_by_feat is not BaseDecodeHead.loss_by_feat

    def test_twice_is_once(self):
        head = build(head_config(loss_decode=[CE]))
        assert fuse_resize(head) == fuse_resize(head) != []

    def test_parameters_and_checkpoints_stay(self):
        head = build(head_config(loss_decode=dict(type='RobustTLoss')))
        before = set(head.state_dict())
        fuse_resize(head)
        assert set(head.state_dict()) == before
        copied = copy.deepcopy(head)  # as mmengine's EMA does
        assert copied.loss_by_feat.__self__ is copied


def test_training(train, pictures, tmp_path):
    """One line in a config: the log has the same numbers with it and without."""
    logs = []
    for name, hooks in (('without', []), ('with', [dict(type='FusedResizeHook')])):
        complete = config(pictures, tmp_path / name, OURS, iterations=3, custom_hooks=hooks)
        half_size = dict(complete['model']['decode_head'], in_index=0, in_channels=8)
        complete['model'].update(decode_head=half_size, auxiliary_head=[dict(half_size, loss_decode=[CE, OURS[1]])])
        runner = train(complete)
        names = ['loss', 'decode.acc_seg', 'aux_0.acc_seg', 'aux_0.loss_theirs', 'aux_0.loss_jaccard_metric']
        logs.append([logged(tmp_path / name, key) for key in names])
    for want, got in zip(*logs):
        assert len(want) == 3 and got == pytest.approx(want, rel=1e-4)
    assert runner.model.decode_head.loss_by_feat.__func__ is loss_by_feat
