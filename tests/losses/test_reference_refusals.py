"""Parameters and inputs that the losses refuse, on the reference, and the sentence; of the overlap losses: tests/spec/test_spec.py."""

import re

import numpy as np
import pytest

from shared_spec import LOSSES
from shared_spec.parameters import SpecError
from tests.losses.by_hand import COSTS


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
        ('ComboLoss', dict(alpha=1.5), 'ComboLoss: alpha must be a number >= 0 and <= 1, got 1.5'),
        ('ComboLoss', dict(beta=-0.1), 'ComboLoss: beta must be a number >= 0 and <= 1, got -0.1'),
        ('ComboLoss', dict(class_weight=[1, 2]), "ComboLoss: unknown parameter 'class_weight'"),
        ('ExponentialLogarithmicLoss', dict(clip=0.5), 'clip must be a number > 0 and < 0.5, got 0.5'),
        ('ExponentialLogarithmicLoss', dict(gamma_ce=0), 'gamma_ce must be a number > 0, got 0'),
        ('ExponentialLogarithmicLoss', dict(gamma_dice=0), 'gamma_dice must be a number > 0, got 0'),
        ('ExponentialLogarithmicLoss', dict(dice_weight=-1), 'dice_weight must be a number >= 0, got -1'),
        (
            'ExponentialLogarithmicLoss',
            dict(class_weight='balanced'),
            'ExponentialLogarithmicLoss: class_weight must be ',
        ),
        ('ExponentialLogarithmicLoss', dict(gamma=2), "ExponentialLogarithmicLoss: unknown parameter 'gamma'"),
        ('UnifiedFocalLoss', dict(gamma=1), 'UnifiedFocalLoss: gamma must be a number >= 0 and < 1, got 1'),
        ('UnifiedFocalLoss', dict(delta=1.1), 'UnifiedFocalLoss: delta must be a number >= 0 and <= 1, got 1.1'),
        ('UnifiedFocalLoss', dict(weight=2), 'UnifiedFocalLoss: weight must be a number >= 0 and <= 1, got 2'),
        ('UnifiedFocalLoss', dict(asymetric=True), "unknown parameter 'asymetric', did you mean 'asymmetric'?"),
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
