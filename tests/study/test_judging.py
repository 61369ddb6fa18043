"""Measures, conditions and statistics, by hand."""

import math

import numpy as np
import pytest
import torch

from segparity.study.conditions import CONDITIONS, PAIRS, StudyLoss
from segparity.study.data import Split, load_data
from segparity.study.judging import MEASURES, histogram, measures, soft_dice
from segparity.study.settings import StudyError
from segparity.study.summary import paired, summary, verdict
from segparity.study.training import batches, first_network


def pixels(*shares):
    """(1, C, 1, P) float32 of P pixels."""
    return np.array(shares, np.float32).T[None, :, None]


def split_of(*shares):
    soft = pixels(*shares)
    return Split(np.zeros((1, 1, 1, len(shares)), np.float32), soft, soft.argmax(1))


def test_soft_dice_by_hand():
    """Class 0: 0.55 and 0.5 reach the same five thresholds; class 1: 0.45 reaches four of the five of 0.5."""
    assert soft_dice(pixels((0.55, 0.45)), pixels((0.5, 0.5))) == pytest.approx((1 + 4 / 5) / 2, abs=1e-12)


def test_the_label_itself_is_perfect_but_for_the_class_ids():
    """Half of the label is the predicted class, which hits the class id always: 1 - 1/2, on one pixel of two."""
    split = split_of((0.5, 0.5), (1.0, 0.0))
    found = measures(split.soft, split)
    assert (found['softDice'], found['distance'], found['softECE']) == (1, 0, 0)
    assert found['ECE'] == pytest.approx(1 / 4, abs=1e-7)
    assert (found['confidence'], found['unclearConfidence']) == (3 / 4, 1 / 2)
    assert set(found) == set(MEASURES)


def test_measures_of_a_wrong_prediction_by_hand():
    split = split_of((1.0, 0.0), (0.0, 1.0))
    found = measures(pixels((0.75, 0.25), (0.75, 0.25)), split)
    assert found['mIoUD'] == pytest.approx((1 / 2 + 0) / 2, abs=1e-12)
    assert found['distance'] == pytest.approx((1 / 4 + 3 / 4) / 2, abs=1e-7)
    assert found['ECE'] == pytest.approx(3 / 4 - 1 / 2, abs=1e-7)
    assert math.isnan(found['unclearConfidence'])


def test_a_diverged_training_is_a_sentence():
    with pytest.raises(StudyError, match='the network says NaN'):
        measures(np.full((1, 2, 1, 1), np.nan, np.float32), split_of((1.0, 0.0)))


def test_the_histogram_has_the_unclear_pixels_alone():
    found = histogram(np.array([0.5, 0.52, 0.99, 1.0]), np.array([True, True, False, True]))
    assert found[10] == pytest.approx(2 / 3) and found[19] == pytest.approx(1 / 3) and sum(found) == pytest.approx(1)


SHARES = (0.75, 0.25)
ENTROPY = -sum(y * math.log(y) for y in SHARES)


@pytest.mark.parametrize(
    ('condition', 'expected'),
    [
        ('cross-entropy-soft', ENTROPY),
        ('cross-entropy-hard', -math.log(SHARES[0])),
        ('jaccard-metric-soft', 0.25 * ENTROPY),
        ('dice-semimetric-soft', 0.0),
    ],
)
def test_a_loss_where_the_prediction_is_the_label(condition, expected):
    labels = torch.from_numpy(pixels(SHARES)).double()
    value = StudyLoss(CONDITIONS[condition])(labels.log(), labels)
    assert value.item() == pytest.approx(expected, abs=1e-12)


def test_the_classic_losses_do_not_know_that_the_label_is_reached():
    """smooth is 1; class by class 1 - (y y + 1) / (2 y - y y + 1) and 1 - 2 (y y + 1) / (2 y + 2)."""
    labels = torch.from_numpy(pixels(SHARES)).double()
    jaccard = sum(1 - (y * y + 1) / (2 * y - y * y + 1) for y in SHARES) / 2
    dice = sum(1 - 2 * (y * y + 1) / (2 * y + 2) for y in SHARES) / 2
    for name, expected in (('soft-jaccard-soft', 0.25 * ENTROPY + 0.75 * jaccard), ('soft-dice-soft', dice)):
        assert StudyLoss(CONDITIONS[name])(labels.log(), labels).item() == pytest.approx(expected, abs=1e-12)


def test_hard_labels_are_the_largest_share():
    logits = torch.tensor([0.3, -0.2]).view(1, 2, 1, 1)
    loss = StudyLoss(CONDITIONS['jaccard-metric-hard'])
    same = [loss(logits, torch.from_numpy(pixels(shares))).item() for shares in ((0.6, 0.4), (1.0, 0.0))]
    assert same[0] == same[1]


def test_conditions_of_a_seed_start_alike(tiny):
    data = load_data('digits-smoothed', tiny)
    first, again, other = (first_network(data, tiny, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first['classify.weight'], other['classify.weight'])
    for one, two in zip(batches(data, tiny, 0), batches(data, tiny, 0)):
        assert all(map(torch.equal, one, two))


def test_paired_differences_by_hand():
    """1, 2, 3: mean 2, deviation 1; Student's t of 2 degrees of freedom at 0.975 is 4.302653."""
    found = paired([1.0, 2.0, 3.0])
    assert found['mean'] == 2
    assert found['high'] - 2 == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6) == pytest.approx(2 - found['low'])
    assert math.isnan(paired([1.0])['low'])


@pytest.mark.parametrize(
    ('low', 'high', 'better', 'told'),
    [(1, 2, 1, 'better'), (1, 2, -1, 'worse'), (-2, -1, -1, 'better'), (-2, -1, 0, 'lower'), (-1, 1, 1, 'open'),
     (math.nan, math.nan, 1, 'open')],
)  # fmt: skip
def test_a_verdict_needs_an_interval_without_0(low, high, better, told):
    assert verdict({'low': low, 'high': high}, better) == told


def test_differences_are_paired_by_seed():
    """Seed 2 has one condition alone, and counts in no pair."""

    def record(condition, seed, value):
        return {'data': 'brain', 'condition': condition, 'seed': seed, 'measures': dict.fromkeys(MEASURES, value)}

    one, other = PAIRS['cross-entropy-soft']
    records = [
        record(one, 0, 0.5),
        record(one, 1, 0.7),
        record(one, 2, 0.1),
        record(other, 1, 0.6),
        record(other, 0, 0.1),
    ]
    found = summary(records)['brain']
    assert found['conditions'][one]['mIoUD']['mean'] == pytest.approx((0.5 + 0.7 + 0.1) / 3)
    (pair,) = found['differences']
    assert (pair['one'], pair['other']) == (one, other)
    assert pair['measures']['mIoUD']['mean'] == pytest.approx((0.4 + 0.1) / 2)
