"""FocalCrossEntropyLoss by hand, as cross-entropy, and where probabilities end; PyTorch for the gradients there."""

import itertools
import math

import numpy as np
import pytest

from shared_spec import LOSSES
from shared_spec.parameters import SpecError
from tests.losses.by_hand import LABEL, P1, loss, loss_of_logits, random_logits, two_channels
from tests.support.assertions import assert_same

NAME, CROSS_ENTROPY = 'FocalCrossEntropyLoss', 'WeightedCrossEntropyLoss'
OWN = np.array([0.8, 0.6, 0.7, 1.0])  # probability of each pixel's class
GAMMAS = [0.25, 0.5, 1.0, 2.0, 5.0, 7.5]


@pytest.mark.parametrize('gamma', [0, *GAMMAS])
def test_focal_cross_entropy_of_classes(gamma):
    cost = [(1 - p) ** gamma * -math.log(p) for p in OWN]
    assert_same(loss(NAME, gamma=gamma), sum(cost) / 4, 'float64')
    assert_same(loss(NAME, gamma=gamma, alpha=0.4), 0.4 * sum(cost) / 4, 'float64')
    weighted = 2 * (cost[0] + cost[1]) + 0.5 * (cost[2] + cost[3])
    assert_same(loss(NAME, gamma=gamma, alpha=[2, 0.5]), weighted / 4, 'float64')
    weight = np.array([[1.0, 0, 3, 1]])
    assert_same(loss(NAME, gamma=gamma, pixel_weight=weight), (cost[0] + 3 * cost[2] + cost[3]) / 5, 'float64')


@pytest.mark.parametrize('gamma', [0, *GAMMAS])
def test_focal_cross_entropy_of_a_channel_by_itself(gamma):
    """alpha on the foreground, 1 - alpha on the background."""
    pred, shares = P1[None, None], [0.7, 0.7, 0.3, 0.3]
    cost = [(1 - p) ** gamma * -math.log(p) for p in OWN]
    assert_same(loss(NAME, pred, LABEL, gamma=gamma), sum(cost) / 4, 'float64')
    want = sum(a * c for a, c in zip(shares, cost)) / 4
    assert_same(loss(NAME, pred, LABEL, gamma=gamma, alpha=0.3), want, 'float64')
    two = (0.2 * (cost[0] + cost[1]) + 3 * (cost[2] + cost[3])) / 4
    assert_same(loss(NAME, pred, LABEL, gamma=gamma, alpha=[0.2, 3]), two, 'float64')
    maps = np.tile(pred * 0.9, (1, 2, 1))
    one = [loss(NAME, maps[:, :1], LABEL, gamma=gamma, alpha=a) for a in (0.3, 0.9)]
    labels = np.tile(LABEL[:, None], (1, 2, 1)).astype(float)
    got = loss(NAME, maps, labels, gamma=gamma, alpha=[0.3, 0.9], activation='sigmoid')
    assert_same(got, sum(one) / 2, 'float64')


def test_focal_cross_entropy_of_soft_labels_is_a_sum_over_classes():
    p, y = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.6, 0.3])
    want = sum(q * (1 - x) ** 3 * -math.log(x) for q, x in zip(y, p))
    assert_same(loss(NAME, p[None, :, None], y[None, :, None], gamma=3), want, 'float64')
    want = sum(a * q * (1 - x) ** 3 * -math.log(x) for a, q, x in zip((1, 0, 4), y, p))
    assert_same(loss(NAME, p[None, :, None], y[None, :, None], gamma=3, alpha=[1, 0, 4]), want, 'float64')


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
def test_focal_cross_entropy_at_gamma_0_is_cross_entropy(activation):
    z, label = random_logits(4)
    label[0, :2] = 255
    params = dict(activation=activation, ignore_index=255)
    assert_same(
        loss_of_logits(NAME, z, label, gamma=0, **params), loss_of_logits(CROSS_ENTROPY, z, label, **params), 'float64'
    )


