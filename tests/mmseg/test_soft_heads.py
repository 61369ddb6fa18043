"""Hooks that give soft labels: every head's numbers are those of the same losses called by hand."""

import copy

import pytest
import torch

import mmseg_plugin  # noqa: F401  first: it makes mmseg importable beside mmcv-lite

# isort: split
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.nn import functional

from mmseg_plugin.heads.distance_map_hook import hand_over_maps
from mmseg_plugin.heads.swap import fuse_resize
from mmseg_plugin.soft_labels import boundary_label_smoothing, label_smoothing
from mmseg_plugin.soft_labels.heads import give_soft_labels
from mmseg_plugin.soft_labels.sources import BoundaryLabelSmoothing, LabelSmoothing, SampleLabels
from tests.mmseg.heads import CLASSES, IGNORED, ONE_CHANNEL, build, features, head_config, label, samples
from tests.mmseg.tiny_training import config, logged

LOSSES = [
    dict(type='WeightedCrossEntropyLoss', loss_weight=0.25),
    dict(type='JaccardMetricLoss', loss_weight=0.75, smooth=1.0),
]
LOVASZ = dict(type='LovaszSoftmaxLoss')
THEIRS = dict(type='CrossEntropyLoss', loss_weight=1.0)
SMOOTHING = LabelSmoothing(0.1)
OHEM = dict(type='OHEMPixelSampler', thresh=0.4, min_kept=20)


def large(target):
    """Labels at twice the size of the features."""
    return target.repeat_interleave(2, 1).repeat_interleave(2, 2)


def head_and_logits(target, **changes):
    head = build(head_config(**dict(dict(loss_decode=LOSSES), **changes)))
    logits = head(features())
    return head, functional.interpolate(logits, target.shape[1:], mode='bilinear', align_corners=head.align_corners)


def smooth(target, source, classes=CLASSES, dtype=torch.float64):
    make = boundary_label_smoothing if isinstance(source, BoundaryLabelSmoothing) else label_smoothing
    return make(target, source.epsilon, num_classes=classes, ignore_index=IGNORED, dtype=dtype)


def gradients(head, losses):
    return torch.autograd.grad(sum(v for k, v in losses.items() if 'loss' in k), list(head.conv_seg.parameters()))


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('source', [SMOOTHING, BoundaryLabelSmoothing(0.5)])
def test_numbers_are_those_by_hand(source, align_corners):
    target = large(label())
    head, logits = head_and_logits(target, align_corners=align_corners)
    soft = smooth(target, source)
    by_hand = {f.loss_name: f(logits, soft, weight=(target != IGNORED).double()) for f in head.loss_decode}
    assert give_soft_labels(head, source) == []
    found = head.loss(features(), samples(target), {})
    for name, want in by_hand.items():
        torch.testing.assert_close(found[name], want, rtol=1e-12, atol=1e-12)
    for got, want in zip(gradients(head, found), gradients(head, by_hand)):
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)
    right = (logits.argmax(1) == target)[target != IGNORED].double().mean() * 100
    assert found['acc_seg'].item() == pytest.approx(right.item(), rel=1e-5)


def test_ignored_pixels_count_nowhere():
    """A label map with a border of ignored pixels costs what the same without them costs."""
    target = label()
    head = build(head_config(loss_decode=LOSSES, align_corners=False))
    give_soft_labels(head, SMOOTHING)
    want = head.loss_by_feat(head(features())[:, :, 2:], samples(target[:, 2:]))
    got = head.loss_by_feat(head(features()), samples(target))
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, rtol=1e-12, atol=1e-12)


def test_one_channel_gets_the_share_of_the_foreground():
    target = large(label(2))
    head, logits = head_and_logits(target, **ONE_CHANNEL)
    soft = smooth(target, SMOOTHING, 2)[:, 1:]
    assert soft.unique().tolist() == pytest.approx([0.0, 0.05, 0.95])
    want = [loss(logits, soft, weight=(target != IGNORED).double()) for loss in head.loss_decode]
    give_soft_labels(head, SMOOTHING)
    found = head.loss(features(), samples(target), {})
    for value, by_hand in zip(found.values(), want):
        torch.testing.assert_close(value, by_hand, rtol=1e-12, atol=1e-12)


