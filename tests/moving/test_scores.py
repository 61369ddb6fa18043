"""Scores and losses of a batch, of an image, of the data set; scores of probabilities."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('mmseg', reason='MMSegmentation is not installed')

import mmseg_plugin  # noqa: F401  mmcv is usable from here on
from tests.moving.arrays import numbers
from tests.moving.page import assert_figures
from tests.support.assertions import assert_same
from tests.support.frameworks import axis

pytestmark = [
    pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch')),
]


def discs():
    """Masks (8, 64, 64, 1) of discs whose radius falls from 28 to 0, and probabilities that are right but for their edge."""
    rows, columns = np.mgrid[:64, :64] - 31.5
    distance = np.sqrt(rows**2 + columns**2)
    radii = np.array([28, 24, 20, 16, 12, 8, 4, 2])[:, None, None]
    masks = (distance < radii).astype('float32')
    pred = np.where(distance < radii + 1, 0.75, 0.25).astype('float32')
    return masks[..., None], pred[..., None]


def iou_of_mmseg(labels, pred):
    """IoU of each class by MMSegmentation's IoUMetric."""
    from mmseg.evaluation.metrics import IoUMetric

    areas = [
        IoUMetric.intersect_and_union(torch.tensor(p[..., 0] > 0.5).long(), torch.tensor(t[..., 0]).long(), 2, 255)
        for p, t in zip(pred, labels)
    ]
    return IoUMetric.total_area_to_metrics(*(sum(area) for area in zip(*areas)), metrics=['mIoU'])['IoU']


def test_mean_iou_of_probabilities(keras):
    labels, pred = discs()
    want = iou_of_mmseg(labels, pred).mean()
    found = keras('mean_iou', dict(labels=labels, pred=pred), arguments=dict(num_classes=2))
    assert_figures('`MeanIoU` of probabilities', found, want)
    same = keras('mean_iou', dict(labels=labels, pred=(pred > 0.5).astype('int32')), arguments=dict(num_classes=2))
    assert_same(same, want, 'float32')
    ours = keras(
        'mean_iou',
        dict(labels=labels[..., 0].astype('int32'), pred=pred),
        of='ours',
        arguments=dict(num_classes=2, level='D'),
    )
    assert_same(ours, want, 'float32')


def test_mean_of_the_batches_scores(keras):
    labels, pred = discs()
    want = iou_of_mmseg(labels, pred)[1]
    found = keras('evaluate_function', dict(labels=labels, pred=pred), batch_size=2)
    assert_figures('Scores averaged over batches', found, want)
    arguments = dict(num_classes=2, level='D', binary=True)
    arrays = dict(labels=labels[..., 0].astype('int32'), pred=pred)
    assert_same(keras('mean_iou', arrays, of='ours', arguments=arguments, batch_size=2), want, 'float32')


def test_dice_of_the_batch_or_of_each_image(keras):
    from mmseg.registry import MODELS

    labels, pred = discs()
    loss = MODELS.build(dict(type='DiceLoss', activate=False, naive_dice=True, eps=1e-7))
    want = numbers(loss(torch.tensor(pred).movedim(-1, 1), torch.tensor(labels).movedim(-1, 1)))
    arrays = dict(labels=labels, pred=pred)
    assert_figures('Dice of the batch or the image', keras('loss', arrays, name='Dice', arguments={}), want)
    assert_same(keras('loss', arrays, name='Dice', arguments=dict(axis=[1, 2, 3])), want, 'float32')
    ours = dict(granularity='I', smooth=0, classes='all')
    labels = labels[..., 0].astype('int32')
    assert_same(
        keras('loss', dict(labels=labels, pred=pred), of='ours', name='SoftDiceLoss', arguments=ours), want, 'float32'
    )
