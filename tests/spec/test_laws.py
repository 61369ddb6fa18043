"""What must hold of the losses whatever the data; on the reference, and on PyTorch where it is installed."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shared_spec import LOSSES
from tests.support.assertions import assert_gradient, assert_same

METRIC = ('JaccardMetricLoss', 'DiceSemimetricLoss', 'CompatibleTverskyLoss')
SOFT = ('SoftJaccardLoss', 'SoftDiceLoss', 'SoftTverskyLoss')
OVERLAP = METRIC + SOFT
REGION = (*OVERLAP, 'GeneralizedDiceLoss')
SAME_SCORE = {
    'JaccardMetricLoss': ('SoftJaccardLoss', {}),
    'DiceSemimetricLoss': ('SoftDiceLoss', {}),
    'CompatibleTverskyLoss': ('SoftTverskyLoss', dict(alpha=0.3, beta=0.7)),
}
seeds = st.integers(0, 10_000)
few = settings(max_examples=10, deadline=None)


def numpy_loss(name, params, pred, target, weight=None):
    return LOSSES[name](**params).reference(pred, target, weight)


def torch_loss(name, params, pred, target, weight=None):
    torch = pytest.importorskip('torch')
    pytest.importorskip('mmseg')
    from mmseg.registry import MODELS

    import mmseg_plugin  # noqa: F401

    loss = MODELS.build(LOSSES[name](**params).to_mmseg())
    pred, target = torch.as_tensor(np.asarray(pred, np.float64)), torch.as_tensor(np.ascontiguousarray(target))
    return loss(pred, target, None if weight is None else torch.as_tensor(weight)).item()


both = pytest.mark.parametrize('loss', [numpy_loss, torch_loss], ids=['numpy', 'torch'])


def simplex(rng, n=2, c=3, space=(3, 4)):
    return np.moveaxis(rng.dirichlet(np.ones(c), (n, *space)), -1, 1)


def ids(rng, n=2, c=3, space=(3, 4)):
    return rng.integers(0, c, (n, *space))


@both
@pytest.mark.parametrize('granularity', ['D', 'I', 'C'])
@pytest.mark.parametrize('name', METRIC)
def test_metric_losses_are_minimal_only_at_the_soft_label(name, granularity, loss):
    @few
    @given(seeds)
    def law(seed):
        rng = np.random.default_rng(seed)
        params = dict(from_logits=False, granularity=granularity, log_loss=bool(seed % 2), gamma=1 + seed % 3)
        y, p = simplex(rng), simplex(rng)
        assume(np.abs(p - y).max() > 1e-3)
        assert_same(loss(name, params, y, y), 0.0, 'float64')
        assert loss(name, params, p, y) > 1e-9

    law()


@pytest.mark.parametrize('name', SOFT)
def test_soft_losses_are_not_minimal_at_the_soft_label(name):
    y = np.full((1, 2, 1, 1), 0.5)
    y[:, 0], y[:, 1] = 0.7, 0.3
    sharper = np.array([1.0, 0.0]).reshape(1, 2, 1, 1)
    params = dict(from_logits=False, classes=[0], smooth=0.0)
    assert numpy_loss(name, params, y, y) > 0.1
    assert numpy_loss(name, params, sharper, y) < numpy_loss(name, params, y, y)


def distance(name, a, b):
    """The loss of one channel as a distance of two soft sets."""
    shape = (1, 1, len(a))
    return numpy_loss(name, dict(from_logits=False, smooth=0.0), a.reshape(shape), b.reshape(shape))


unit = st.lists(st.floats(0.015625, 1, width=32), min_size=4, max_size=4).map(np.array)


@few
@given(unit, unit, unit)
def test_jaccard_metric_is_a_metric(a, b, c):
    d = distance
    name = 'JaccardMetricLoss'
    assert d(name, a, b) == pytest.approx(d(name, b, a), abs=1e-12)
    assert d(name, a, a) == 0 and (d(name, a, b) > 0 or np.array_equal(a, b))
    assert d(name, a, c) <= d(name, a, b) + d(name, b, c) + 1e-12


@few
@given(unit, unit)
def test_dice_semimetric_is_a_semimetric(a, b):
    assert distance('DiceSemimetricLoss', a, b) == pytest.approx(distance('DiceSemimetricLoss', b, a), abs=1e-12)
    assert distance('DiceSemimetricLoss', a, a) == 0
    assert distance('DiceSemimetricLoss', a, b) > 0 or np.array_equal(a, b)


def test_dice_semimetric_is_no_metric():
    """{1} and {2} are 1 apart, but each is 1/3 from {1, 2}: the triangle inequality fails."""
    a, b, c = np.array([1.0, 0.0]), np.array([1.0, 1.0]), np.array([0.0, 1.0])
    assert distance('DiceSemimetricLoss', a, b) == pytest.approx(1 - 2 / 3)
    assert distance('DiceSemimetricLoss', a, c) == 1.0
    assert distance('DiceSemimetricLoss', a, c) > distance('DiceSemimetricLoss', a, b) + distance(
        'DiceSemimetricLoss', b, c
    )


@both
@pytest.mark.parametrize('granularity', ['D', 'I', 'C'])
@pytest.mark.parametrize('name', METRIC)
def test_hard_labels_give_the_soft_loss(name, granularity, loss):
    soft, params = SAME_SCORE[name]

    @few
    @given(seeds)
    def law(seed):
        rng = np.random.default_rng(seed)
        z, y = rng.normal(0, 2, (2, 3, 3, 4)), ids(rng)
        want = loss(soft, dict(granularity=granularity, **params), z, y)
        assert_same(loss(name, dict(granularity=granularity, **params), z, y), want, 'float64')

    law()


@both
@pytest.mark.parametrize('name', [*REGION, 'WeightedCrossEntropyLoss'])
def test_hard_equals_one_hot(name, loss):
    @few
    @given(seeds)
    def law(seed):
        rng = np.random.default_rng(seed)
        z, y = rng.normal(0, 2, (2, 3, 3, 4)), ids(rng)
        params = dict(classes='all') if name in OVERLAP else {}
        assert_same(loss(name, params, z, np.moveaxis(np.eye(3)[y], -1, 1)), loss(name, params, z, y), 'float64')

    law()


WITH_LEVEL = [(n, g) for n in OVERLAP for g in 'DIC'] + [('GeneralizedDiceLoss', g) for g in 'DI']


@both
@pytest.mark.parametrize(('name', 'granularity'), [*WITH_LEVEL, ('WeightedCrossEntropyLoss', None)])
def test_ignored_pixels_are_as_if_deleted(name, granularity, loss):
    params = dict(granularity=granularity) if granularity else {}

    @few
    @given(seeds, st.integers(1, 9))
    def law(seed, deleted):
        rng = np.random.default_rng(seed)
        z, y = rng.normal(0, 2, (2, 3, 12)), ids(rng, space=(12,))
        gone = rng.choice(12, deleted, replace=False)  # the same pixels of every image, so that they can be cut out
        want = loss(name, params, np.delete(z, gone, 2), np.delete(y, gone, 1))
        y[:, gone] = 255
        z[:, :, gone] = rng.choice([-1e4, np.nan, 7.0, np.inf])
        assert_same(loss(name, dict(ignore_index=255, **params), z, y), want, 'float64')
        weight = np.ones((2, 12))
        weight[:, gone] = 0
        assert_same(loss(name, dict(ignore_index=255, **params), z, np.where(y == 255, 0, y), weight), want, 'float64')

    law()


@both
@pytest.mark.parametrize('granularity', ['D', 'I', 'C'])
@pytest.mark.parametrize('name', OVERLAP)
def test_order_of_pixels_images_and_classes_does_not_matter(name, granularity, loss):
    @few
    @given(seeds)
    def law(seed):
        rng = np.random.default_rng(seed)
        z, y = rng.normal(0, 2, (3, 3, 10)), ids(rng, n=3, space=(10,))
        params = dict(granularity=granularity)
        want = loss(name, params, z, y)
        pixels, images, classes = rng.permutation(10), rng.permutation(3), rng.permutation(3)
        assert_same(loss(name, params, z[:, :, pixels], y[:, pixels]), want, 'float64')
        assert_same(loss(name, params, z[images], y[images]), want, 'float64')
        assert_same(loss(name, params, z[:, classes], np.argsort(classes)[y]), want, 'float64')

    law()


@both
@pytest.mark.parametrize('name', OVERLAP)
def test_a_pixel_of_weight_two_is_two_pixels(name, loss):
    @few
    @given(seeds)
    def law(seed):
        rng = np.random.default_rng(seed)
        z, y = rng.normal(0, 2, (2, 3, 8)), ids(rng, space=(8,))
        weight = np.ones((2, 8))
        weight[:, 5] = 2
        twice = np.concatenate([z, z[:, :, 5:6]], 2), np.concatenate([y, y[:, 5:6]], 1)
        assert_same(loss(name, {}, z, y, weight), loss(name, {}, *twice), 'float64')

    law()


@both
@pytest.mark.parametrize('name', OVERLAP)
def test_under_I_and_C_a_cell_does_not_depend_on_its_batch_mates(name, loss):
    @few
    @given(seeds)
    def law(seed):
        rng = np.random.default_rng(seed)
        z, y = rng.normal(0, 2, (3, 3, 9)), ids(rng, n=3, space=(9,))
        alone = [loss(name, dict(granularity='I'), z[i : i + 1], y[i : i + 1]) for i in range(3)]
        assert_same(loss(name, dict(granularity='I'), z, y), np.mean(alone), 'float64')
        cells = [
            [
                loss(name, dict(granularity='C', classes=[k]), z[i : i + 1], y[i : i + 1])
                for i in range(3)
                if (y[i] == k).any()
            ]
            for k in range(3)
        ]
        by_class = [np.mean(column) for column in cells if column]
        assert_same(loss(name, dict(granularity='C'), z, y), np.mean(by_class), 'float64')

    law()


@both
@pytest.mark.parametrize('name', ['CompatibleTverskyLoss', 'SoftTverskyLoss'])
def test_alpha_weighs_false_positives_and_beta_false_negatives(name, loss):
    """One channel, four pixels, smooth 0. by_hand: 1 - tp / (tp + alpha*fp) and 1 - tp / (tp + beta*fn)."""
    params = dict(from_logits=False, smooth=0.0, alpha=0.2, beta=3.0)
    one, two = np.array([[[1.0, 0, 0, 0]]]), np.array([[[1.0, 1, 0, 0]]])
    assert_same(loss(name, params, two, one[:, 0].astype(int)), 1 - 1 / (1 + 0.2), 'float64')
    assert_same(loss(name, params, one, two[:, 0].astype(int)), 1 - 1 / (1 + 3.0), 'float64')


@both
@pytest.mark.parametrize('name', [*OVERLAP, 'WeightedCrossEntropyLoss'])
def test_image_weight_is_the_weight_in_the_mean(name, loss):
    """by_hand: (0.5*l1 + 2*l2) / 2.5 with smooth 0, where a cell's own scale cancels; for pixel losses likewise."""
    rng = np.random.default_rng(3)
    z, y = rng.normal(0, 2, (2, 3, 9)), ids(rng, space=(9,))
    params = dict() if name == 'WeightedCrossEntropyLoss' else dict(granularity='I', smooth=0.0)
    alone = [loss(name, params, z[i : i + 1], y[i : i + 1]) for i in range(2)]
    want = (0.5 * alone[0] + 2 * alone[1]) / 2.5
    assert_same(loss(name, params, z, y, np.array([0.5, 2.0])), want, 'float64')


@both
@pytest.mark.parametrize('name', [*REGION, 'WeightedCrossEntropyLoss', 'WeightedSumLoss'])
def test_nothing_valid_costs_nothing(name, loss):
    z, y = np.random.default_rng(0).normal(0, 2, (2, 3, 9)), np.zeros((2, 9), int)
    assert loss(name, {}, z, y, np.zeros((2, 9))) == 0.0
    assert loss(name, {}, z, y, np.zeros(2)) == 0.0


def test_at_a_tie_the_gradient_of_compatible_tversky_splits_evenly():
    """p = y: d/dp of (alpha*fp + beta*fn)/(|y| + smooth) is (alpha - beta) / 2 / (|y| + smooth), by hand."""
    pytest.importorskip('torch')
    from segparity.parity.torch_side import value_and_gradient

    y = np.array([[[0.25, 0.5, 0.75]]])
    spec = LOSSES['CompatibleTverskyLoss'](from_logits=False, alpha=0.9, beta=0.1, smooth=0.5)
    _, got = value_and_gradient(dict(pred=y, target=y), spec.to_dict(), dtype='float64')
    assert_gradient(got['gradient'], np.full_like(y, (0.9 - 0.1) / 2 / (1.5 + 0.5)), 'float64_gradient')
