"""Predictions without spatial axes, (N, C): every sample is an image of one pixel, and under D one of the data set's."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shared_spec import LOSSES
from tests.losses.by_hand import loss
from tests.support.assertions import assert_same

P = np.array([[0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
Y = np.array([0, 1, 0])
SOFT = np.array([[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]])
OF_SPACE = [name for name, spec in LOSSES.items() if 0 not in spec.spatial_axes]
OF_IMAGES = ('GeneralizedWassersteinDiceLoss', 'RobustTLoss')  # always means over images
OF_DATA_SET = [
    name for name, spec in LOSSES.items() if 0 in spec.spatial_axes and not spec.of_features() and name not in OF_IMAGES
]


def logits_of(n, c, seed=0):
    return np.random.default_rng(seed).normal(0, 1, (n, c))


def test_granularity_d_takes_the_samples_for_one_data_set():
    classes = 1 - 1.2 / (2 + 0.3), 1 - 0.7 / (1 + 0.8)  # tp / (tp + fp + fn); 2 samples of class 0, 1 of class 1
    assert_same(loss('JaccardMetricLoss', P, Y, smooth=0.0), sum(classes) / 2, 'float64')
    dice = 1 - 2 * 1.2 / (2 + 1.5), 1 - 2 * 0.7 / (1 + 1.5)
    assert_same(loss('DiceSemimetricLoss', P, Y, smooth=0.0), sum(dice) / 2, 'float64')


def test_granularity_i_takes_every_sample_by_itself():
    own = np.array([0.2, 0.3, 0.6])  # 1 - p of its class, the one that is present
    assert_same(loss('JaccardMetricLoss', P, Y, smooth=0.0, granularity='I'), own.mean(), 'float64')
    weight = np.array([1.0, 0.0, 3.0])
    for w in (weight, weight[:, None]):
        found = loss('JaccardMetricLoss', P, Y, w, smooth=0.0, granularity='I')
        assert_same(found, (0.2 + 3 * 0.6) / 4, 'float64')


def test_soft_labels_have_their_least_loss_where_the_prediction_equals_them():
    for name in ('JaccardMetricLoss', 'DiceSemimetricLoss', 'CompatibleTverskyLoss'):
        assert loss(name, SOFT, SOFT) == 0 < loss(name, P, SOFT)
    unions = np.maximum(P, SOFT).sum(0)
    assert_same(loss('JaccardMetricLoss', P, SOFT, smooth=0.0), np.mean(np.abs(P - SOFT).sum(0) / unions), 'float64')


def test_cross_entropy_and_its_map():
    own = -np.log([0.8, 0.7, 0.4])
    assert_same(loss('WeightedCrossEntropyLoss', P, Y), own.mean(), 'float64')
    found = LOSSES['WeightedCrossEntropyLoss'](from_logits=False).reference(P, Y, reduction='none')
    assert_same(found, own, 'float64')
    kl = (SOFT * np.log(SOFT / P)).sum(1).mean()
    assert_same(loss('DistillationKLLoss', P, SOFT), kl, 'float64')


@pytest.mark.parametrize('name', OF_DATA_SET)
def test_samples_are_the_pixels_of_one_image(name):
    """Of losses that are one ratio of the batch, or a mean over its pixels."""
    known = LOSSES[name].parameters()
    spec = LOSSES[name](**{k: v for k, v in (('granularity', 'D'), ('per_image', False)) if k in known})
    c = 1 if spec.channels == ('one',) else 3
    z, y = logits_of(5, c), np.array([0, 1, 1, 0, 1])
    assert_same(spec.reference(z, y), spec.reference(z.T[None], y[None]), 'float64')


@pytest.mark.parametrize('name', OF_SPACE)
def test_a_loss_that_needs_space_says_so(name):
    if LOSSES[name].of_image:  # whose (N, C) is a prediction for whole images
        return
    spec = LOSSES[name]()
    c = 2 if 'many' in spec.channels else 1
    given = {extra: np.zeros((3, 4)) for extra in spec.needs}
    with pytest.raises(ValueError, match=f'^{name}: pred must be .*spatial axes, without which it has no meaning, got'):
        spec.reference(logits_of(3, c), np.array([0, 1, 0]), **given)


class TestTorch:
    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip('torch', reason='needs PyTorch')

    def call(self, name, *given, params=None, **call):
        import torch

        from mmseg_plugin import losses

        return getattr(losses, name)(**{'from_logits': False, **(params or {})})(*map(torch.tensor, given), **call)

    def test_forms_of_labels(self):
        want = loss('JaccardMetricLoss', P, Y)
        for y in (Y, Y[:, None], Y.astype(np.uint8), Y.astype(np.float32)):
            assert_same(self.call('JaccardMetricLoss', P, y), want, 'float64')
        assert_same(self.call('JaccardMetricLoss', P, SOFT), loss('JaccardMetricLoss', P, SOFT), 'float64')
        one = P[:, 1:], Y
        assert_same(self.call('JaccardMetricLoss', *one), loss('JaccardMetricLoss', *one), 'float64')

    def test_a_head_of_a_classifier_says_how_many_samples_there_are(self):
        want = loss('JaccardMetricLoss', P, Y)
        assert_same(self.call('JaccardMetricLoss', P, Y, avg_factor=3), want, 'float64')
        with pytest.raises(ValueError, match='avg_factor has no meaning'):
            self.call('JaccardMetricLoss', P, Y, avg_factor=2)
        weight = np.array([1.0, 0.0, 1.0])
        found = self.call('WeightedCrossEntropyLoss', P, Y, weight, avg_factor=3)
        assert_same(found, -math.log(0.8 * 0.4) / 3, 'float64')

    def test_a_map_has_a_number_for_each_sample(self, torch):
        bad = P.copy()
        bad[1, 0] = math.nan
        for weight in (1.0, 0.0):
            params = dict(loss_weight=weight, reduction='none')
            found = self.call('WeightedCrossEntropyLoss', bad, Y, params=params)
            assert found.shape == (3,) and found.isnan().tolist() == [False, True, False]

    def test_small_logits_have_no_size_to_be_resized_from(self):
        with pytest.raises(ValueError, match='align_corners resizes pred'):
            self.call('JaccardMetricLoss', P, Y, align_corners=False)

    def test_classes_as_many_as_samples_are_no_images(self):
        z, y = logits_of(3, 3), np.array([2, 0, 1])
        want = LOSSES['JaccardMetricLoss']().reference(z, y)
        assert_same(self.call('JaccardMetricLoss', z, y, params=dict(from_logits=True)), want, 'float64')
        assert_same(self.call('JaccardMetricLoss', z, np.eye(3, dtype=int)[y], params=dict(from_logits=True)),
                    LOSSES['JaccardMetricLoss'](classes='all').reference(z, y), 'float64')  # fmt: skip


@pytest.mark.slow
def test_the_example_prints_its_table():
    pytest.importorskip('torch', reason='needs PyTorch')
    pytest.importorskip('sklearn', reason='needs scikit-learn')
    script = Path(__file__).parents[2] / 'examples/beyond_pixels.py'
    run = subprocess.run([sys.executable, str(script), '--seeds', '1'], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    rows = [line.split('|') for line in run.stdout.splitlines() if line.startswith('| ')][1:]
    accuracies = {row[1].strip(): float(row[2].split()[0]) for row in rows}
    assert len(accuracies) == 11 and min(accuracies.values()) > 80  # of ten digits