def test_losses_of_class_ids_get_these_beside_the_others():
    target = large(label())
    head, logits = head_and_logits(target, loss_decode=[*LOSSES, LOVASZ])
    sentence = 'the model (FCNHead) has LovaszSoftmaxLoss, which takes class ids alone and gets these'
    want = head.loss_decode[2](logits, target, ignore_index=IGNORED)
    soft = head.loss_decode[0](logits, smooth(target, SMOOTHING), weight=(target != IGNORED).double())
    assert give_soft_labels(head, SMOOTHING) == [sentence]
    found = head.loss(features(), samples(target), {})
    torch.testing.assert_close(found['loss_lovasz_softmax'], want, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found['loss_weighted_cross_entropy'], soft, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('thresh', [0.4, None])
def test_a_sampler_chooses_pixels_by_class_ids(thresh):
    target = large(label())
    losses = LOSSES if thresh else LOSSES[:1]  # without a threshold the host asks for the loss of each pixel
    head, logits = head_and_logits(target, sampler=dict(OHEM, thresh=thresh), loss_decode=losses)
    kept = head.sampler.sample(logits, target[:, None])
    assert 0 < kept.sum() < (target != IGNORED).sum()
    want = [loss(logits, smooth(target, SMOOTHING), weight=kept) for loss in head.loss_decode]
    give_soft_labels(head, SMOOTHING)
    for value, by_hand in zip(head.loss(features(), samples(target), {}).values(), want):
        torch.testing.assert_close(value, by_hand, rtol=1e-12, atol=1e-12)


def test_heads_that_were_not_told_are_as_before():
    told = build(head_config(loss_decode=LOSSES))
    other = copy.deepcopy(told)
    before = {name: value.detach() for name, value in other.loss(features(), samples(label()), {}).items()}
    give_soft_labels(told, SMOOTHING)
    after = other.loss(features(), samples(label()), {})
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not torch.equal(
        told.loss(features(), samples(label()), {})['loss_jaccard_metric'], after['loss_jaccard_metric']
    )
    copied = copy.deepcopy(told)
    assert copied.soft_labels == SMOOTHING and set(copied.state_dict()) == set(other.state_dict())


SURFACE = dict(type='SurfaceLoss')


@pytest.mark.parametrize('order', ['fuse', 'fuse_first', 'maps', 'all'])
def test_with_the_other_hooks_in_any_order(order):
    target = large(label())
    head, _ = head_and_logits(target, loss_decode=[*LOSSES, SURFACE])
    plain = copy.deepcopy(head)
    give_soft_labels(plain, SMOOTHING)
    want = plain.loss(features(), samples(target), {})
    steps = dict(
        fuse=[give, fuse_resize],
        fuse_first=[fuse_resize, give],
        maps=[give, hand_over_maps],
        all=[fuse_resize, give, hand_over_maps],
    )
    for step in steps[order]:
        step(head)
    got = head.loss(features(), samples(target), {})
    assert list(got) == list(want)
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, rtol=1e-12, atol=1e-12)


def give(head):
    give_soft_labels(head, SMOOTHING)


def test_branches_keep_class_ids():
    branch = dict(type='DistanceBranch', loss=dict(type='BoundaryAwareLoss', ignore_index=IGNORED))
    changes = dict(type='BranchedHead', head_type='FCNHead', branches=[branch], loss_decode=LOSSES)
    head = build(head_config(**changes))
    want = head.loss(features(), samples(label()), {})
    give(head)
    got = head.loss(features(), samples(label()), {})
    (name,) = (name for name in want if 'boundary_aware' in name)
    assert torch.equal(got[name], want[name])
    assert got['loss_jaccard_metric'] != want['loss_jaccard_metric']


