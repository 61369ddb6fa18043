"""Values by hand and laws of focal Tversky, log-cosh Dice, Wasserstein, Lovasz, sensitivity, RMI and robust T."""

import itertools
import math
import re

import numpy as np
import pytest

from shared_spec import LOSSES
from shared_spec.losses.region.robust_t import log_gamma_ratio
from shared_spec.parameters import SpecError
from tests.support.same import assert_same

# two classes, four pixels, probabilities of class 1; labels 0 0 1 1
P1 = np.array([0.2, 0.4, 0.7, 1.0])
PRED = np.stack([1 - P1, P1])[None]
LABEL = np.array([[0, 0, 1, 1]])
TP, FP, FN = 0.7 + 1.0, 0.2 + 0.4, 0.3 + 0.0  # of class 1
TP0 = 0.8 + 0.6  # of class 0, whose false positives are the false negatives of class 1

# three classes; rows are the true class, the largest cost is 2
COSTS = [[0, 2, 2], [2, 0, 1], [2, 0.5, 0]]


def loss(name, pred=PRED, target=LABEL, pixel_weight=None, **params):
    return LOSSES[name](from_logits=False, **params).reference(pred, target, pixel_weight)


def of_logits(name, pred, target, pixel_weight=None, **params):
    return LOSSES[name](**params).reference(pred, target, pixel_weight)


def random_case(seed, n=2, c=3, space=(7,)):
    """(probabilities (n, c, *space), class ids (n, *space)), every class in every image."""
    rng = np.random.default_rng(seed)
    label = np.stack([rng.permutation(np.arange(math.prod(space)) % c).reshape(space) for _ in range(n)])
    return np.moveaxis(rng.dirichlet(np.ones(c), (n, *space)), -1, 1), label


def logits_and_label(seed=0):
    """((2, 1, 3, 3) logits, the two channels (0, logits), labels with both classes in each image)."""
    z = np.random.default_rng(seed).normal(0, 2, (2, 1, 3, 3))
    return z, np.concatenate([np.zeros_like(z), z], 1), random_case(seed, 2, 2, (3, 3))[1]


def weighted_mean(a, b):
    return (0.5 * a + 2 * b) / 2.5


@pytest.mark.parametrize(
    ('params', 'want'),
    [
        (dict(classes=[1]), ((0.3 * FP + 0.7 * FN) / (TP + 0.3 * FP + 0.7 * FN + 1e-3)) ** 0.75),
        (dict(classes=[1], alpha=2, beta=5, gamma=2, smooth=0), math.sqrt(1 - TP / (TP + 2 * FP + 5 * FN))),
        (dict(classes=[1], alpha=2, beta=5, gamma=0.5, smooth=3), (1 - (TP + 3) / (TP + 2 * FP + 5 * FN + 3)) ** 2),
        (dict(classes=[1], gamma=1, smooth=0, loss_weight=3), 3 * (1 - TP / (TP + 0.3 * FP + 0.7 * FN))),
    ],
)
def test_focal_tversky(params, want):
    assert_same(loss('FocalTverskyLoss', **params), want, 'float64')


def test_focal_tversky_takes_the_power_of_each_cell_before_the_mean():
    one, zero = (0.3 * FP + 0.7 * FN), (0.3 * FN + 0.7 * FP)
    want = (math.sqrt(one / (TP + one)) + math.sqrt(zero / (TP0 + zero))) / 2
    assert_same(loss('FocalTverskyLoss', gamma=2, smooth=0), want, 'float64')
    weighted = (7 * math.sqrt(one / (TP + one)) + 3 * math.sqrt(zero / (TP0 + zero))) / 2
    assert_same(loss('FocalTverskyLoss', gamma=2, smooth=0, class_weight=[3, 7]), weighted, 'float64')


@pytest.mark.parametrize('granularity', ['D', 'I', 'C'])
def test_focal_tversky_at_gamma_one_is_tversky_and_at_equal_halves_dice(granularity):
    pred, label = random_case(1)
    params = dict(alpha=0.2, beta=1.4, granularity=granularity, class_weight=[1, 2, 4])
    tversky = loss('SoftTverskyLoss', pred, label, **params)
    assert_same(loss('FocalTverskyLoss', pred, label, gamma=1, **params), tversky, 'float64')
    params = dict(granularity=granularity, smooth=0.5)
    dice = loss('SoftDiceLoss', pred, label, **params)
    assert_same(loss('FocalTverskyLoss', pred, label, gamma=1, alpha=0.5, beta=0.5, **params), dice, 'float64')


def test_focal_tversky_of_no_mass_at_all_is_nothing():
    empty, label = np.zeros((1, 1, 4)), np.zeros((1, 4), int)
    assert loss('FocalTverskyLoss', empty, label, classes='all', smooth=0) == 0.0
    assert_same(loss('FocalTverskyLoss', empty + 0.5, label, classes='all', smooth=0), 1.0, 'float64')


def test_log_cosh_dice():
    one, zero = (FP + FN) / (2 * TP + FP + FN), (FP + FN) / (2 * TP0 + FP + FN)
    assert_same(loss('LogCoshDiceLoss', classes=[1], smooth=0), math.log(math.cosh(one)), 'float64')
    assert_same(loss('LogCoshDiceLoss', smooth=0), math.log(math.cosh((one + zero) / 2)), 'float64')
    v_net = 1 - 2 * TP / (0.04 + 0.16 + 0.49 + 1 + 2)
    assert_same(loss('LogCoshDiceLoss', classes=[1], smooth=0, norm=2), math.log(math.cosh(v_net)), 'float64')


@pytest.mark.parametrize('granularity', ['D', 'I', 'C'])
@pytest.mark.parametrize('norm', [1, 2])
def test_log_cosh_dice_is_log_cosh_of_the_mean_dice_loss(norm, granularity):
    pred, label = random_case(2)
    params = dict(norm=norm, granularity=granularity, smooth=0.25, class_weight=[5, 1, 2])
    dice = loss('SoftDiceLoss', pred, label, **params)
    got = loss('LogCoshDiceLoss', pred, label, loss_weight=3, **params)
    assert_same(got, 3 * math.log((math.exp(dice) + math.exp(-dice)) / 2), 'float64')


