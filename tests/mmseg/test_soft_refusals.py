"""What cannot learn from soft labels is one sentence: losses, heads, samplers, data samples, parameters."""

import re

import pytest
import torch

import mmseg_plugin  # noqa: F401  first: it makes mmseg importable beside mmcv-lite

# isort: split
from mmengine.registry import HOOKS

from mmseg_plugin.soft_labels.heads import give_soft_labels, hands_on, reaches_base
from mmseg_plugin.soft_labels.sources import LabelSmoothing
from tests.mmseg.heads import ONE_CHANNEL, build, features, head_config, label, samples
from tests.mmseg.test_soft_heads import LOSSES, LOVASZ, OHEM, SMOOTHING, THEIRS


def test_samplers_that_cannot_rank_pixels_are_a_sentence():
    for changes, sentence in (
        (dict(sampler=dict(type='OHEMPixelSampler')), 'without thresh .* JaccardMetricLoss has no loss of a pixel'),
        (dict(sampler=OHEM, **ONE_CHANNEL), 'thresh needs a channel for each class, got out_channels=1'),
    ):
        head = build(head_config(loss_decode=LOSSES, **changes))
        give_soft_labels(head, SMOOTHING)
        with pytest.raises(ValueError, match=f'^OHEMPixelSampler: .*{sentence}'):
            head.loss(features(), samples(label(2)), {})


def test_samples_without_class_ids_are_a_sentence():
    head = build(head_config(loss_decode=LOSSES))
    give_soft_labels(head, SMOOTHING)
    given = samples(label())
    del given[0].gt_sem_seg
    with pytest.raises(ValueError, match='^FCNHead: 1 of 2 data samples have no gt_sem_seg; LoadAnnotations'):
        head.loss(features(), given, {})


class TestRefused:
    def refused(self, sentence, *losses, **changes):
        head = build(head_config(loss_decode=list(losses), **changes))
        with pytest.raises(TypeError, match=re.escape(sentence)):
            give_soft_labels(torch.nn.ModuleDict(dict(decode_head=head)), LabelSmoothing(0.1, 'LabelSmoothingHook'))
        assert not hasattr(head, 'soft_labels')

    def test_losses_of_the_host(self):
        self.refused(
            'LabelSmoothingHook: decode_head (FCNHead) has CrossEntropyLoss, which takes class ids alone in a head; '
            'take WeightedCrossEntropyLoss or another',
            LOSSES[1],
            THEIRS,
        )

    def test_a_sum_with_a_loss_of_class_ids(self):
        mixed = dict(type='WeightedSumLoss', losses=[dict(type='JaccardMetricLoss'), LOVASZ])
        self.refused(
            'has WeightedSumLoss with LovaszSoftmaxLoss, which takes class ids alone; give loss_decode a', mixed
        )

    def test_a_loss_that_wants_logits(self):
        teacher = dict(type='DistillationKLLoss', teacher_from_logits=True)
        self.refused('has DistillationKLLoss with teacher_from_logits=True, and soft labels are no logits', teacher)

    def test_heads_with_losses_of_their_own(self):
        from mmseg.models.decode_heads import DDRHead

        head = DDRHead(4, 4, num_classes=3, align_corners=False, loss_decode=[THEIRS, THEIRS], norm_cfg=dict(type='BN'))
        with pytest.raises(TypeError, match=r'hook: the model \(DDRHead\) makes labels and losses of its own'):
            give_soft_labels(head, LabelSmoothing(0.1, 'hook'))

    def test_which_heads_of_the_host(self):
        from mmseg.models import decode_heads

        methods = {name: getattr(cls, 'loss_by_feat', None) for name, cls in vars(decode_heads).items()}
        refused = {n for n, m in methods.items() if m is not None and not (hands_on(m) or reaches_base(m))}
        assert refused == {'DDRHead', 'PIDHead', 'PointHead', 'SideAdapterCLIPHead', 'VPDDepthHead'}

    def test_a_model_without_a_head(self):
        with pytest.raises(TypeError, match='hook: Linear has no decode head'):
            give_soft_labels(torch.nn.Linear(2, 2), LabelSmoothing(0.1, 'hook'))

    def test_parameters(self):
        for config_, sentence in (
            (dict(type='LabelSmoothingHook'), 'LabelSmoothingHook: epsilon must be given'),
            (dict(type='LabelSmoothingHook', epsilon=1.5), 'LabelSmoothingHook: epsilon must be'),
            (
                dict(type='BoundaryLabelSmoothingHook', window=4),
                'BoundaryLabelSmoothingHook: window must be odd, got 4',
            ),
        ):
            with pytest.raises(ValueError, match=sentence):
                HOOKS.build(dict(config_, _scope_='mmseg'))