class TestGivenBySamples:
    HEAD = dict(loss_decode=LOSSES)

    def soft(self, size=(16, 16), seed=0, classes=CLASSES):
        generator = torch.Generator().manual_seed(seed)
        soft = torch.rand(2, classes, *size, generator=generator, dtype=torch.float64).softmax(1)
        soft[:, :, :2] = 0
        return soft

    def samples(self, soft, target=None):
        found = samples(label() if target is None else target)
        for sample, shares in zip(found, soft):
            sample.set_field(PixelData(data=shares), 'gt_soft_seg')
        return found

    def told(self, **changes):
        head = build(head_config(**dict(self.HEAD, **changes)))
        give_soft_labels(head, SampleLabels('SoftLabelHook'))
        return head

    def test_numbers_and_accuracy(self):
        head, soft = self.told(), self.soft()
        logits = head(features())
        want = [loss(logits, soft, weight=(soft.sum(1) > 0).double()) for loss in head.loss_decode]
        found = head.loss(features(), self.samples(soft), {})
        for value, by_hand in zip(found.values(), want):
            torch.testing.assert_close(value, by_hand, rtol=1e-12, atol=1e-12)
        right = (logits.argmax(1) == soft.argmax(1))[:, 2:].double().mean() * 100
        assert found['acc_seg'].item() == pytest.approx(right.item(), rel=1e-5)

    def test_what_pads_a_batch_is_ignored(self):
        head, soft = self.told(), self.soft()
        small = self.samples(soft[:, :, :, :10])
        for sample in small:
            sample.set_metainfo(dict(padding_size=(0, 6, 0, 0)))
        soft[:, :, :, 10:] = 0
        want = head.loss(features(), self.samples(soft), {})
        got = head.loss(features(), small, {})
        assert all(torch.equal(got[name], want[name]) for name in want)

    def test_what_the_host_pads_is_ignored(self):
        head, soft = self.told(), self.soft((16, 16))
        pad = MODELS.build(dict(type='mmseg.SegDataPreProcessor', size=(20, 24), seg_pad_val=IGNORED))
        batch = dict(inputs=[torch.zeros(3, 16, 16)] * 2, data_samples=self.samples(soft))
        padded = pad(batch, training=True)['data_samples']
        assert padded[0].gt_sem_seg.data.shape[1:] == (20, 24)
        found = head.soft_labels(head, padded, torch.zeros(2, 1, 20, 24), torch.float64)
        assert torch.equal(found, functional.pad(soft, (0, 8, 0, 4)))

    def test_one_channel_takes_two_classes(self):
        head, soft = self.told(**ONE_CHANNEL), self.soft(classes=2)
        want = head.loss_decode[0](head(features()), soft[:, 1:], weight=(soft.sum(1) > 0).double())
        got = head.loss(features(), self.samples(soft, label(2)), {})
        torch.testing.assert_close(got['loss_weighted_cross_entropy'], want, rtol=1e-12, atol=1e-12)

    def test_a_number_where_nobody_can_look_is_none(self, monkeypatch):
        monkeypatch.setattr('mmseg_plugin.soft_labels.sources.can_look', lambda *tensors: False)
        soft = self.soft()
        soft[0, 0, 5, 5] += 0.5
        found = SampleLabels()(self.told(), self.samples(soft), label()[:, None], torch.float64)
        assert found[0, :, 5, 5].isnan().all() and found.isnan().sum() == CLASSES

    def test_wrong_ones_are_a_sentence(self):
        head = self.told()
        given = self.samples(self.soft())
        del given[1].gt_soft_seg
        wrong = {
            r'1 of 2 data samples have no gt_soft_seg, which a transform': given,
            r'with the classes of FCNHead, 4, got \(3, 16, 16\)': self.samples(self.soft(classes=3)),
            r'must have the size of gt_sem_seg \(16, 16\), got \(9, 16\)': self.samples(self.soft((9, 16))),
            r'must sum to 1 in a pixel, or be 0 in every class of an ignored one, got 2': self.samples(2 * self.soft()),
        }
        for sentence, batch in wrong.items():
            with pytest.raises(ValueError, match=f'^SoftLabelHook: .*{sentence}'):
                head.loss(features(), batch, {})
        with pytest.raises(TypeError, match='gt_soft_seg must be floating point, got torch.int64'):
            head.loss(features(), self.samples(self.soft().long()), {})

    def test_what_is_no_tensor_is_a_sentence(self):
        head, given = self.told(), self.samples(self.soft())
        array = given[1].gt_soft_seg.data.numpy()
        for wrong, got in ((array, 'ndarray'), (PixelData(data=array), 'PixelData of ndarray')):
            given[1].gt_soft_seg = wrong
            with pytest.raises(TypeError, match=rf'gt_soft_seg must be PixelData of a float tensor .*, got {got}$'):
                head.loss(features(), given, {})