def test_log_cosh_dice_of_a_small_dice_loss_is_half_its_square():
    p = np.where(LABEL == 1, 1 - 1e-6, 1e-6)[:, None]
    dice = loss('SoftDiceLoss', p, LABEL)
    assert 0 < dice < 1e-5
    assert_same(loss('LogCoshDiceLoss', p, LABEL), dice**2 / 2, 'float64', scale=dice**2 / 2)


PREDICTED = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.3, 0.5, 0.2], [0.1, 0.2, 0.7]]).T[None]
TRUE = np.array([[0, 1, 1, 2]])
# costs of the four pixels: COSTS / 2, the row of the true class, against the probabilities
D = [0.2 + 0.1, 0.5 + 0.5 * 0.1, 0.3 + 0.5 * 0.2, 0.1 + 0.25 * 0.2]


def test_wasserstein_dice():
    tp = (1 - D[1]) + (1 - D[2]) + (1 - D[3])
    got = loss('GeneralizedWassersteinDiceLoss', PREDICTED, TRUE, distance_matrix=COSTS)
    assert_same(got, 1 - 2 * tp / (2 * tp + sum(D)), 'float64')
    tp = (1 - D[0]) + (1 - D[3])
    got = loss('GeneralizedWassersteinDiceLoss', PREDICTED, TRUE, distance_matrix=COSTS, background=1, smooth=0.5)
    assert_same(got, 1 - (2 * tp + 0.5) / (2 * tp + sum(D) + 0.5), 'float64')


def test_wasserstein_dice_by_inverse_size():
    """Sizes 1, 2, 1: the weights 1/(n + 1) are 1/2, 1/3 and 1/2."""
    top = (1 - D[0]) / 2 + (1 - D[1] + 1 - D[2]) / 3 + (1 - D[3]) / 2
    bottom = (2 - D[0]) / 2 + (2 - D[1] + 2 - D[2]) / 3 + (2 - D[3]) / 2
    params = dict(distance_matrix=COSTS, weighting='gdl', smooth=0.1)
    got = loss('GeneralizedWassersteinDiceLoss', PREDICTED, TRUE, **params)
    assert_same(got, 1 - (2 * top + 0.1) / (bottom + 0.1), 'float64')


def test_wasserstein_dice_of_a_background_image():
    """Without foreground the default costs 1 unless the prediction is perfect; the other weights have no such trap."""
    label = np.zeros((1, 2), int)
    pred, perfect = np.array([[[0.5, 1.0], [0.5, 0.0]]]), np.array([[[1.0, 1.0], [0.0, 0.0]]])
    assert_same(loss('GeneralizedWassersteinDiceLoss', pred, label), 1.0, 'float64')
    assert_same(loss('GeneralizedWassersteinDiceLoss', perfect, label, smooth=0), 0.0, 'float64')
    assert_same(loss('GeneralizedWassersteinDiceLoss', pred, label, weighting='gdl'), 1 - 3 / (4 - 0.5), 'float64')


def test_wasserstein_dice_of_two_classes_with_unequal_costs():
    """A missed foreground costs four times a false alarm: costs 0.2/4, 0.4/4, 0.3, 0."""
    tp = (1 - 0.3) + 1
    got = loss('GeneralizedWassersteinDiceLoss', distance_matrix=[[0, 1], [4, 0]])
    assert_same(got, 1 - 2 * tp / (2 * tp + 0.05 + 0.1 + 0.3), 'float64')


def test_wasserstein_dice_does_not_depend_on_the_unit_of_the_costs():
    want = loss('GeneralizedWassersteinDiceLoss', PREDICTED, TRUE, distance_matrix=COSTS)
    tenfold = [[10 * cost for cost in row] for row in COSTS]
    assert_same(loss('GeneralizedWassersteinDiceLoss', PREDICTED, TRUE, distance_matrix=tenfold), want, 'float64')
    transposed = np.array(COSTS).T.tolist()
    assert abs(loss('GeneralizedWassersteinDiceLoss', PREDICTED, TRUE, distance_matrix=transposed) - want) > 1e-3


def test_wasserstein_dice_whose_mistakes_all_cost_one():
    """The cost of a pixel is 1 - p_true: of three classes a Dice of the foreground whose mistakes are all pixels'."""
    wrong = (1 - 0.7) + (1 - 0.4) + (1 - 0.5) + (1 - 0.7)
    tp = 0.4 + 0.5 + 0.7
    for matrix in (None, [[0, 1, 1], [1, 0, 1], [1, 1, 0]]):
        got = loss('GeneralizedWassersteinDiceLoss', PREDICTED, TRUE, distance_matrix=matrix)
        assert_same(got, 1 - 2 * tp / (2 * tp + wrong), 'float64')


def test_wasserstein_dice_of_two_classes_is_the_dice_of_the_foreground():
    pred, label = random_case(3, n=3, c=2)
    dice = loss('SoftDiceLoss', pred, label, classes=[1], granularity='I', smooth=0.25)
    assert_same(loss('GeneralizedWassersteinDiceLoss', pred, label, smooth=0.5), dice, 'float64')


def test_wasserstein_dice_is_the_mean_over_images_by_their_weights():
    pred, label = random_case(4)
    params = dict(distance_matrix=COSTS, weighting='gdl')
    alone = [loss('GeneralizedWassersteinDiceLoss', pred[i : i + 1], label[i : i + 1], **params) for i in (0, 1)]
    got = loss('GeneralizedWassersteinDiceLoss', pred, label, **params)
    assert_same(got, (alone[0] + alone[1]) / 2, 'float64')


@pytest.mark.parametrize('weighting', ['default', 'gdl'])
def test_wasserstein_dice_of_one_channel_is_that_of_two(weighting):
    z, both, label = logits_and_label()
    want = of_logits('GeneralizedWassersteinDiceLoss', both, label, weighting=weighting)
    assert_same(of_logits('GeneralizedWassersteinDiceLoss', z, label, weighting=weighting), want, 'float64')


