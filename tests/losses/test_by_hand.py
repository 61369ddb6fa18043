"""Values that fit on the back of an envelope, written as formulas; on the reference (the parity tests do the rest)."""

import math

import numpy as np
import pytest

from shared_spec import LOSSES
from tests.support.same import assert_same

# two classes, four pixels, probabilities of class 1; labels 0 0 1 1
P1 = np.array([0.2, 0.4, 0.7, 1.0])
PRED = np.stack([1 - P1, P1])[None]
LABEL = np.array([[0, 0, 1, 1]])
TP, FP, FN = 0.7 + 1.0, 0.2 + 0.4, 0.3 + 0.0  # of class 1


def loss(name, pred=PRED, target=LABEL, weight=None, **params):
    return LOSSES[name](from_logits=False, **params).reference(pred, target, weight)


@pytest.mark.parametrize(
    ('name', 'params', 'want'),
    [
        ('JaccardMetricLoss', {}, 1 - (TP + 1e-3) / (TP + FP + FN + 1e-3)),
        ('SoftJaccardLoss', dict(smooth=2), 1 - (TP + 2) / (TP + FP + FN + 2)),
        ('DiceSemimetricLoss', dict(smooth=0), 1 - TP / (TP + FP / 2 + FN / 2)),
        ('SoftDiceLoss', dict(smooth=0), 1 - 2 * TP / (2 * TP + FP + FN)),
        ('CompatibleTverskyLoss', dict(alpha=2, beta=3, smooth=0), 1 - TP / (TP + 2 * FP + 3 * FN)),
        ('SoftTverskyLoss', dict(smooth=0), 1 - TP / (TP + 0.3 * FP + 0.7 * FN)),
        ('JaccardMetricLoss', dict(smooth=0, log_loss=True), math.log((TP + FP + FN) / TP)),
        ('JaccardMetricLoss', dict(smooth=0, gamma=2), (1 - TP / (TP + FP + FN)) ** 2),
        ('SoftDiceLoss', dict(smooth=0, norm=2), 1 - 2 * TP / (0.04 + 0.16 + 0.49 + 1 + 2)),
        ('JaccardMetricLoss', dict(smooth=0, loss_weight=3), 3 * (1 - TP / (TP + FP + FN))),
    ],
)
def test_overlap_losses(name, params, want):
    assert_same(loss(name, classes=[1], **params), want, 'float64')


def test_class_weights_multiply_and_do_not_join_the_divisor():
    one, two = (loss('JaccardMetricLoss', classes=[k]) for k in (0, 1))
    assert_same(loss('JaccardMetricLoss', class_weight=[3, 5]), (3 * one + 5 * two) / 2, 'float64')


def test_granularity_weights_are_not_normalised():
    d, i, c = (loss('JaccardMetricLoss', granularity=g) for g in 'DIC')
    assert_same(loss('JaccardMetricLoss', granularity={'D': 2, 'I': 3, 'C': 5}), 2 * d + 3 * i + 5 * c, 'float64')


def test_a_class_that_no_image_has_counts_under_all_alone():
    label = np.zeros((1, 4), int)
    pred = np.stack([np.full(4, 0.75), np.full(4, 0.25)])[None]
    present = 1 - 3 / (3 + 1)
    assert_same(loss('SoftJaccardLoss', pred, label, smooth=0), present, 'float64')
    assert_same(loss('SoftJaccardLoss', pred, label, smooth=0, classes='all'), (present + 1) / 2, 'float64')


def test_generalized_dice_weights():
    """Class 0 has 6 pixels, class 1 has 2: weights 1/36 and 1/4."""
    p1 = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.8, 0.8])
    pred, label = np.stack([1 - p1, p1])[None], np.array([[0] * 6 + [1] * 2])
    top = 5.4 / 36 + 1.6 / 4
    bottom = (5.4 + 0.4 + 6) / 2 / 36 + (0.6 + 1.6 + 2) / 2 / 4
    assert_same(loss('GeneralizedDiceLoss', pred, label, smooth=0), 1 - top / bottom, 'float64')


@pytest.mark.parametrize('weighting', ['square', 'simple', 'uniform'])
def test_generalized_dice_does_not_depend_on_the_size_of_the_image(weighting):
    rng = np.random.default_rng(0)
    pred, label = np.moveaxis(rng.dirichlet([1, 1, 1], (1, 20)), -1, 1), rng.integers(0, 3, (1, 20))
    small = loss('GeneralizedDiceLoss', pred, label, weighting=weighting, smooth=0)
    large = loss('GeneralizedDiceLoss', np.tile(pred, 50), np.tile(label, 50), weighting=weighting, smooth=0)
    assert_same(large, small, 'float64')


def test_generalized_dice_absent_class():
    """Class 2 has no pixel and 0.4 of predicted mass; present classes have 2 and 2 pixels: weights 1/4, 1/4 and 1/4 or 0."""
    pred = np.array([[[0.9, 0.9, 0.1, 0.1], [0.0, 0.0, 0.8, 0.8], [0.1, 0.1, 0.1, 0.1]]])
    label = np.array([[0, 0, 1, 1]])
    top, drop, most = 1.8 + 1.6, (2.0 + 2) / 2 + (1.6 + 2) / 2, (2.0 + 2) / 2 + (1.6 + 2) / 2 + 0.4 / 2
    assert_same(loss('GeneralizedDiceLoss', pred, label, smooth=0, absent='drop'), 1 - top / drop, 'float64')
    assert_same(loss('GeneralizedDiceLoss', pred, label, smooth=0), 1 - top / most, 'float64')
    empty = np.full((1, 1, 4), 0.3)
    assert loss('GeneralizedDiceLoss', empty, np.zeros((1, 4), int)) == 0.0, 'no class at all'


