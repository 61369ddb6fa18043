"""LovaszSoftmaxLoss and LovaszHingeLoss by hand and as extensions of the Jaccard loss of sets; on the reference."""

import itertools

import numpy as np
import pytest

from tests.losses.by_hand import LABEL, PRED, logits_and_label, loss, loss_of_logits, random_probabilities
from tests.support.assertions import assert_same


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
    pred, label = random_probabilities(seed, n=1, c=3, space=(6,))
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
    pred, label = random_probabilities(5)
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
    want = loss_of_logits('LovaszSoftmaxLoss', both, label, classes=[1])
    assert_same(loss_of_logits('LovaszSoftmaxLoss', z, label), want, 'float64')


def test_lovasz_hinge():
    """Errors 1 - z*(2y - 1) are -1, 1.5, 0.5, -2: a false alarm, then a miss, each of Jaccard loss 1/3."""
    z, label = np.array([[[-2.0, 0.5, 0.5, 3.0]]]), LABEL
    assert_same(loss_of_logits('LovaszHingeLoss', z, label), 1.5 / 3 + 0.5 / 3, 'float64')
    assert_same(loss_of_logits('LovaszHingeLoss', z, label, loss_weight=4), 4 * (1.5 / 3 + 0.5 / 3), 'float64')


def test_lovasz_hinge_without_foreground_is_its_largest_error():
    z, label = np.array([[[-2.0, 0.5, 0.25, 3.0]]]), np.zeros((1, 4), int)
    assert_same(loss_of_logits('LovaszHingeLoss', z, label), 1 + 3.0, 'float64')
    assert_same(loss_of_logits('LovaszHingeLoss', z - 10, label), 0.0, 'float64')


@pytest.mark.parametrize('seed', range(4))
def test_lovasz_hinge_is_the_extension_of_the_jaccard_loss_of_sets(seed):
    rng = np.random.default_rng(seed)
    z, label = rng.normal(0, 1.5, (2, 1, 6)), rng.integers(0, 2, (2, 6))
    label[:, 0] = 1
    errors = np.maximum(1 - z[:, 0] * np.where(label == 1, 1, -1), 0)
    want = [lovasz_extension(e.tolist(), set(np.flatnonzero(y).tolist())) for e, y in zip(errors, label)]
    assert_same(loss_of_logits('LovaszHingeLoss', z, label), sum(want) / 2, 'float64')
    want = lovasz_extension(errors.ravel().tolist(), set(np.flatnonzero(label.ravel()).tolist()))
    assert_same(loss_of_logits('LovaszHingeLoss', z, label, per_image=False), want, 'float64')


@pytest.mark.parametrize('seed', range(4))
def test_lovasz_hinge_of_unit_margins_is_twice_one_minus_iou(seed):
    rng = np.random.default_rng(seed)
    mask, label = rng.random((1, 12)) < 0.5, rng.random((1, 12)) < 0.5
    want = 2 * (1 - (mask & label).sum() / (mask | label).sum())
    z = np.where(mask, 1.0, -1.0)[:, None]
    assert_same(loss_of_logits('LovaszHingeLoss', z, label), want, 'float64')
    assert_same(loss_of_logits('LovaszHingeLoss', np.where(label, 1.0, -1.0)[:, None], label), 0.0, 'float64')


def test_lovasz_hinge_doubles_when_its_errors_double():
    z, _, label = logits_and_label(1)
    sign = np.where(label == 1, 1.0, -1.0)[:, None]
    want = 2 * loss_of_logits('LovaszHingeLoss', z, label)
    assert want > 0.5
    assert_same(loss_of_logits('LovaszHingeLoss', 2 * z - sign, label), want, 'float64')


def test_lovasz_hinge_of_the_errors_of_lovasz_softmax_is_lovasz_softmax():
    p, label = random_probabilities(6, c=2)
    p = p[:, 1:]
    sign = np.where(label == 1, 1.0, -1.0)[:, None]
    z = sign * (1 - np.abs(label[:, None] - p))
    for per_image in (False, True):
        want = loss('LovaszSoftmaxLoss', p, label, per_image=per_image)
        assert_same(loss_of_logits('LovaszHingeLoss', z, label, per_image=per_image), want, 'float64')


def test_lovasz_hinge_leaves_out_an_image_without_a_valid_pixel():
    z, _, label = logits_and_label(2)
    want = loss_of_logits('LovaszHingeLoss', z[:1], label[:1])
    label[1] = 255
    assert_same(loss_of_logits('LovaszHingeLoss', z, label, ignore_index=255), want, 'float64')