def jaccard_loss(mistakes, foreground):
    """1 - IoU of the foreground and a prediction that differs from it in the set ``mistakes``."""
    predicted = foreground ^ mistakes
    return 1 - len(predicted & foreground) / len(predicted | foreground) if predicted | foreground else 0.0


def lovasz_extension(errors, foreground):
    """The integral over t of the Jaccard loss of the pixels whose error is at least t; errors >= 0."""
    levels = sorted({0.0, *errors})
    return sum(
        (high - low) * jaccard_loss({i for i, e in enumerate(errors) if e >= high}, foreground)
        for low, high in itertools.pairwise(levels)
    )


def by_the_worst_order(errors, foreground):
    """The largest sum of errors times increments of the Jaccard loss over all orders of pixels: its convex closure."""
    sums = []
    for order in itertools.permutations(range(len(errors))):
        jaccard = [jaccard_loss(set(order[:k]), foreground) for k in range(len(order) + 1)]
        sums.append(sum(errors[i] * (jaccard[k + 1] - jaccard[k]) for k, i in enumerate(order)))
    return max(sums)


def test_lovasz_softmax():
    """Errors of class 1 fall as 0.4 (0), 0.3 (1), 0.2 (0), 0 (1); the Jaccard losses are 1/3, 2/3, 3/4, 1."""
    one = 0.4 * 1 / 3 + 0.3 * (2 / 3 - 1 / 3) + 0.2 * (3 / 4 - 2 / 3)
    assert_same(loss('LovaszSoftmaxLoss', classes=[1]), one, 'float64')


def test_lovasz_softmax_of_two_classes_is_the_mean_of_their_weighted_losses():
    """Class 0 has the same errors, in, out, in, out of it; the Jaccard losses are 1/2, 2/3, 1, 1."""
    one = 0.4 * 1 / 3 + 0.3 * (2 / 3 - 1 / 3) + 0.2 * (3 / 4 - 2 / 3)
    zero = 0.4 * 1 / 2 + 0.3 * (2 / 3 - 1 / 2) + 0.2 * (1 - 2 / 3)
    assert_same(loss('LovaszSoftmaxLoss', class_weight=[3, 5], loss_weight=2), 2 * (3 * zero + 5 * one) / 2, 'float64')


@pytest.mark.parametrize('seed', range(4))
def test_lovasz_softmax_is_the_extension_of_the_jaccard_loss_of_sets(seed):
    pred, label = random_case(seed, n=1, c=3, space=(6,))
    label[label == 2] = seed % 3
    want = {}
    for k in range(3):
        errors = [1 - pred[0, k, i] if label[0, i] == k else pred[0, k, i] for i in range(6)]
        foreground = {i for i in range(6) if label[0, i] == k}
        want[k] = lovasz_extension(errors, foreground)
        assert_same(want[k], by_the_worst_order(errors, foreground), 'float64')
    present = [want[k] for k in set(label[0])]
    assert_same(loss('LovaszSoftmaxLoss', pred, label), sum(present) / len(present), 'float64')
    assert_same(loss('LovaszSoftmaxLoss', pred, label, classes='all'), sum(want.values()) / 3, 'float64')


@pytest.mark.parametrize('seed', range(6))
def test_lovasz_softmax_of_zeros_and_ones_is_one_minus_iou(seed):
    rng = np.random.default_rng(seed)
    mask, label = rng.random((2, 3, 5)) < 0.5, rng.random((2, 3, 5)) < (0.05 if seed == 0 else 0.4)
    want = 1 - (mask & label).sum() / (mask | label).sum()
    assert_same(loss('LovaszSoftmaxLoss', mask[:, None] * 1.0, label, classes='all'), want, 'float64')
    want = 1 - (mask & label).sum((1, 2)) / (mask | label).sum((1, 2))
    got = loss('LovaszSoftmaxLoss', mask[:, None] * 1.0, label, classes='all', per_image=True)
    assert_same(got, want.mean(), 'float64')


def test_lovasz_softmax_of_an_absent_class_is_its_largest_error():
    label = np.zeros((1, 4), int)
    assert_same(loss('LovaszSoftmaxLoss', target=label, classes=[1]), 1.0, 'float64')
    assert_same(loss('LovaszSoftmaxLoss', PRED[:, :, :3], label[:, :3], classes=[1]), 0.7, 'float64')
    absent_is_left_out = loss('LovaszSoftmaxLoss', target=label)
    assert_same(absent_is_left_out, loss('LovaszSoftmaxLoss', target=label, classes=[0]), 'float64')


def test_lovasz_softmax_sorts_the_batch_and_does_not_mind_the_order_of_its_pixels():
    pred, label = random_case(5)
    want = loss('LovaszSoftmaxLoss', pred, label)
    order = np.random.default_rng(0).permutation(14)
    shuffled = np.moveaxis(np.moveaxis(pred, 1, 2).reshape(14, 3)[order].reshape(2, 7, 3), 2, 1)
    shuffled_label = label.reshape(14)[order].reshape(2, 7)
    assert_same(loss('LovaszSoftmaxLoss', shuffled, shuffled_label), want, 'float64')
    alone = [loss('LovaszSoftmaxLoss', pred[i : i + 1], label[i : i + 1]) for i in (0, 1)]
    assert_same(loss('LovaszSoftmaxLoss', pred, label, per_image=True), sum(alone) / 2, 'float64')
    assert abs(sum(alone) / 2 - want) > 1e-6


def test_lovasz_softmax_of_one_channel_is_the_foreground_of_two():
    z, both, label = logits_and_label()
    want = of_logits('LovaszSoftmaxLoss', both, label, classes=[1])
    assert_same(of_logits('LovaszSoftmaxLoss', z, label), want, 'float64')


