"""SoftJaccardLoss, SoftDiceLoss and SoftTverskyLoss by hand, on the reference; the parity tests do the rest."""

import numpy as np
import pytest

from tests.losses.by_hand import FN, FP, TP, loss
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
