"""OhemCrossEntropyLoss by hand, where nothing or all is in, and strictly, on the reference and in every framework."""

import math

import numpy as np
import pytest

from tests.losses.by_hand import LABEL, P1, loss, loss_of_logits, random_logits, two_channels
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

NAME, CROSS_ENTROPY = 'OhemCrossEntropyLoss', 'WeightedCrossEntropyLoss'
COST = [-math.log(p) for p in (0.8, 0.6, 0.7, 1.0)]  # of each pixel of ``by_hand``
TWO = (COST[1] + COST[2]) / 2
EQUAL = np.zeros((1, 2, 105), np.float32), np.arange(105)[None] % 2  # whose labels have the probability 0.5


@pytest.mark.parametrize(
    ('thresh', 'min_kept', 'want'),
    [
        (0.75, 0, TWO),
        (0.7, 0, COST[1]),  # strictly below
        (0.6, 0, 0),
        (1.0, 0, (COST[0] + COST[1] + COST[2]) / 3),
        (0.0, 0, 0),
        (0.1, 1, 0),  # below the smallest
        (0.1, 2, COST[1]),
        (0.1, 3, TWO),
        (0.75, 2, TWO),
        (0.95, 3, (COST[0] + COST[1] + COST[2]) / 3),
        (0.1, 4, sum(COST) / 4),  # all, not those below the largest
        (0.1, 10**9, sum(COST) / 4),
    ],
)
def test_ohem_cross_entropy_of_classes(thresh, min_kept, want):
    torch = pytest.importorskip('torch')
    from mmseg_plugin.losses import OhemCrossEntropyLoss

    params = dict(thresh=thresh, min_kept=min_kept)
    assert_same(loss(NAME, **params), want, 'float64')
    one = P1[None, None]
    assert_same(loss(NAME, one, LABEL, **params), want, 'float64')
    got = OhemCrossEntropyLoss(from_logits=False, **params)(torch.from_numpy(one), torch.from_numpy(LABEL))
    assert_same(got.numpy(), want, 'float64')


def test_ohem_cross_entropy_weighs_classes_after_it_has_selected():
    for pred in (None, P1[None, None]):
        given = () if pred is None else (pred, LABEL)
        got = loss(NAME, *given, thresh=0.75, min_kept=0, class_weight=[3, 0.5])
        assert_same(got, (3 * COST[1] + 0.5 * COST[2]) / 2, 'float64')
        assert_same(loss(NAME, *given, thresh=0.1, min_kept=2, class_weight=[0, 9]), 0.0, 'float64')


def test_ohem_cross_entropy_counts_pixels_and_weighs_them_in_the_mean():
    weight = np.array([[1.0, 0, 3, 1]])
    assert_same(loss(NAME, pixel_weight=weight, thresh=0.9, min_kept=0), (COST[0] + 3 * COST[2]) / 4, 'float64')
    assert_same(loss(NAME, pixel_weight=weight, thresh=0.1, min_kept=2), COST[2], 'float64')
    every = (COST[0] + 3 * COST[2] + COST[3]) / 5
    assert_same(loss(NAME, pixel_weight=weight, thresh=0.1, min_kept=3), every, 'float64')


def test_ohem_cross_entropy_of_channels_compares_the_mean_of_their_logarithms():
    """Two channels right with 0.9 and 0.4: as one with the probability sqrt(0.36)."""
    pred, label = np.array([[[0.9], [0.6]]]), np.array([[[1.0], [0.0]]])
    cost = -(math.log(0.9) + math.log(0.4)) / 2
    for thresh, want in ((0.61, cost), (0.59, 0.0)):
        params = dict(activation='sigmoid', thresh=thresh, min_kept=0)
        assert_same(loss(NAME, pred, label, **params), want, 'float64')


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
def test_ohem_cross_entropy_of_few_pixels_is_cross_entropy(activation):
    z, label = random_logits(4)
    label[0, :2] = 255
    params = dict(activation=activation, ignore_index=255, class_weight=[1, 2, 0.5])
    want = loss_of_logits(CROSS_ENTROPY, z, label, divisor='pixels', **params)
    assert_same(loss_of_logits(NAME, z, label, **params), want, 'float64')


@pytest.mark.parametrize('min_kept', [0, 1, 2, 50, 104])
def test_ohem_cross_entropy_of_equal_pixels(min_kept):
    """None is below the others, however many there are to be; nor below 0.5."""
    torch = pytest.importorskip('torch')
    from mmseg_plugin.losses import OhemCrossEntropyLoss

    z, label = EQUAL
    for thresh in (0.4, 0.5):
        assert loss_of_logits(NAME, z, label, thresh=thresh, min_kept=min_kept) == 0
        given = torch.from_numpy(z).requires_grad_()
        value = OhemCrossEntropyLoss(thresh=thresh, min_kept=min_kept)(given, torch.from_numpy(label))
        value.backward()
        assert value.item() == 0 and not given.grad.any()
    assert_same(loss_of_logits(NAME, z, label, thresh=0.51, min_kept=min_kept), math.log(2), 'float64')


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_ohem_cross_entropy_of_equal_pixels_in_keras(framework, worker):
    z, label = EQUAL
    given = dict(z=z, y=label.astype(np.int32))
    for thresh, want in ((0.5, 0.0), (0.51, math.log(2))):
        config = dict(type=NAME, thresh=thresh, min_kept=50)
        _, found = worker.call('tests.losses.selection_calls:maps', given, loss=config, jit=True)
        assert_same(found['mean'], np.float32(want), 'float32')
        assert_same(found['none'], np.full((1, 105), want, np.float32), 'float32')


@pytest.mark.parametrize('min_kept', [0, 5])
def test_ohem_cross_entropy_of_one_channel_is_that_of_two(min_kept):
    z, label = random_logits(5, c=1)[0], random_logits(5, c=2)[1]
    for weights in (None, [0.25, 2.0]):
        params = dict(thresh=0.4, min_kept=min_kept, class_weight=weights)
        want = loss_of_logits(NAME, two_channels(z), label, **params)
        assert want > 0
        assert_same(loss_of_logits(NAME, z, label, **params), want, 'float64')


def test_ohem_cross_entropy_never_drops_what_is_no_number():
    torch = pytest.importorskip('torch')
    from mmseg_plugin.losses import OhemCrossEntropyLoss

    z = torch.randn(1, 3, 50)
    z[0, 1, 3] = torch.nan
    for thresh, min_kept in ((0.0, 0), (0.0, 1), (0.5, 5), (0.5, 100)):
        loss = OhemCrossEntropyLoss(thresh=thresh, min_kept=min_kept)
        assert loss(z, torch.arange(50)[None] % 3).isnan(), (thresh, min_kept)