def test_lovasz_hinge():
    """Errors 1 - z*(2y - 1) are -1, 1.5, 0.5, -2: a false alarm, then a miss, each of Jaccard loss 1/3."""
    z, label = np.array([[[-2.0, 0.5, 0.5, 3.0]]]), LABEL
    assert_same(of_logits('LovaszHingeLoss', z, label), 1.5 / 3 + 0.5 / 3, 'float64')
    assert_same(of_logits('LovaszHingeLoss', z, label, loss_weight=4), 4 * (1.5 / 3 + 0.5 / 3), 'float64')


def test_lovasz_hinge_without_foreground_is_its_largest_error():
    z, label = np.array([[[-2.0, 0.5, 0.25, 3.0]]]), np.zeros((1, 4), int)
    assert_same(of_logits('LovaszHingeLoss', z, label), 1 + 3.0, 'float64')
    assert_same(of_logits('LovaszHingeLoss', z - 10, label), 0.0, 'float64')


@pytest.mark.parametrize('seed', range(4))
def test_lovasz_hinge_is_the_extension_of_the_jaccard_loss_of_sets(seed):
    rng = np.random.default_rng(seed)
    z, label = rng.normal(0, 1.5, (2, 1, 6)), rng.integers(0, 2, (2, 6))
    label[:, 0] = 1
    errors = np.maximum(1 - z[:, 0] * np.where(label == 1, 1, -1), 0)
    want = [lovasz_extension(e.tolist(), set(np.flatnonzero(y).tolist())) for e, y in zip(errors, label)]
    assert_same(of_logits('LovaszHingeLoss', z, label), sum(want) / 2, 'float64')
    want = lovasz_extension(errors.ravel().tolist(), set(np.flatnonzero(label.ravel()).tolist()))
    assert_same(of_logits('LovaszHingeLoss', z, label, per_image=False), want, 'float64')


@pytest.mark.parametrize('seed', range(4))
def test_lovasz_hinge_of_unit_margins_is_twice_one_minus_iou(seed):
    rng = np.random.default_rng(seed)
    mask, label = rng.random((1, 12)) < 0.5, rng.random((1, 12)) < 0.5
    want = 2 * (1 - (mask & label).sum() / (mask | label).sum())
    z = np.where(mask, 1.0, -1.0)[:, None]
    assert_same(of_logits('LovaszHingeLoss', z, label), want, 'float64')
    assert_same(of_logits('LovaszHingeLoss', np.where(label, 1.0, -1.0)[:, None], label), 0.0, 'float64')


def test_lovasz_hinge_doubles_when_its_errors_double():
    z, _, label = logits_and_label(1)
    sign = np.where(label == 1, 1.0, -1.0)[:, None]
    want = 2 * of_logits('LovaszHingeLoss', z, label)
    assert want > 0.5
    assert_same(of_logits('LovaszHingeLoss', 2 * z - sign, label), want, 'float64')


def test_lovasz_hinge_of_the_errors_of_lovasz_softmax_is_lovasz_softmax():
    p, label = random_case(6, c=2)
    p = p[:, 1:]
    sign = np.where(label == 1, 1.0, -1.0)[:, None]
    z = sign * (1 - np.abs(label[:, None] - p))
    for per_image in (False, True):
        want = loss('LovaszSoftmaxLoss', p, label, per_image=per_image)
        assert_same(of_logits('LovaszHingeLoss', z, label, per_image=per_image), want, 'float64')


def test_lovasz_hinge_leaves_out_an_image_without_a_valid_pixel():
    z, _, label = logits_and_label(2)
    want = of_logits('LovaszHingeLoss', z[:1], label[:1])
    label[1] = 255
    assert_same(of_logits('LovaszHingeLoss', z, label, ignore_index=255), want, 'float64')


@pytest.mark.parametrize('name', ['LovaszSoftmaxLoss', 'LovaszHingeLoss', 'RobustTLoss', 'SensitivitySpecificityLoss'])
def test_a_pixel_of_weight_two_is_two_pixels(name):
    z, label = np.random.default_rng(7).normal(0, 2, (2, 1, 6)), np.array([[0, 1, 0, 1, 1, 0], [1, 0, 0, 0, 1, 1]])
    weight = np.ones((2, 6))
    weight[:, 4] = 2
    want = of_logits(name, np.concatenate([z, z[:, :, 4:5]], 2), np.concatenate([label, label[:, 4:5]], 1))
    assert_same(of_logits(name, z, label, weight), want, 'float64')
    assert abs(of_logits(name, z, label) - want) > 1e-6


def test_sensitivity_specificity():
    """Squared errors 0.04, 0.16 off the structure and 0.09, 0 on it, each over two pixels."""
    on, off = 0.09 / (2 + 1e-3), (0.04 + 0.16) / (2 + 1e-3)
    assert_same(loss('SensitivitySpecificityLoss', classes=[1]), 0.05 * on + 0.95 * off, 'float64')
    assert_same(loss('SensitivitySpecificityLoss', classes=[0]), 0.05 * off + 0.95 * on, 'float64')
    both = (3 * (0.05 * off + 0.95 * on) + 7 * (0.05 * on + 0.95 * off)) / 2
    assert_same(loss('SensitivitySpecificityLoss', class_weight=[3, 7]), both, 'float64')
    assert_same(
        loss('SensitivitySpecificityLoss', classes=[1], weight=0.25, smooth=1), (0.09 + 3 * 0.2) / 12, 'float64'
    )


def test_sensitivity_specificity_at_the_ends_is_the_squared_error_of_one_side_alone():
    label, params = np.array([[0, 1, 1, 1]]), dict(classes=[1], smooth=0)
    on, off = (0.6**2 + 0.3**2 + 0) / 3, 0.2**2
    assert_same(loss('SensitivitySpecificityLoss', target=label, weight=1, **params), on, 'float64')
    assert_same(loss('SensitivitySpecificityLoss', target=label, weight=0, **params), off, 'float64')


