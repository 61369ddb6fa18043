"""TopKCrossEntropyLoss by hand, how many pixels are in, and equal losses, on the reference and in every framework."""

import itertools
import math

import numpy as np
import pytest

from shared_spec import LOSSES
from tests.losses.by_hand import LABEL, P1, loss, loss_of_logits, random_logits, two_channels
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

NAME, CROSS_ENTROPY = 'TopKCrossEntropyLoss', 'WeightedCrossEntropyLoss'
COST = [-math.log(p) for p in (0.8, 0.6, 0.7, 1.0)]  # of each pixel of ``by_hand``
# (k, pixels, how many are in), of which most come out one short where k / 100 is rounded, or k * n
PLACES = [
    (7, 100, 7),
    (57, 7000, 3990),
    (0.57, 10000, 57),
    (8.2, 7000, 574),
    (33.3, 7000, 2331),
    (2.3, 7000, 161),
    (100 / 3, 999, 333),
    (10, 9, 1),
    (1e-9, 5, 1),
    (100, 5, 5),
]
EQUAL = np.zeros((1, 3, 7), np.float32), np.array([[0, 1, 2, 0, 1, 2, 0]])  # 7 pixels that cost log 3


@pytest.mark.parametrize(
    ('k', 'want'),
    [
        (1, COST[1]),
        (49, COST[1]),
        (50, (COST[1] + COST[2]) / 2),
        (75, (COST[1] + COST[2] + COST[0]) / 3),
        (100, sum(COST) / 4),
    ],
)
def test_top_k_cross_entropy_of_classes(k, want):
    assert_same(loss(NAME, k=k), want, 'float64')
    assert_same(loss(NAME, P1[None, None], LABEL, k=k), want, 'float64')
    assert_same(loss(NAME, k=k, loss_weight=0.5), 0.5 * want, 'float64')


def test_top_k_cross_entropy_compares_weighted_losses():
    """The weights of classes turn the order of the second and the third, and are not in the denominator."""
    assert_same(loss(NAME, k=50, class_weight=[0.5, 2]), (2 * COST[2] + 0.5 * COST[1]) / 2, 'float64')
    assert_same(loss(NAME, k=25, class_weight=[0.5, 2]), 2 * COST[2], 'float64')
    assert_same(loss(NAME, P1[None, None], LABEL, k=25, class_weight=[0.5, 2]), 2 * COST[2], 'float64')


def test_top_k_cross_entropy_counts_pixels_and_weighs_them_in_the_mean():
    weight = np.array([[1.0, 0, 3, 1]])
    assert_same(loss(NAME, pixel_weight=weight, k=67), (COST[0] + 3 * COST[2]) / 4, 'float64')
    assert_same(loss(NAME, pixel_weight=weight, k=66), COST[2], 'float64')
    assert_same(loss(NAME, target=np.array([[0, 9, 1, 1]]), ignore_index=9, k=66), COST[2], 'float64')


def test_top_k_cross_entropy_of_soft_labels_and_channels():
    p, y = np.array([[0.5, 0.2], [0.3, 0.6], [0.2, 0.2]]), np.array([[0.1, 0.5], [0.6, 0.5], [0.3, 0]])
    first, second = -(y * np.log(p)).sum(0)
    assert first > second
    assert_same(loss(NAME, p[None], y[None], k=50), first, 'float64')
    of_channels = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(0)
    assert_same(loss(NAME, p[None], y[None], k=50, activation='sigmoid'), of_channels.max(), 'float64')


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
def test_top_k_cross_entropy_of_all_is_cross_entropy(activation):
    z, label = random_logits(4)
    label[0, :2] = 255
    params = dict(activation=activation, ignore_index=255, class_weight=[1, 2, 0.5])
    want = loss_of_logits(CROSS_ENTROPY, z, label, divisor='pixels', **params)
    assert_same(loss_of_logits(NAME, z, label, k=100, **params), want, 'float64')


def test_top_k_cross_entropy_falls_with_k():
    z, label = random_logits(6)
    found = [loss_of_logits(NAME, z, label, k=k) for k in (1, 15, 30, 50, 80, 100)]
    assert all(a > b for a, b in itertools.pairwise(found))


