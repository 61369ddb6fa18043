"""GeneralizedWassersteinDiceLoss by hand, and its laws; on the reference."""

import numpy as np
import pytest

from tests.losses.by_hand import COSTS, logits_and_label, loss, loss_of_logits, random_probabilities
from tests.support.assertions import assert_same

PREDICTED = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.3, 0.5, 0.2], [0.1, 0.2, 0.7]]).T[None]
TRUE = np.array([[0, 1, 1, 2]])
# costs of the four pixels: COSTS / 2, the row of the true class, against the probabilities
D = [0.2 + 0.1, 0.5 + 0.5 * 0.1, 0.3 + 0.5 * 0.2, 0.1 + 0.25 * 0.2]


def test_generalized_wasserstein_dice():
    tp = (1 - D[1]) + (1 - D[2]) + (1 - D[3])
    got = loss('GeneralizedWassersteinDiceLoss', PREDICTED, TRUE, distance_matrix=COSTS)
    assert_same(got, 1 - 2 * tp / (2 * tp + sum(D)), 'float64')
    tp = (1 - D[0]) + (1 - D[3])
    got = loss('GeneralizedWassersteinDiceLoss', PREDICTED, TRUE, distance_matrix=COSTS, background=1, smooth=0.5)
    assert_same(got, 1 - (2 * tp + 0.5) / (2 * tp + sum(D) + 0.5), 'float64')


def test_generalized_wasserstein_dice_by_inverse_size():
    """Sizes 1, 2, 1: the weights 1/(n + 1) are 1/2, 1/3 and 1/2."""
    top = (1 - D[0]) / 2 + (1 - D[1] + 1 - D[2]) / 3 + (1 - D[3]) / 2
    bottom = (2 - D[0]) / 2 + (2 - D[1] + 2 - D[2]) / 3 + (2 - D[3]) / 2
    params = dict(distance_matrix=COSTS, weighting='gdl', smooth=0.1)
    got = loss('GeneralizedWassersteinDiceLoss', PREDICTED, TRUE, **params)
    assert_same(got, 1 - (2 * top + 0.1) / (bottom + 0.1), 'float64')


def test_generalized_wasserstein_dice_of_a_background_image():
    """Without foreground the default costs 1 unless the prediction is perfect; the other weights have no such trap."""
    label = np.zeros((1, 2), int)
    pred, perfect = np.array([[[0.5, 1.0], [0.5, 0.0]]]), np.array([[[1.0, 1.0], [0.0, 0.0]]])
    assert_same(loss('GeneralizedWassersteinDiceLoss', pred, label), 1.0, 'float64')
    assert_same(loss('GeneralizedWassersteinDiceLoss', perfect, label, smooth=0), 0.0, 'float64')
    assert_same(loss('GeneralizedWassersteinDiceLoss', pred, label, weighting='gdl'), 1 - 3 / (4 - 0.5), 'float64')


def test_generalized_wasserstein_dice_of_two_classes_with_unequal_costs():
    """A missed foreground costs four times a false alarm: costs 0.2/4, 0.4/4, 0.3, 0."""
    tp = (1 - 0.3) + 1
    got = loss('GeneralizedWassersteinDiceLoss', distance_matrix=[[0, 1], [4, 0]])
    assert_same(got, 1 - 2 * tp / (2 * tp + 0.05 + 0.1 + 0.3), 'float64')


def test_generalized_wasserstein_dice_does_not_depend_on_the_unit_of_the_costs():
    want = loss('GeneralizedWassersteinDiceLoss', PREDICTED, TRUE, distance_matrix=COSTS)
    tenfold = [[10 * cost for cost in row] for row in COSTS]
    assert_same(loss('GeneralizedWassersteinDiceLoss', PREDICTED, TRUE, distance_matrix=tenfold), want, 'float64')
    transposed = np.array(COSTS).T.tolist()
    assert abs(loss('GeneralizedWassersteinDiceLoss', PREDICTED, TRUE, distance_matrix=transposed) - want) > 1e-3


def test_generalized_wasserstein_dice_whose_mistakes_all_cost_one():
    """The cost of a pixel is 1 - p_true: of three classes a Dice of the foreground whose mistakes are all pixels'."""
    wrong = (1 - 0.7) + (1 - 0.4) + (1 - 0.5) + (1 - 0.7)
    tp = 0.4 + 0.5 + 0.7
    for matrix in (None, [[0, 1, 1], [1, 0, 1], [1, 1, 0]]):
        got = loss('GeneralizedWassersteinDiceLoss', PREDICTED, TRUE, distance_matrix=matrix)
        assert_same(got, 1 - 2 * tp / (2 * tp + wrong), 'float64')


def test_generalized_wasserstein_dice_of_two_classes_is_the_dice_of_the_foreground():
    pred, label = random_probabilities(3, n=3, c=2)
    dice = loss('SoftDiceLoss', pred, label, classes=[1], granularity='I', smooth=0.25)
    assert_same(loss('GeneralizedWassersteinDiceLoss', pred, label, smooth=0.5), dice, 'float64')


def test_generalized_wasserstein_dice_is_the_mean_over_images_by_their_weights():
    pred, label = random_probabilities(4)
    params = dict(distance_matrix=COSTS, weighting='gdl')
    alone = [loss('GeneralizedWassersteinDiceLoss', pred[i : i + 1], label[i : i + 1], **params) for i in (0, 1)]
    got = loss('GeneralizedWassersteinDiceLoss', pred, label, **params)
    assert_same(got, (alone[0] + alone[1]) / 2, 'float64')


@pytest.mark.parametrize('weighting', ['default', 'gdl'])
def test_generalized_wasserstein_dice_of_one_channel_is_that_of_two(weighting):
    z, both, label = logits_and_label()
    want = loss_of_logits('GeneralizedWassersteinDiceLoss', both, label, weighting=weighting)
    assert_same(loss_of_logits('GeneralizedWassersteinDiceLoss', z, label, weighting=weighting), want, 'float64')