def test_sensitivity_specificity_of_a_perfect_prediction_is_nothing_whatever_smooth():
    perfect = np.stack([1 - LABEL, LABEL], 1).astype(float)
    assert loss('SensitivitySpecificityLoss', perfect, smooth=10) == 0.0
    all_wrong = loss('SensitivitySpecificityLoss', 1 - perfect, smooth=2)
    assert_same(all_wrong, 2 / (2 + 2), 'float64')


def test_sensitivity_specificity_granularity_and_soft_labels():
    pred, label = random_case(8)
    cells = [
        [
            loss('SensitivitySpecificityLoss', pred[i : i + 1], label[i : i + 1], classes=[k], weight=0.3)
            for k in range(3)
        ]
        for i in range(2)
    ]
    got = loss('SensitivitySpecificityLoss', pred, label, granularity='I', weight=0.3)
    assert_same(got, np.mean(cells), 'float64')
    soft = np.array([[0.5, 0.0, 1.0, 0.25]])
    error = [0.3**2, 0.4**2, 0.3**2, 0.75**2]
    on, off = 0.5 * error[0] + error[2] + 0.25 * error[3], 0.5 * error[0] + error[1] + 0.75 * error[3]
    got = loss('SensitivitySpecificityLoss', P1[None, None], soft, weight=0.3, smooth=0)
    assert_same(got, 0.3 * on / 1.75 + 0.7 * off / 2.25, 'float64')


def test_focal_tversky_log_cosh_and_sensitivity_of_one_channel_are_the_foreground_of_two():
    z, both, label = logits_and_label()
    for name in ('FocalTverskyLoss', 'LogCoshDiceLoss', 'SensitivitySpecificityLoss'):
        want = of_logits(name, both, label, classes=[1])
        assert_same(of_logits(name, z, label), want, 'float64', name)


def rmi(p, y, **params):
    """Of one-channel maps (H, W) or (N, H, W), without cross-entropy and pooling unless told."""
    p, y = (np.asarray(x).reshape(-1, *np.shape(x)[-2:]) for x in (p, y))
    return loss('RegionMutualInformationLoss', p[:, None], y, **{**dict(pool='none', ce_weight=0), **params})


SQUARE, SQUARE_LABEL = P1.reshape(2, 2), LABEL.reshape(2, 2)
MEAN = 2.3 / 4
L_Y = 4 * 0.5**2
L_P = 0.2**2 + 0.4**2 + 0.7**2 + 1 - 4 * MEAN**2
L_YP = 0.7 + 1 - 4 * 0.5 * MEAN


def half_log(x):
    return math.log(math.sqrt(x) + 1e-8)


@pytest.mark.parametrize(
    ('params', 'scale'),
    [(dict(pool='none'), 1), (dict(pool='max', pool_size=2), 1), (dict(pool='avg', pool_size=2), 4)],
)
def test_region_mutual_information_of_single_pixels(params, scale):
    """A window of the pooled 2 x 2 image holds one pixel and three of padding, which divide its mean by 4."""
    l_y, l_p, l_yp = L_Y / scale**2, L_P / scale**2, L_YP / scale**2
    want = half_log(l_y - l_yp**2 / (l_p + 5e-4) + 5e-4)
    assert_same(rmi(SQUARE, SQUARE_LABEL, radius=1, **params), want, 'float64')


def test_region_mutual_information_of_two_regions():
    """The two 2 x 2 regions of a 2 x 3 image differ by one label, u, and by w: with a = 5e-4 the matrix is diagonal."""
    p, label = np.array([[0.1, 0.3, 0.9], [0.4, 0.2, 0.5]]), np.array([[0, 0, 1], [0, 0, 0]])
    u, w, a = 1, 0.2**2 + 0.6**2 + 0.2**2 + 0.3**2, 5e-4
    want = (3 * half_log(a) + half_log(a + u / 2 * a / (w / 2 + a))) / 2**2
    assert_same(rmi(p, label, radius=2, loss_weight=2), 2 * want, 'float64')


def test_region_mutual_information_cross_entropy_alone():
    nll = -math.log(0.8) - math.log(0.6) - math.log(0.7)
    assert_same(rmi(SQUARE, SQUARE_LABEL, radius=1, ce_weight=1), nll / (4 + 1), 'float64')
    two_channels = PRED.reshape(1, 2, 2, 2)
    params = dict(radius=1, pool='none', ce_weight=1)
    got = loss('RegionMutualInformationLoss', two_channels, SQUARE_LABEL[None], **params)
    assert_same(got, 2 * nll / (4 + 1), 'float64')
    z, label = np.random.default_rng(0).normal(0, 2, (2, 3, 4, 4)), random_case(0, space=(4, 4))[1]
    got = of_logits('RegionMutualInformationLoss', z, label, ce='softmax', **params)
    assert_same(got, of_logits('WeightedCrossEntropyLoss', z, label), 'float64')


def test_region_mutual_information_mixes_its_parts_by_ce_weight():
    rng = np.random.default_rng(1)
    p, y = rng.random((4, 4)), rng.integers(0, 2, (4, 4))
    regions, ce = rmi(p, y, radius=2), rmi(p, y, radius=2, ce_weight=1)
    assert_same(rmi(p, y, radius=2, ce_weight=0.2), 0.2 * ce + 0.8 * regions, 'float64')


def test_region_mutual_information_adds_classes_and_averages_images():
    pred, label = random_case(9, space=(5, 5))
    params = dict(radius=2, pool='none')
    one_hot = [np.where(label == k, 1, 0) for k in range(3)]
    channels = [rmi(pred[:, k], one_hot[k], radius=2, ce_weight=0.5) for k in range(3)]
    assert_same(loss('RegionMutualInformationLoss', pred, label, **params), sum(channels), 'float64')
    images = [rmi(pred[i, 0], one_hot[0][i], radius=2) for i in (0, 1)]
    assert_same(rmi(pred[:, 0], one_hot[0], radius=2), sum(images) / 2, 'float64')