def test_cross_entropy_and_its_denominators():
    nll = [-math.log(0.8), -math.log(0.6), -math.log(0.7), 0.0]
    assert_same(loss('WeightedCrossEntropyLoss'), sum(nll) / 4, 'float64')
    weighted = 2 * nll[0] + 2 * nll[1] + 5 * nll[2]
    assert_same(loss('WeightedCrossEntropyLoss', class_weight=[2, 5]), weighted / (2 + 2 + 5 + 5), 'float64')
    soft = np.stack([1 - LABEL[0], LABEL[0]])[None].astype(float)
    assert_same(loss('WeightedCrossEntropyLoss', target=soft, class_weight=[2, 5]), weighted / 4, 'float64')
    weight = np.array([[1.0, 0, 3, 1]])
    assert_same(loss('WeightedCrossEntropyLoss', weight=weight), (nll[0] + 3 * nll[2]) / 5, 'float64')


def test_inverse_frequency_is_n_valid_over_classes_times_count():
    label = np.array([[0, 1, 1, 1]])
    weighted = (4 / (2 * 1)) * -math.log(0.8) + (4 / (2 * 3)) * -(math.log(0.4) + math.log(0.7))
    want = weighted / (4 / 2 * 1 + 4 / 6 * 3)
    assert_same(loss('WeightedCrossEntropyLoss', target=label, class_weight='inverse_frequency'), want, 'float64')


def test_balanced_weighs_each_side_by_the_share_of_the_other():
    label, pred = np.array([[0, 1, 1, 1]]), P1[None, None]
    beta = 1 / 4
    want = -(beta * (math.log(0.4) + math.log(0.7)) + (1 - beta) * math.log(0.8)) / 4
    assert_same(loss('WeightedCrossEntropyLoss', pred, label, class_weight='balanced'), want, 'float64')
    with pytest.raises(ValueError, match='binary'):
        loss('WeightedCrossEntropyLoss', class_weight='balanced')


def test_one_channel_with_two_weights_is_the_two_channel_softmax():
    z = np.array([[[1.0, -2.0, 0.3, 2.0]]])
    label = np.array([[0, 1, 1, 0]])
    one = LOSSES['WeightedCrossEntropyLoss'](class_weight=[0.5, 4]).reference(z, label)
    both = np.concatenate([np.zeros_like(z), z], 1)
    assert_same(one, LOSSES['WeightedCrossEntropyLoss'](class_weight=[0.5, 4]).reference(both, label), 'float64')


def test_one_channel_is_the_foreground_of_two():
    z, label = np.array([[[1.0, -2.0, 0.3, 2.0]]]), np.array([[0, 1, 1, 0]])
    both = np.concatenate([np.zeros_like(z), z], 1)
    for name in ('JaccardMetricLoss', 'DiceSemimetricLoss', 'SoftDiceLoss', 'SoftTverskyLoss'):
        want = LOSSES[name](classes=[1]).reference(both, label)
        assert_same(LOSSES[name]().reference(z, label), want, 'float64')


def test_smoothing_is_pytorch_s():
    torch = pytest.importorskip('torch')
    rng = np.random.default_rng(1)
    z, y, w = rng.normal(0, 1, (2, 4, 9)), rng.integers(0, 4, (2, 9)), [0.5, 1.0, 2.0, 3.0]
    y[0, :3] = 255
    want = torch.nn.functional.cross_entropy(
        torch.tensor(z), torch.tensor(y), torch.tensor(w, dtype=torch.float64), ignore_index=255, label_smoothing=0.2
    )
    spec = LOSSES['WeightedCrossEntropyLoss'](class_weight=w, label_smoothing=0.2, ignore_index=255)
    assert_same(spec.reference(z, y), want.item(), 'float64')
    rows = spec.reference(z, y, reduction='none')
    assert rows.shape == (2, 9) and (rows[0, :3] == 0).all()
    assert_same(spec.reference(z, y, reduction='sum'), rows.sum(), 'float64')


def test_smoothing_of_a_channel_by_itself_is_that_of_two_classes():
    """e / 2 goes to the foreground and e / 2 to the background, however many channels there are."""
    e, foreground = 0.3, np.array([0.0, 0, 1, 1]) * 0.7 + 0.3 / 2
    pred = P1[None, None] * 0.9
    cost = -foreground * np.log(pred[0, 0]) - (1 - foreground) * np.log(1 - pred[0, 0])
    assert_same(loss('WeightedCrossEntropyLoss', pred, LABEL, label_smoothing=e), cost.mean(), 'float64')
    three, one_hot = np.tile(pred, (1, 3, 1)), np.tile(LABEL[:, None], (1, 3, 1)).astype(float)
    given = dict(activation='sigmoid', label_smoothing=e)
    assert_same(loss('WeightedCrossEntropyLoss', three, one_hot, **given), cost.mean(), 'float64')


def test_weighted_sum():
    parts = [dict(type='WeightedCrossEntropyLoss', from_logits=False), dict(type='SoftDiceLoss', from_logits=False)]
    spec = LOSSES['WeightedSumLoss'](losses=parts, weights=[0.2, 3], loss_weight=2)
    assert LOSSES['WeightedSumLoss'](parts, weights=[0.2, 3], loss_weight=2) == spec  # the losses need no name
    want = 2 * (0.2 * loss('WeightedCrossEntropyLoss') + 3 * loss('SoftDiceLoss'))
    assert_same(spec.reference(PRED, LABEL), want, 'float64')
