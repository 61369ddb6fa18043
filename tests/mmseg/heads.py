"""A decode head of MMSegmentation that is a 1x1 convolution, its features and its labels."""

import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_plugin  # noqa: F401
from shared_spec import LOSSES
from tests.support.losses import PLAIN

CLASSES, IGNORED = 4, 255
ONE_CHANNEL = dict(num_classes=2, out_channels=1, threshold=0.5)
MANY_CHANNEL_LOSSES = [name for name, spec in PLAIN.items() if 'many' in spec.channels]
ONE_CHANNEL_LOSSES = [name for name, spec in PLAIN.items() if 'one' in spec.channels]


def label(classes=CLASSES, seed=0, areas=False):
    """Class ids that change at every pixel, or those of four areas."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(classes, (2, 16, 16), generator=generator)
    target = target[:, ::8, ::8].repeat_interleave(8, 1).repeat_interleave(8, 2) if areas else target
    target[:, :2] = IGNORED
    return target


def label_for(name):
    """Class ids that a loss has something to say of."""
    spec = LOSSES[name]
    return label(CLASSES if 'many' in spec.channels else 2, areas=spec.needs_areas)


def samples(target):
    return [SegDataSample(gt_sem_seg=PixelData(data=t[None])) for t in target]


def features():
    return [torch.randn(2, 6, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)]


def head_config(**changes):
    return dict(
        dict(
            type='mmseg.FCNHead',
            in_channels=6,
            channels=6,
            num_convs=0,
            concat_input=False,
            dropout_ratio=0,
            num_classes=CLASSES,
            align_corners=False,
            ignore_index=IGNORED,
        ),
        **changes,
    )


def build(config):
    """The head in double precision, so that only the definition can differ; the same weights every time."""
    torch.manual_seed(0)
    return MODELS.build(config).double()


def only_loss(losses):
    (value,) = (value for key, value in losses.items() if key.startswith('loss'))
    return value


def named_gradients(built):
    """Parameter name -> gradient, of every parameter; one without a gradient fails here."""
    gradients = {name: p.grad for name, p in built.named_parameters()}
    assert None not in gradients.values(), [name for name, grad in gradients.items() if grad is None]
    return gradients


def parameter_names(name, owner='loss_decode'):
    """The parameters of the head whose loss, in its attribute ``owner``, is the one of that name."""
    return {'conv_seg.weight', 'conv_seg.bias', *(f'{owner}.{own}' for own in LOSSES[name].learnt)}