@pytest.mark.parametrize(('side', 'size', 'cuts'), [(3, 2, (0, 1, 3)), (4, 3, (0, 2, 4)), (7, 3, (0, 2, 5, 7))])
def test_region_mutual_information_pools_windows_padded_by_zeros(side, size, cuts):
    """Windows begin size // 2 pixels before the image; the mean divides by all of a window, p + 1e-6 is pooled."""
    rng = np.random.default_rng(5)
    p, y = rng.random((side, side)), rng.integers(0, 2, (side, side))
    parts = [slice(*pair) for pair in itertools.pairwise(cuts)]

    def pooled(x, function):
        return np.array([[function(x[rows, columns]) for columns in parts] for rows in parts], float)

    def mean(window):
        return window.sum() / size**2

    want = rmi(pooled(p, np.max), pooled(y, np.max), radius=1)
    assert_same(rmi(p, y, radius=1, pool='max', pool_size=size), want, 'float64')
    want = rmi(pooled(p + 1e-6, mean), pooled(y, mean), radius=1)
    assert_same(rmi(p, y, radius=1, pool='avg', pool_size=size), want, 'float64')


def test_region_mutual_information_of_one_region_is_that_of_the_diagonal():
    """An image of 7 x 7 pixels holds one region by default, from which its mean leaves nothing."""
    z, label = np.zeros((1, 1, 7, 7)), np.ones((1, 7, 7), int)
    ce = 49 * math.log(2) / (49 + 1)
    assert_same(of_logits('RegionMutualInformationLoss', z, label), ce / 2 + half_log(5e-4) / 2, 'float64')


@pytest.mark.parametrize('ce', ['sigmoid', 'softmax'])
def test_region_mutual_information_compares_sigmoids_of_logits(ce):
    """Under softmax they are at least 1e-6."""
    z, label = np.random.default_rng(6).normal(0, 2, (1, 3, 4, 4)), random_case(6, n=1, space=(4, 4))[1]
    z[0, :, 1, 2] = -20
    p = 1 / (1 + np.exp(-z[0]))
    p = np.maximum(p, 1e-6) if ce == 'softmax' else p
    want = sum(rmi(p[k], np.where(label == k, 1, 0), radius=2) for k in range(3))
    params = dict(radius=2, pool='none', ce_weight=0, ce=ce)
    assert_same(of_logits('RegionMutualInformationLoss', z, label, **params), want, 'float64')


def test_region_mutual_information_interpolates_between_corners_and_takes_nearest_labels():
    rng = np.random.default_rng(2)
    p, y = rng.random((4, 6)), rng.integers(0, 2, (4, 6))
    columns = np.stack([p[:, 0], (p[:, 2] + p[:, 3]) / 2, p[:, 5]], 1)
    want = rmi(columns[[0, 3]], y[::2, ::2], radius=1)
    assert_same(rmi(p, y, radius=1, pool='interpolate', pool_size=2), want, 'float64')


@pytest.mark.parametrize('pool', ['none', 'max', 'avg'])
def test_region_mutual_information_does_not_change_in_a_mirror(pool):
    """To 1e-6: the 1e-8 added to the Cholesky factor depends on the order of a region's pixels."""
    rng = np.random.default_rng(3)
    p, y = rng.random((10, 10)), rng.integers(0, 2, (10, 10))
    params = dict(radius=2, pool=pool, pool_size=3)
    want = rmi(p, y, **params)
    assert_same(rmi(p[:, ::-1], y[:, ::-1], **params), want, 'float32')
    assert_same(rmi(p.T, y.T, **params), want, 'float32')
    assert abs(rmi(p[:, ::-1], y, **params) - want) > 1e-3


@pytest.mark.parametrize('seed', range(3))
def test_region_mutual_information_prefers_the_right_prediction(seed):
    rng = np.random.default_rng(seed)
    y = (rng.random((12, 12)) < 0.4).astype(int)
    right = 0.1 + 0.8 * y
    shuffled = rng.permutation(right.ravel()).reshape(right.shape)
    assert rmi(right, y, radius=2) < rmi(shuffled, y, radius=2) - 0.5
    assert rmi(right, y, radius=2) < rmi(right * 0 + 0.5, y, radius=2) - 0.5
    assert_same(rmi(1 - right, y, radius=2), rmi(right, y, radius=2), 'float64')


def test_region_mutual_information_of_ignored_pixels_is_that_of_zeros():
    rng = np.random.default_rng(4)
    p, y = rng.random((4, 5)), rng.integers(0, 2, (4, 5))
    ignored = np.where(np.arange(5) == 2, 255, y)
    zeros = rmi(p * (ignored != 255), y * (ignored != 255), radius=2)
    assert_same(rmi(p, ignored, radius=2, ignore_index=255), zeros, 'float64')
    kept = ignored != 255
    nll = -np.log(np.where(y == 1, p, 1 - p))[kept].sum()
    assert_same(rmi(p, ignored, radius=2, ce_weight=1, ignore_index=255), nll / (16 + 1), 'float64')


def robust_t(residual, weight=None, **params):
    """Of one image of background, whose prediction is its residual."""
    residual = np.asarray(residual, float)[None, None]
    return loss('RobustTLoss', residual, np.zeros(residual[:, 0].shape, int), weight, **{'epsilon': 0, **params})


def test_robust_t():
    """One pixel and one degree of freedom are Cauchy's; two and two have the density 1 / (2*pi*(1 + S/2)^2)."""
    assert_same(robust_t([0.3]), math.log(math.pi * (1 + 0.3**2)), 'float64')
    assert_same(robust_t([0.3, 0.8], nu=2), math.log(2 * math.pi) + 2 * math.log(1 + 0.73 / 2), 'float64')
    assert_same(
        loss('RobustTLoss', np.array([[[0.3]]]), np.array([[1]]), epsilon=0), math.log(math.pi * 1.49), 'float64'
    )
    precise = math.log(math.pi * (1 + math.e**2 * 0.3**2)) - 1
    assert_same(robust_t([0.3], log_precision=2, loss_weight=3), 3 * precise, 'float64')