@pytest.mark.parametrize('gamma', GAMMAS)
def test_focal_cross_entropy_of_one_channel_is_that_of_two(gamma):
    z, label = random_logits(5, c=1)[0], random_logits(5, c=2)[1]
    for alpha in (None, [0.25, 2.0]):
        want = loss_of_logits(NAME, two_channels(z), label, gamma=gamma, alpha=alpha)
        assert_same(loss_of_logits(NAME, z, label, gamma=gamma, alpha=alpha), want, 'float64')


def test_focal_cross_entropy_falls_with_gamma():
    z, label = random_logits(6)
    found = [loss_of_logits(NAME, z, label, gamma=gamma) for gamma in (0, *GAMMAS)]
    assert all(a > b for a, b in itertools.pairwise(found))


def test_focal_cross_entropy_refuses_what_no_negative_can_weigh():
    with pytest.raises(SpecError, match='^FocalCrossEntropyLoss: alpha must be at most 1 for sigmoid channels'):
        LOSSES[NAME](activation='sigmoid', alpha=1.5)
    z, label = random_logits(7, c=1)[0], random_logits(7, c=2)[1]
    with pytest.raises(ValueError, match='^FocalCrossEntropyLoss: alpha must be at most 1 for sigmoid .*, got 1.5'):
        loss_of_logits(NAME, z, label, alpha=1.5)
    with pytest.raises(ValueError, match='alpha must have 1 or 2 entries, got 3'):
        loss_of_logits(NAME, z, label, alpha=[1, 1, 1])
    with pytest.raises(ValueError, match='alpha must have 3 entries, one for each class, got 2'):
        loss_of_logits(NAME, *random_logits(7), alpha=[1, 1])


@pytest.mark.parametrize('size', [60.0, 1e4])
@pytest.mark.parametrize('gamma', [0, *GAMMAS])
def test_focal_cross_entropy_of_huge_logits(gamma, size):
    """A pixel that is wrong costs its logits' difference and has the gradient of cross-entropy, one that is right none."""
    torch = pytest.importorskip('torch')
    from mmseg_plugin.losses import FocalCrossEntropyLoss

    for dtype in (torch.float32, torch.float64):
        z = torch.tensor([[[size, size], [-size, -size]]], dtype=dtype, requires_grad=True)
        value = FocalCrossEntropyLoss(gamma=gamma, reduction='sum')(z, torch.tensor([[0, 1]]))
        assert_same(value.item(), 2 * size, 'float32')
        (slope,) = torch.autograd.grad(value, z)
        assert_same(slope[0].numpy(), np.array([[0.0, 1.0], [0.0, -1.0]]), 'float32')
        one = z.detach()[:, :1].requires_grad_()
        value = FocalCrossEntropyLoss(gamma=gamma, reduction='sum')(one, torch.tensor([[1, 0]]))
        assert_same(value.item(), size, 'float32')
        assert_same(torch.autograd.grad(value, one)[0][0, 0].numpy(), np.array([0.0, 1.0]), 'float32')


@pytest.mark.parametrize('gamma', GAMMAS)
def test_focal_cross_entropy_of_a_wrong_pixel_that_cannot_be(gamma):
    torch = pytest.importorskip('torch')
    from mmseg_plugin.losses import FocalCrossEntropyLoss

    z = torch.tensor([[[0.5], [-math.inf], [0.5]]], requires_grad=True)
    value = FocalCrossEntropyLoss(gamma=gamma)(z, torch.tensor([[1]]))
    assert value.item() == math.inf
    y = torch.tensor([[[0.5], [0.0], [0.5]]])
    value = FocalCrossEntropyLoss(gamma=gamma)(z, y)
    value.backward()
    assert_same(value.item(), 2 * 0.5 * 0.5**gamma * math.log(2), 'float32')
    assert torch.isfinite(z.grad).all() and z.grad.abs().max() < 1e-6
