"""Segmentors whose logits are their inputs, so that a test says what a student and its teacher predict."""

import torch
from mmseg.registry import MODELS
from torch import nn

from tests.mmseg.heads import CLASSES, head_config


@MODELS.register_module()
class TestChannels(nn.Module):
    """A backbone whose stages are groups of the channels of its input."""

    __test__ = False

    def __init__(self, groups, channels=CLASSES, every=1):
        super().__init__()
        self.groups, self.channels, self.every = groups, channels, every

    def forward(self, x):
        parts = x.split(self.channels, 1)
        return [parts[group][:, :, :: self.every, :: self.every] for group in self.groups]


def segmentor(groups, losses, auxiliary=None, every=1, channels=CLASSES, **head):
    """The configuration of a model whose decode head predicts the first group, its auxiliary head the second."""

    def one(index, loss_decode):
        sizes = dict(in_channels=channels, channels=channels, num_classes=channels, in_index=index)
        return head_config(loss_decode=loss_decode, **dict(sizes, **head))

    return dict(
        type='mmseg.EncoderDecoder',
        backbone=dict(type='TestChannels', groups=groups, channels=channels, every=every),
        decode_head=one(0, losses),
        auxiliary_head=None if auxiliary is None else one(1, auxiliary),
    )


def pass_on(model):
    """Makes the classifiers of a model the identity; returns the model in double precision."""
    for module in model.modules():
        if hasattr(module, 'conv_seg'):
            nn.init.dirac_(module.conv_seg.weight)
            nn.init.zeros_(module.conv_seg.bias)
    return model.double()


def write_checkpoint(config, path):
    torch.manual_seed(1)
    torch.save(dict(state_dict=pass_on(MODELS.build(config)).float().state_dict(), meta={}), path)
    return str(path)


def distilled(student, teacher, checkpoint, **options):
    """The student, and its teacher, in double precision with logits that are their inputs."""
    config = dict(type='DistilledSegmentor', student=student, teacher=teacher, teacher_checkpoint=checkpoint)
    built = pass_on(MODELS.build(dict(config, **options)))
    built.teacher.network.double()
    return built


def total(losses):
    return sum(value for name, value in losses.items() if 'loss' in name)