@pytest.mark.parametrize('nu', [1e9, 1e14, 1e17, 1e25])
def test_robust_t_of_many_degrees_of_freedom_is_gaussian(nu):
    """To the order of 1 / nu, whatever cancels on the way."""
    residual = np.linspace(0.01, 0.9, 50)
    want = 25 * math.log(2 * math.pi) - 25 * 0.3 + math.exp(0.3) * (residual**2).sum() / 2
    assert abs(robust_t(residual, nu=nu, log_precision=0.3) - want) < 1e-12 * want + 1e3 / nu


@pytest.mark.parametrize('x', [0.5, 9999.0, 1e4, 12345.5, 1e6, 1e12])
def test_log_gamma_ratio_is_the_logarithm_of_a_product(x):
    """Of x (x + 1) (x + 2); the two logarithms of a large x by themselves have no digit of it left."""
    want = sum(math.log(x + k) for k in range(3))
    assert abs(log_gamma_ratio(x, 3) - want) < (2e-11 if x < 1e4 else 1e-13)


def test_robust_t_epsilon_is_added_to_nu_and_to_both_logarithms():
    want = math.log(math.pi) + math.log(0.9) / 2 + math.log(1 + math.exp(0.1) * 0.3**2)
    assert_same(robust_t([0.3], nu=0.9, epsilon=0.1), want, 'float64')


@pytest.mark.parametrize(('nu', 'log_precision'), [(1.0, 0.0), (3.5, 1.0), (0.4, -0.7)])
def test_robust_t_is_a_chain_of_pytorch_s_student_t(nu, log_precision):
    """Given k residuals whose squares add up to S, the next has nu + k degrees and the scale^2 (nu + S)/(nu + k)."""
    torch = pytest.importorskip('torch')
    residual, unit = [0.1, 0.9, 0.4, 0.05, 0.6], math.exp(log_precision / 2)
    want, square = 0.0, 0.0
    for k, r in enumerate(residual):
        scale = math.sqrt((nu + square) / (nu + k)) / unit
        t = torch.distributions.StudentT(*(torch.tensor(x, dtype=torch.float64) for x in (nu + k, 0.0, scale)))
        want -= t.log_prob(torch.tensor(r, dtype=torch.float64)).item()
        square += (unit * r) ** 2
    assert_same(robust_t(residual, nu=nu, log_precision=log_precision), want, 'float64')


def test_robust_t_of_many_degrees_of_freedom_is_a_gaussian():
    residual, precision = [0.1, 0.9, 0.4], math.exp(1.5)
    gaussian = 3 / 2 * math.log(2 * math.pi / precision) + precision * (0.01 + 0.81 + 0.16) / 2
    assert_same(robust_t(residual, nu=1e8, log_precision=1.5), gaussian, 'float32')


def test_robust_t_of_an_outlier_grows_as_its_logarithm():
    """Of log(1 + exp(60)*S): twice the residual costs (nu + D)*log 2 more, not four times as much."""
    grown = robust_t([0, 0, 1], nu=2, log_precision=60) - robust_t([0, 0, 0.5], nu=2, log_precision=60)
    assert_same(grown, (2 + 3) * math.log(2), 'float64', scale=100)


def test_robust_t_slope_is_largest_where_the_residual_is_the_root_of_nu():
    """The slope (nu + 1)*r / (nu + r^2) is at most (nu + 1) / (2*sqrt(nu)), whatever the residual."""
    nu, h = 1 / 16, 3e-6
    slope = {
        r: (robust_t([r + h], nu=nu) - robust_t([r - h], nu=nu)) / (2 * h) for r in (0.0625, 0.125, 0.25, 0.5, 0.75)
    }
    assert_same(slope[0.25], (1 / 16 + 1) / (2 * 0.25), 'central_difference')
    assert_same(slope[0.75], (1 / 16 + 1) * 0.75 / (1 / 16 + 0.75**2), 'central_difference')
    assert max(slope, key=slope.get) == 0.25


def test_robust_t_is_the_mean_over_foreground_maps_and_over_images():
    pred, label = random_case(10, space=(2, 3))
    alone = [
        [loss('RobustTLoss', pred[i : i + 1, k][:, None], label[i : i + 1] == k, nu=2.5) for k in (1, 2)]
        for i in (0, 1)
    ]
    assert_same(loss('RobustTLoss', pred, label, nu=2.5), np.mean(alone), 'float64')
    want = weighted_mean(*np.mean(alone, 1))
    assert_same(loss('RobustTLoss', pred, label, np.array([0.5, 2]), nu=2.5), want, 'float64')


def test_robust_t_of_one_channel_is_that_of_two():
    z, both, label = logits_and_label()
    assert_same(of_logits('RobustTLoss', z, label), of_logits('RobustTLoss', both, label), 'float64')


@pytest.mark.parametrize(
    'name',
    [
        'FocalTverskyLoss',
        'LogCoshDiceLoss',
        'GeneralizedWassersteinDiceLoss',
        'LovaszSoftmaxLoss',
        'LovaszHingeLoss',
        'SensitivitySpecificityLoss',
        'RegionMutualInformationLoss',
        'RobustTLoss',
    ],
)
def test_nothing_valid_costs_nothing(name):
    z, label = np.random.default_rng(0).normal(0, 2, (2, 1, 10, 10)), np.ones((2, 10, 10), int)
    assert of_logits(name, z, label) != 0.0
    assert of_logits(name, z, label, np.zeros((2, 10, 10))) == 0.0
    assert of_logits(name, z, 255 * label, ignore_index=255) == 0.0


@pytest.mark.parametrize(
    'name',
    [
        'FocalTverskyLoss',
        'LogCoshDiceLoss',
        'GeneralizedWassersteinDiceLoss',
        'LovaszSoftmaxLoss',
        'SensitivitySpecificityLoss',
        'RobustTLoss',
    ],
)
def test_an_ignored_pixel_is_as_if_deleted(name):
    pred, label = random_case(12)
    want = loss(name, pred[:, :, 1:], label[:, 1:])
    pred[:, :, 0], label[:, 0] = math.nan, 255
    assert_same(loss(name, pred, label, ignore_index=255), want, 'float64')


