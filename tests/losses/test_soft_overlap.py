"""SoftJaccardLoss, SoftDiceLoss and SoftTverskyLoss by hand, on the reference; the parity tests do the rest."""

import re

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='needs PyTorch')
pytest.importorskip('mmseg', reason='needs MMSegmentation')

from mmseg.registry import MODELS

import mmseg_plugin  # noqa: F401
from shared_spec import LOSSES, SpecError
from tests.losses.by_hand import (
    FN,
    FP,
    TP,
    TP0,
    loss,
    loss_of_logits,
    random_logits,
    random_probabilities,
    weighted_mean,
)
from tests.support.assertions import assert_same


@pytest.mark.parametrize(
    ('name', 'params', 'want'),
    [
        ('SoftJaccardLoss', dict(smooth=2), 1 - (TP + 2) / (TP + FP + FN + 2)),
        ('SoftDiceLoss', dict(smooth=0), 1 - 2 * TP / (2 * TP + FP + FN)),
        ('SoftTverskyLoss', dict(smooth=0), 1 - TP / (TP + 0.3 * FP + 0.7 * FN)),
        ('SoftDiceLoss', dict(smooth=0, norm=2), 1 - 2 * TP / (0.04 + 0.16 + 0.49 + 1 + 2)),
    ],
)
def test_overlap_losses(name, params, want):
    assert_same(loss(name, classes=[1], **params), want, 'float64')


def test_soft_jaccard_of_a_class_that_no_image_has_counts_under_all_alone():
    label = np.zeros((1, 4), int)
    pred = np.stack([np.full(4, 0.75), np.full(4, 0.25)])[None]
    present = 1 - 3 / (3 + 1)
    assert_same(loss('SoftJaccardLoss', pred, label, smooth=0), present, 'float64')
    assert_same(loss('SoftJaccardLoss', pred, label, smooth=0, classes='all'), (present + 1) / 2, 'float64')


@pytest.mark.parametrize(
    ('name', 'params', 'want'),
    [
        ('SoftJaccardLoss', dict(smooth=2), 1 - (TP + TP0 + 2) / (TP + TP0 + 2 * (FP + FN) + 2)),
        ('SoftDiceLoss', dict(smooth=0), 1 - (TP + TP0) / (TP + TP0 + FP + FN)),
        ('SoftDiceLoss', dict(smooth=0, classes=[1]), 1 - TP / (TP + FP / 2 + FN / 2)),
        (
            'SoftDiceLoss',
            dict(smooth=0, norm=2),
            1 - 2 * (TP + TP0) / (0.64 + 0.36 + 0.09 + 0.04 + 0.16 + 0.49 + 1 + 4),
        ),
        ('SoftTverskyLoss', dict(smooth=0, alpha=3, beta=5), 1 - (TP + TP0) / (TP + TP0 + 8 * (FP + FN))),
    ],
)
def test_pooled_classes_share_one_score(name, params, want):
    assert_same(loss(name, pooled=True, **params), want, 'float64')


@pytest.mark.parametrize('name', ['SoftJaccardLoss', 'SoftDiceLoss', 'SoftTverskyLoss'])
def test_pooled_classes_are_one_class_of_all_their_pixels(name):
    """The law: maps of classes beside each other, read as one map of a foreground, whether a class is present or not."""
    pred, label = random_probabilities(4, n=3, c=4)
    label[label == 3] = 0
    one_hot = np.moveaxis(np.eye(4)[label], -1, 1)
    for granularity in ('D', 'I'):
        params = dict(granularity=granularity, smooth=0.5)
        flat = loss(name, pred.reshape(3, 1, -1), one_hot.reshape(3, -1).astype(int), classes='all', **params)
        assert_same(loss(name, pred, label, pooled=True, **params), flat, 'float64')
        assert_same(loss(name, pred, one_hot, pooled=True, classes=[2, 0, 1, 3], **params), flat, 'float64')
        assert abs(loss(name, pred, label, **params) - flat) > 1e-3
    weight, pooled = np.array([0.5, 2, 0]), dict(pooled=True, smooth=0)
    alone = [loss(name, pred[i : i + 1], label[i : i + 1], **pooled) for i in (0, 1)]
    assert_same(loss(name, pred, label, weight, granularity='I', **pooled), weighted_mean(*alone), 'float64')
    assert [loss(name, pred, label, 0 * weight, granularity=level, **pooled) for level in 'DI'] == [0, 0]


