"""Every PyTorch loss under torch.func and forward-mode differentiation has the derivatives of its backward pass."""

import pytest

from tests.support.losses import PLAIN

torch = pytest.importorskip('torch', reason='PyTorch is not installed')

ARGUMENTS = {'GeneralizedWassersteinDiceLoss': dict(distance_matrix=[[0, 1, 1], [1, 0, 0.5], [1, 0.5, 0]])}
SIDE = 40  # of a picture with so many logits that operators with gradients of their own would serve


@pytest.fixture(params=sorted(PLAIN))
def call(request):
    """(loss, logits, labels, a direction)."""
    from mmseg_plugin.registry import build

    name, draw = request.param, torch.Generator().manual_seed(0)
    channels = 1 if name == 'LovaszHingeLoss' else 3
    logits, direction = torch.randn(2, 2, channels, SIDE, SIDE, generator=draw, dtype=torch.float64)
    labels = torch.randint(max(channels, 2), (2, SIDE, SIDE), generator=draw)
    labels[0, :3] = 255
    ignored = {} if name == 'WeightedSumLoss' else dict(ignore_index=255)
    labels = labels if ignored else labels.clamp(max=2)
    loss = build(dict(type=name, **ignored, **ARGUMENTS.get(name, {})))
    return loss, logits, labels, direction


def gradient(loss, logits, labels, **given):
    logits = logits.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(logits, labels, **given), logits)
    return found


def assert_near(found, want):
    torch.testing.assert_close(found, want, rtol=1e-9, atol=1e-12)


def test_forward_mode(call):
    from torch.autograd import forward_ad

    loss, logits, labels, direction = call
    want = (gradient(loss, logits, labels) * direction).sum()
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(loss(forward_ad.make_dual(logits, direction), labels)).tangent
    assert_near(found, want)


def test_jvp_and_grad(call):
    loss, logits, labels, direction = call
    want = gradient(loss, logits, labels)
    value, slope = torch.func.jvp(lambda z: loss(z, labels), (logits,), (direction,))
    assert_near(value, loss(logits, labels))
    assert_near(slope, (want * direction).sum())
    assert_near(torch.func.grad(lambda z: loss(z, labels))(logits), want)


@pytest.mark.filterwarnings('ignore:There is a performance drop')
def test_vmap_of_grad(call):
    loss, logits, labels, direction = call
    found = torch.func.vmap(torch.func.grad(loss.forward))(
        torch.stack([direction, logits]), torch.stack([labels, labels])
    )
    assert_near(found[1], gradient(loss, logits, labels))


@pytest.mark.parametrize(
    'name', ['JaccardMetricLoss', 'WeightedCrossEntropyLoss', 'LovaszSoftmaxLoss', 'WeightedSumLoss']
)
def test_forward_mode_of_resized_logits(name):
    from torch.autograd import forward_ad

    from mmseg_plugin.registry import build

    loss, draw = build(dict(type=name)), torch.Generator().manual_seed(0)
    logits, direction = torch.randn(2, 1, 3, 20, 20, generator=draw, dtype=torch.float64)
    labels = torch.randint(3, (1, SIDE, SIDE), generator=draw)
    want = (gradient(loss, logits, labels, align_corners=False) * direction).sum()
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(logits, direction)
        found = forward_ad.unpack_dual(loss(dual, labels, align_corners=False)).tangent
    assert_near(found, want)


@pytest.mark.parametrize('name', ['RegionMutualInformationLoss', 'UnifiedFocalLoss', 'WeightedCrossEntropyLoss'])
def test_a_second_derivative_that_is_not_there_is_refused_in_our_words(name, monkeypatch):
    from mmseg_plugin.kernels.overlap import choice
    from mmseg_plugin.registry import build

    monkeypatch.setattr(choice, 'MODE', 'fused')  # in which PyTorch's own operators take nothing
    side = 300 if name == 'WeightedCrossEntropyLoss' else SIDE
    loss, logits = build(dict(type=name)), torch.randn(1, 3, side, side, requires_grad=True)
    labels = torch.randint(3, (1, side, side))
    with pytest.raises(RuntimeError, match='cannot be differentiated again: with SEGPARITY_OVERLAP=plain'):
        (slope,) = torch.autograd.grad(loss(logits, labels), logits, create_graph=True)
        slope.square().sum().backward()


@pytest.mark.parametrize('align_corners', [None, False])
def test_a_loss_scale_beyond_half_precision_leaves_gradients_of_half_precision(align_corners):
    """The factor 2^17 has no float16; its product with what each image gives has."""
    from mmseg_plugin.registry import build

    loss, draw = build(dict(type='RegionMutualInformationLoss')), torch.Generator().manual_seed(0)
    side = 128 if align_corners is None else 64
    logits = torch.randn(1, 19, side, side, generator=draw).half()
    labels = torch.randint(19, (1, 128, 128), generator=draw)
    found = []
    for given in (logits, logits.float()):
        given = given.clone().requires_grad_()
        (loss(given, labels, align_corners=align_corners) * 2.0**17).backward()
        found.append(given.grad.float())
    torch.testing.assert_close(found[0], found[1], rtol=2e-3, atol=1e-3 * found[1].abs().max().item())