def test_an_image_s_weight_is_its_weight_in_the_mean_over_images():
    pred, label = random_case(11)
    for name, params in (
        ('GeneralizedWassersteinDiceLoss', {}),
        ('LovaszSoftmaxLoss', dict(per_image=True)),
        ('SensitivitySpecificityLoss', dict(granularity='I', smooth=0)),
        ('FocalTverskyLoss', dict(granularity='I', smooth=0)),
    ):
        alone = [loss(name, pred[i : i + 1], label[i : i + 1], **params) for i in (0, 1)]
        got = loss(name, pred, label, np.array([0.5, 2]), **params)
        assert_same(got, weighted_mean(*alone), 'float64', name)


@pytest.mark.parametrize(
    ('name', 'params', 'sentence'),
    [
        ('FocalTverskyLoss', dict(gamma=0), 'FocalTverskyLoss: gamma must be a number > 0, got 0'),
        ('FocalTverskyLoss', dict(alpha=-1), 'FocalTverskyLoss: alpha must be a number >= 0, got -1'),
        ('FocalTverskyLoss', dict(gama=1), "FocalTverskyLoss: unknown parameter 'gama', did you mean 'gamma'?"),
        ('LogCoshDiceLoss', dict(norm=3), 'LogCoshDiceLoss: norm must be '),
        ('GeneralizedWassersteinDiceLoss', dict(distance_matrix=[[0, 1, 1], [1, 0, 1]]), 'must be a square matrix'),
        ('GeneralizedWassersteinDiceLoss', dict(distance_matrix=[[0, 1], [1, 2]]), 'zeros on its diagonal'),
        ('GeneralizedWassersteinDiceLoss', dict(distance_matrix=[[0, 0], [0, 0]]), 'one of them above 0'),
        (
            'GeneralizedWassersteinDiceLoss',
            dict(distance_matrix=COSTS, background=3),
            'background must be below the 3 classes of distance_matrix, got 3',
        ),
        ('GeneralizedWassersteinDiceLoss', dict(granularity='I'), "unknown parameter 'granularity'"),
        ('LovaszSoftmaxLoss', dict(smooth=1), "LovaszSoftmaxLoss: unknown parameter 'smooth'"),
        ('LovaszHingeLoss', dict(from_logits=False), 'from_logits must be True, the hinge is defined on logits, got F'),
        ('LovaszHingeLoss', dict(class_weight=[1]), "LovaszHingeLoss: unknown parameter 'class_weight'"),
        ('SensitivitySpecificityLoss', dict(weight=1.5), 'SensitivitySpecificityLoss: weight must be '),
        ('RegionMutualInformationLoss', dict(ce='softmax', from_logits=False), "ce='softmax' needs from_logits=True"),
        ('RegionMutualInformationLoss', dict(pool='mean'), 'RegionMutualInformationLoss: pool must be '),
        ('RegionMutualInformationLoss', dict(radius=0), 'RegionMutualInformationLoss: radius must be '),
        ('RegionMutualInformationLoss', dict(smooth=1), "RegionMutualInformationLoss: unknown parameter 'smooth'"),
        ('RobustTLoss', dict(nu=0), 'RobustTLoss: nu must be a number > 0, got 0'),
        ('RobustTLoss', dict(smooth=1), "RobustTLoss: unknown parameter 'smooth'"),
    ],
)
def test_refuses_a_parameter(name, params, sentence):
    with pytest.raises(SpecError, match=re.escape(sentence)):
        LOSSES[name](**params)


SOFT = np.full((1, 2, 4, 4), 0.5)
IDS = np.arange(16).reshape(1, 4, 4) % 2


@pytest.mark.parametrize(
    ('name', 'params', 'pred', 'target', 'sentence'),
    [
        ('LovaszSoftmaxLoss', {}, SOFT, SOFT, 'LovaszSoftmaxLoss: takes hard labels alone, class ids or a one-hot'),
        ('LovaszHingeLoss', {}, SOFT[:, :1], SOFT[:, 0], 'LovaszHingeLoss: takes hard labels alone'),
        ('GeneralizedWassersteinDiceLoss', {}, SOFT, SOFT, 'GeneralizedWassersteinDiceLoss: takes hard labels alone'),
        ('LovaszHingeLoss', {}, SOFT, IDS, 'LovaszHingeLoss: pred must have one channel, got 2'),
        (
            'GeneralizedWassersteinDiceLoss',
            dict(distance_matrix=COSTS),
            SOFT,
            IDS,
            'distance_matrix must be 2 x 2 for the 2 channels of pred, got 3 x 3',
        ),
        (
            'GeneralizedWassersteinDiceLoss',
            dict(background=2),
            SOFT,
            IDS,
            'background must be below the 2 classes, got 2',
        ),
        (
            'GeneralizedWassersteinDiceLoss',
            dict(activation='sigmoid'),
            SOFT,
            IDS,
            'sigmoid channels are no distribution over classes, use softmax',
        ),
        (
            'RegionMutualInformationLoss',
            {},
            SOFT[..., None],
            IDS[..., None],
            'pred must be (N, C, *space) with 2 spatial axes, got shape (1, 2, 4, 4, 1)',
        ),
        (
            'RegionMutualInformationLoss',
            {},
            SOFT,
            IDS,
            'an image must hold a region of 3 x 3 pixels after pooling, got 2 x 2 from 4 x 4 pixels',
        ),
        (
            'RegionMutualInformationLoss',
            dict(pool='none', radius=5),
            SOFT,
            IDS,
            'a region of 5 x 5 pixels after pooling, got 4 x 4 from 4 x 4 pixels',
        ),
        ('SensitivitySpecificityLoss', dict(class_weight=[1, 2, 3]), SOFT, IDS, 'class_weight must have 2 entries'),
        ('FocalTverskyLoss', dict(classes=[2]), SOFT, IDS, 'classes must be below the 2 channels of pred, got 2'),
    ],
)
def test_refuses_an_input(name, params, pred, target, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        LOSSES[name](**params).reference(pred, target)
