"""Laws that several losses share, on the reference; those that PyTorch is asked for as well: tests/spec/test_laws.py."""

import math

import numpy as np
import pytest

from shared_spec import LOSSES
from tests.losses.by_hand import (
    LABEL,
    Q,
    logits_and_label,
    loss,
    loss_of_logits,
    random_logits,
    random_probabilities,
    two_channels,
    weighted_mean,
)
from tests.support.assertions import assert_same

COMPOUND = ('ComboLoss', 'ExponentialLogarithmicLoss', 'UnifiedFocalLoss')
OF_ONE_CHANNEL = {
    'four_pixels': (np.array([[[1.0, -2.0, 0.3, 2.0]]]), np.array([[0, 1, 1, 0]])),
    'squares': logits_and_label()[::2],
    'lines': (random_logits(3, c=1)[0], random_logits(3, c=2)[1]),
}


@pytest.mark.parametrize('given', OF_ONE_CHANNEL.values(), ids=OF_ONE_CHANNEL)
@pytest.mark.parametrize(
    ('name', 'params'),
    [
        ('JaccardMetricLoss', {}),
        ('DiceSemimetricLoss', {}),
        ('SoftDiceLoss', {}),
        ('SoftTverskyLoss', {}),
        ('FocalTverskyLoss', {}),
        ('LogCoshDiceLoss', {}),
        ('SensitivitySpecificityLoss', {}),
        ('ComboLoss', dict(beta=0.8)),
        ('ExponentialLogarithmicLoss', dict(ce_weight=0)),
    ],
)
def test_one_channel_is_the_foreground_of_two(name, params, given):
    z, label = given
    want = loss_of_logits(name, two_channels(z), label, classes=[1], **params)
    assert_same(loss_of_logits(name, z, label, **params), want, 'float64')


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
        'DistanceMapCrossEntropyLoss',
        'RegionWiseLoss',
        *COMPOUND,
    ],
)
def test_nothing_valid_costs_nothing(name):
    z, label = np.random.default_rng(0).normal(0, 2, (2, 1, 10, 10)), np.ones((2, 10, 10), int)
    assert loss_of_logits(name, z, label) != 0.0
    assert loss_of_logits(name, z, label, np.zeros((2, 10, 10))) == 0.0
    assert loss_of_logits(name, z, 255 * label, ignore_index=255) == 0.0
    if 'many' in LOSSES[name].channels and not LOSSES[name].needs_region:
        assert loss(name, pixel_weight=np.zeros((1, 4))) == 0.0
        assert loss(name, target=np.full((1, 4), 255), ignore_index=255) == 0.0


@pytest.mark.parametrize('given', [(Q, LABEL), random_probabilities(12)], ids=['two_classes', 'three_classes'])
@pytest.mark.parametrize(
    'name',
    [
        'FocalTverskyLoss',
        'LogCoshDiceLoss',
        'GeneralizedWassersteinDiceLoss',
        'LovaszSoftmaxLoss',
        'SensitivitySpecificityLoss',
        'RobustTLoss',
        'DistanceMapCrossEntropyLoss',
        'RegionWiseLoss',
        'SurfaceLoss',
        *COMPOUND,
    ],
)
def test_an_ignored_pixel_is_as_if_deleted(name, given):
    pred, label = (x.copy() for x in given)
    want = loss(name, pred[:, :, 1:], label[:, 1:])
    pred[:, :, 0], label[:, 0] = math.nan, 255
    assert_same(loss(name, pred, label, ignore_index=255), want, 'float64')


@pytest.mark.parametrize(
    ('name', 'params'),
    [
        ('GeneralizedWassersteinDiceLoss', {}),
        ('LovaszSoftmaxLoss', dict(per_image=True)),
        ('SensitivitySpecificityLoss', dict(granularity='I', smooth=0)),
        ('FocalTverskyLoss', dict(granularity='I', smooth=0)),
    ],
)
def test_an_image_s_weight_is_its_weight_in_the_mean_over_images(name, params):
    pred, label = random_probabilities(11)
    alone = [loss(name, pred[i : i + 1], label[i : i + 1], **params) for i in (0, 1)]
    got = loss(name, pred, label, np.array([0.5, 2]), **params)
    assert_same(got, weighted_mean(*alone), 'float64')


ONE_CHANNEL = np.random.default_rng(7).normal(0, 2, (2, 1, 6)), np.array([[0, 1, 0, 1, 1, 0], [1, 0, 0, 0, 1, 1]])


@pytest.mark.parametrize(
    ('name', 'given'),
    [
        pytest.param(name, given, id=f'{name}-{channels}')
        for name in ('LovaszSoftmaxLoss', 'LovaszHingeLoss', 'RobustTLoss', 'SensitivitySpecificityLoss', *COMPOUND)
        for channels, given in (('one_channel', ONE_CHANNEL), ('three_channels', random_logits(10)))
        if channels == 'one_channel' or 'many' in LOSSES[name].channels
    ],
)
def test_a_pixel_of_weight_two_is_two_pixels(name, given):
    z, label = given
    weight = np.ones(label.shape)
    weight[:, 4] = 2
    want = loss_of_logits(name, np.concatenate([z, z[:, :, 4:5]], 2), np.concatenate([label, label[:, 4:5]], 1))
    assert_same(loss_of_logits(name, z, label, weight), want, 'float64')
    assert abs(loss_of_logits(name, z, label) - want) > 1e-6


@pytest.mark.parametrize('name', COMPOUND)
def test_hard_labels_cost_as_one_hot_ones(name):
    z, label = random_logits(11)
    one_hot = np.moveaxis(np.eye(3)[label], -1, 1)
    assert_same(loss_of_logits(name, z, one_hot), loss_of_logits(name, z, label), 'float64')
