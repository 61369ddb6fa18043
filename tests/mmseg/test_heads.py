"""Our losses inside MMSegmentation's decode heads: the value is the spec's, whatever way a head calls the loss."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_plugin  # noqa: F401
import shared_spec

IGNORED = 255
HARD_LABEL_LOSSES = [name for name in shared_spec.LOSSES if name != 'WeightedSumLoss']


def label(classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(classes, (2, 16, 16), generator=generator)
    target[:, :2] = IGNORED
    return target


def samples(target):
    return [SegDataSample(gt_sem_seg=PixelData(data=t[None])) for t in target]


def head(loss_decode, **changes):
    """An FCN head that is a 1x1 convolution, in double precision so that only the definition can differ."""
    torch.manual_seed(0)
    built = MODELS.build(
        dict(
            dict(
                type='mmseg.FCNHead',
                in_channels=6,
                channels=6,
                num_convs=0,
                concat_input=False,
                dropout_ratio=0,
                num_classes=4,
                align_corners=False,
                ignore_index=IGNORED,
                loss_decode=loss_decode,
            ),
            **changes,
        )
    )
    return built.double()


def features():
    return [torch.randn(2, 6, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)]


def reference(name, logits, target, weight=None, **parameters):
    spec = shared_spec.LOSSES[name](ignore_index=IGNORED, **parameters)
    weight = None if weight is None else weight.numpy()
    return spec.reference(logits.detach().numpy(), target.numpy(), weight)


@pytest.mark.parametrize('name', HARD_LABEL_LOSSES)
def test_value_in_a_head(name):
    built, target = head(dict(type=name)), label(4)
    losses = built.loss(features(), samples(target), {})
    (ours,) = (value for key, value in losses.items() if key.startswith('loss'))
    assert ours.item() == pytest.approx(reference(name, built(features()), target), rel=1e-9)
    ours.backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in built.parameters())


@pytest.mark.parametrize('name', HARD_LABEL_LOSSES)
def test_one_channel_head(name):
    built = head(dict(type=name), num_classes=2, out_channels=1, threshold=0.5)
    target = label(2)
    losses = built.loss(features(), samples(target), {})
    (ours,) = (value for key, value in losses.items() if key.startswith('loss'))
    assert ours.item() == pytest.approx(reference(name, built(features()), target), rel=1e-9)


def test_a_list_of_losses_adds_up_under_its_names():
    parts = [
        dict(type='CrossEntropyLoss', loss_weight=0.25),
        dict(type='JaccardMetricLoss', loss_weight=0.75, granularity={'I': 0.5, 'C': 0.5}),
        dict(type='SoftDiceLoss', loss_name='loss_mine'),
        dict(type='SoftDiceLoss', loss_name='loss_mine'),
    ]
    built, target = head(parts), label(4)
    losses = built.loss(features(), samples(target), {})
    logits = built(features())
    assert set(losses) == {'loss_ce', 'loss_jaccard_metric', 'loss_mine', 'acc_seg'}
    assert losses['loss_jaccard_metric'].item() == pytest.approx(
        reference('JaccardMetricLoss', logits, target, loss_weight=0.75, granularity={'I': 0.5, 'C': 0.5}), rel=1e-9
    )
    assert losses['loss_mine'].item() == pytest.approx(2 * reference('SoftDiceLoss', logits, target), rel=1e-9)


class TestOhemSampler:
    """Online hard example mining hands its choice of pixels to the loss as a weight of 0 or 1."""

    def test_by_threshold(self):
        built = head(dict(type='JaccardMetricLoss'), sampler=dict(type='OHEMPixelSampler', thresh=0.3, min_kept=20))
        self.check(built, 'JaccardMetricLoss')

    def test_by_loss(self):
        built = head(dict(type='WeightedCrossEntropyLoss'), sampler=dict(type='OHEMPixelSampler', min_kept=20))
        weight = self.check(built, 'WeightedCrossEntropyLoss')
        assert weight.sum() == 2 * 20  # min_kept is per image

    @staticmethod
    def check(built, name):
        target = label(4)
        logits = built(features())
        weight = built.sampler.sample(logits, target[:, None])
        assert 0 < weight.sum() < (target != IGNORED).sum()
        losses = built.loss_by_feat(logits, samples(target))
        (ours,) = (value for key, value in losses.items() if key.startswith('loss'))
        assert ours.item() == pytest.approx(reference(name, logits, target, weight), rel=1e-9)
        (grad,) = torch.autograd.grad(ours, logits)
        assert not grad.movedim(1, -1)[weight == 0].any()
        return weight


def test_a_batch_without_a_valid_pixel_gives_zero_and_a_graph():
    built = head(dict(type='JaccardMetricLoss'))
    losses = built.loss(features(), samples(torch.full((2, 16, 16), IGNORED)), {})
    losses['loss_jaccard_metric'].backward()
    assert losses['loss_jaccard_metric'] == 0
    assert all(np.array_equal(p.grad, np.zeros_like(p.grad)) for p in built.parameters())


def test_a_misspelt_parameter_is_refused_when_the_head_is_built():
    with pytest.raises(ValueError, match="unknown parameter 'smoth', did you mean 'smooth'"):
        head(dict(type='JaccardMetricLoss', smoth=1.0))