@pytest.mark.parametrize(
    ('params', 'sentence'),
    [
        (dict(class_weight=[1, 2]), 'class_weight must be None with pooled=True, where all classes share one score, got [1.0, 2.0]'),
        (dict(classes='present'), "classes must be 'all' or a list of class ids with pooled=True"),
        (dict(granularity='C'), "granularity must be 'D', 'I' or weights of these two with pooled=True"),
        (dict(granularity={'D': 1, 'C': 1}), "granularity must be 'D', 'I' or weights of these two with pooled=True"),
    ],
)  # fmt: skip
@pytest.mark.parametrize('name', ['SoftJaccardLoss', 'SoftDiceLoss', 'SoftTverskyLoss'])
def test_pooled_refuses_what_needs_a_loss_of_each_class(name, params, sentence):
    with pytest.raises(SpecError, match=re.escape(f'{name}: {sentence}')):
        LOSSES[name](pooled=True, **params)
    assert not LOSSES[name](**params).pooled


EPS = 0.5  # of binary float32, in which it counts the labels


@pytest.mark.parametrize(
    ('sigmoid', 'naive', 'eps', 'smooth'),
    [(True, False, 0, 0), (False, False, 0, 0), (False, True, EPS, EPS / 2), (True, True, 0, 0)],
    ids=['sigmoid', 'softmax', 'naive', 'naive_sigmoid'],
)
def test_pooled_soft_dice_is_mmsegmentation_s(sigmoid, naive, eps, smooth):
    """Value and gradient of the installed DiceLoss, of one layout of labels as heads hand it over, without ignored pixels."""
    z, label = random_logits(5, n=3, c=4, space=(6, 7))
    theirs = peer(z, label, use_sigmoid=sigmoid, naive_dice=naive, eps=eps)
    ours = MODELS.build(
        dict(
            type='SoftDiceLoss', pooled=True, granularity='I', norm=1 if naive else 2, smooth=smooth,
            activation='sigmoid' if sigmoid else 'softmax',
        )
    )  # fmt: skip
    leaf = torch.tensor(z, requires_grad=True)
    value = ours(leaf, torch.tensor(label), ignore_index=255)
    value.backward()
    assert_same(value.detach().numpy(), theirs[0], 'float64')
    assert_same(leaf.grad.numpy(), theirs[1], 'float64')
    assert_same(ours.spec.reference(z, label), theirs[0], 'float64')


@pytest.mark.parametrize('sigmoid', [True, False], ids=['sigmoid', 'softmax'])
def test_pooled_soft_dice_and_the_default_eps_of_mmsegmentation_s(sigmoid):
    """Its eps stands below the line alone: by the share of eps in the denominator it costs more, of a picture nothing."""
    params = dict(pooled=True, granularity='I', norm=2, activation='sigmoid' if sigmoid else 'softmax')
    z, label = random_logits(6, n=1, c=3, space=(4, 5))
    p = 1 / (1 + np.exp(-z)) if sigmoid else np.exp(z) / np.exp(z).sum(1, keepdims=True)
    more = EPS / (((p**2).sum() + label.size) / 2 + EPS)
    ours = loss_of_logits('SoftDiceLoss', z, label, smooth=EPS, **params)
    assert_same(ours + more, peer(z, label, use_sigmoid=sigmoid, eps=EPS)[0], 'float64')
    z, label = random_logits(7, n=1, c=3, space=(512, 512))
    ours = loss_of_logits('SoftDiceLoss', z, label, **params)
    theirs = peer(z, label, use_sigmoid=sigmoid)[0]
    assert 0 < theirs - ours < 1e-8
    assert_same(ours, theirs, 'float32')


def peer(z, label, **arguments):
    """(value, gradient) of MMSegmentation's DiceLoss, float64."""
    from mmseg.models.losses import DiceLoss

    leaf = torch.tensor(z, requires_grad=True)
    value = DiceLoss(**arguments)(leaf, torch.tensor(label), ignore_index=255)
    value.backward()
    return value.detach().numpy(), leaf.grad.numpy()