def test_a_head_that_makes_its_own_labels_keeps_them():
    keep = dict(type='mmseg.STDCHead', num_classes=2, boundary_threshold=0.1, loss_decode=[THEIRS])
    head = build(head_config(**keep, out_channels=2))
    (sentence,) = give_soft_labels(torch.nn.ModuleList([head]), SMOOTHING)
    assert sentence == '0 (STDCHead) keeps to its own labels, the edges between class ids'
    assert not hasattr(head, 'soft_labels')


@pytest.mark.parametrize('dtype', [torch.bfloat16])
def test_autocast(dtype):
    target, head = large(label()), build(head_config(loss_decode=LOSSES)).float()
    give(head)
    x = [part.float() for part in features()]
    with torch.autocast('cpu', dtype):
        logits = head(x)
        found = head.loss_by_feat(logits, samples(target))
    assert logits.dtype == dtype
    whole = functional.interpolate(logits.float(), target.shape[1:], mode='bilinear', align_corners=False)
    soft = smooth(target, SMOOTHING, dtype=torch.float32)
    for loss in head.loss_decode:
        want = loss(whole, soft, weight=(target != IGNORED).float())
        assert found[loss.loss_name].dtype == torch.float32
        torch.testing.assert_close(found[loss.loss_name], want, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_compiled():
    target, head = large(label()), build(head_config(loss_decode=LOSSES)).float()
    give(head)
    x = [part.float() for part in features()]
    want = head.loss(x, samples(target), {})
    torch._dynamo.reset()
    got = torch.compile(head.loss, backend='aot_eager')(x, samples(target), {})
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('hooks', [
    [dict(type='LabelSmoothingHook', epsilon=0.1), dict(type='FusedResizeHook'), dict(type='DistanceMapHook')],
    pytest.param([dict(type='DistanceMapHook'), dict(type='FusedResizeHook'), dict(type='LabelSmoothingHook', epsilon=0.1)], marks=pytest.mark.slow),
    pytest.param([dict(type='LabelSmoothingHook', epsilon=0.1)], marks=pytest.mark.slow),
])  # fmt: skip
def test_training(hooks, train, pictures, tmp_path):
    """One line in a config: the numbers of the log are those of losses that smooth labels themselves."""
    logs = []
    for name, used, own in (('hook', hooks, {}), ('loss', [], dict(label_smoothing=0.1))):
        losses = [dict(LOSSES[0], **own), LOVASZ]
        complete = config(pictures, tmp_path / name, losses, iterations=3, custom_hooks=used)
        head = complete['model']['decode_head']
        complete['model']['auxiliary_head'] = [dict(head, loss_decode=losses[:1])]
        train(complete)
        logs.append(
            [logged(tmp_path / name, key) for key in ('loss', 'decode.acc_seg', 'aux_0.loss_weighted_cross_entropy')]
        )
    for got, want in zip(*logs):
        assert len(got) == 3 and got == pytest.approx(want, rel=1e-4)


def test_two_hooks_are_refused(train, pictures, tmp_path):
    hooks = [dict(type='LabelSmoothingHook', epsilon=0.1), dict(type='SoftLabelHook')]
    with pytest.raises(ValueError, match='custom_hooks: LabelSmoothingHook and SoftLabelHook both give soft labels'):
        train(config(pictures, tmp_path, LOSSES, iterations=1, custom_hooks=hooks))


def test_fused_heads_ignore_what_is_zero_in_every_class():
    """Of gt_sem_seg that is soft itself."""
    head = build(head_config(loss_decode=LOSSES))
    soft = torch.rand(2, CLASSES, 16, 16, dtype=torch.float64).softmax(1)
    soft[:, :, :5] = 0
    logits = head(features())
    want = [loss(logits[:, :, 5:], soft[:, :, 5:]) for loss in head.loss_decode]
    fuse_resize(head)
    found = head.loss(features(), [SegDataSample(gt_sem_seg=PixelData(data=x)) for x in soft], {})
    for value, by_hand in zip(found.values(), want):
        torch.testing.assert_close(value, by_hand, rtol=1e-12, atol=1e-12)


def test_a_batch_that_is_soft_itself_needs_no_hook():
    head = build(head_config(loss_decode=LOSSES))
    give(head)
    soft = [SegDataSample(gt_sem_seg=PixelData(data=x)) for x in torch.rand(2, CLASSES, 16, 16).softmax(1)]
    with pytest.raises(ValueError, match=r'gt_sem_seg must be class ids \(1, H, W\), got \(4, 16, 16\)'):
        head.loss(features(), soft, {})