@pytest.mark.parametrize(('k', 'pixels', 'places'), PLACES)
def test_top_k_cross_entropy_has_so_many_pixels(k, pixels, places):
    torch = pytest.importorskip('torch')
    from mmseg_plugin.losses import TopKCrossEntropyLoss

    z = np.random.default_rng(0).normal(0, 2, (1, 1, pixels))
    label = np.zeros((1, pixels), int)
    costs = np.sort(np.logaddexp(0, z[0, 0]))[::-1]
    want = costs[:places].mean()
    assert_same(loss_of_logits(NAME, z, label, k=k), want, 'float64')
    each = TopKCrossEntropyLoss(k=k, reduction='none')(torch.from_numpy(z), torch.from_numpy(label))
    assert int((each > 0).sum()) == places
    assert_same(TopKCrossEntropyLoss(k=k)(torch.from_numpy(z), torch.from_numpy(label)).numpy(), want, 'float64')


@pytest.mark.parametrize('framework', axis('keras_torch'))
def test_top_k_cross_entropy_of_keras_has_so_many_pixels(framework, worker):
    for k, pixels, places in PLACES:
        z = np.random.default_rng(0).normal(0, 2, (1, 1, pixels))
        given = dict(z=z, y=np.zeros((1, pixels), np.int32))
        _, found = worker.call('tests.losses.selection_calls:maps', given, loss=dict(type=NAME, k=k))
        assert int((found['none'] > 0).sum()) == places, (k, pixels)


def test_top_k_cross_entropy_of_equal_losses_shares_the_places():
    """3 places among 7: the value is that of any 3 of them, the gradient the same in each."""
    torch = pytest.importorskip('torch')
    from mmseg_plugin.losses import TopKCrossEntropyLoss

    z, label = EQUAL
    each = LOSSES[NAME](k=50).reference(z, label, reduction='none')
    assert_same(each, np.full((1, 7), 3 / 7 * math.log(3)), 'float64')
    assert_same(loss_of_logits(NAME, z, label, k=50), math.log(3), 'float64')
    given = torch.from_numpy(z).requires_grad_()
    value = TopKCrossEntropyLoss(k=50)(given, torch.from_numpy(label))
    value.backward()
    assert_same(value.item(), math.log(3), 'float32')
    one = np.eye(3)[label[0]].T[None]
    assert_same(given.grad.numpy(), ((1 / 3 - one) / 7).astype(np.float32), 'float32')


@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_top_k_cross_entropy_of_equal_losses_in_keras(framework, worker):
    z, label = EQUAL
    given = dict(z=z, y=label.astype(np.int32))
    _, found = worker.call('tests.losses.selection_calls:maps', given, loss=dict(type=NAME, k=50), jit=True)
    assert_same(found['none'], np.full((1, 7), 3 / 7 * math.log(3), np.float32), 'float32')
    assert_same(found['mean'], np.float32(math.log(3)), 'float32')


@pytest.mark.parametrize('k', [10, 50])
def test_top_k_cross_entropy_of_one_channel_is_that_of_two(k):
    z, label = random_logits(5, c=1)[0], random_logits(5, c=2)[1]
    for weights in (None, [0.25, 2.0]):
        want = loss_of_logits(NAME, two_channels(z), label, k=k, class_weight=weights)
        assert_same(loss_of_logits(NAME, z, label, k=k, class_weight=weights), want, 'float64')


def test_top_k_cross_entropy_never_drops_what_is_no_number():
    """A class of weight 0 costs nothing, so that its pixels are last; one of them that is NaN is not."""
    torch = pytest.importorskip('torch')
    from mmseg_plugin.losses import TopKCrossEntropyLoss

    z = torch.randn(1, 3, 50)
    label = torch.arange(50)[None] % 3
    z[0, 1, 3] = torch.nan
    assert TopKCrossEntropyLoss(k=2, class_weight=[0, 1, 1])(z, label).isnan()
    assert TopKCrossEntropyLoss(k=2, class_weight=[0, 1, 1], reduction='none')(z, label).isnan().sum() == 1


def test_top_k_cross_entropy_refuses_weights_of_another_number_of_classes():
    z, label = random_logits(7)
    with pytest.raises(ValueError, match='^TopKCrossEntropyLoss: class_weight must have 3 entries'):
        loss_of_logits(NAME, z, label, class_weight=[1, 2])
    torch = pytest.importorskip('torch')
    from mmseg_plugin.losses import TopKCrossEntropyLoss

    with pytest.raises(ValueError, match='^TopKCrossEntropyLoss: class_weight must have 3 entries'):
        TopKCrossEntropyLoss(class_weight=[1, 2])(torch.from_numpy(z), torch.from_numpy(label))
