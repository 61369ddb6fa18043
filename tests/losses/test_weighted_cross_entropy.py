"""WeightedCrossEntropyLoss by hand, and its label smoothing as PyTorch's; on the reference."""

import math

import numpy as np
import pytest

from shared_spec import LOSSES
from tests.losses.by_hand import LABEL, P1, PRED, loss
from tests.support.assertions import assert_same


def test_cross_entropy_and_its_denominators():
    nll = [-math.log(0.8), -math.log(0.6), -math.log(0.7), 0.0]
    assert_same(loss('WeightedCrossEntropyLoss'), sum(nll) / 4, 'float64')
    weighted = 2 * nll[0] + 2 * nll[1] + 5 * nll[2]
    assert_same(loss('WeightedCrossEntropyLoss', class_weight=[2, 5]), weighted / (2 + 2 + 5 + 5), 'float64')
    soft = np.stack([1 - LABEL[0], LABEL[0]])[None].astype(float)
    assert_same(loss('WeightedCrossEntropyLoss', target=soft, class_weight=[2, 5]), weighted / 4, 'float64')
    weight = np.array([[1.0, 0, 3, 1]])
    assert_same(loss('WeightedCrossEntropyLoss', pixel_weight=weight), (nll[0] + 3 * nll[2]) / 5, 'float64')


def test_inverse_frequency_is_n_valid_over_classes_times_count():
    label = np.array([[0, 1, 1, 1]])
    weighted = (4 / (2 * 1)) * -math.log(0.8) + (4 / (2 * 3)) * -(math.log(0.4) + math.log(0.7))
    want = weighted / (4 / 2 * 1 + 4 / 6 * 3)
    assert_same(loss('WeightedCrossEntropyLoss', target=label, class_weight='inverse_frequency'), want, 'float64')


def test_balanced_weighs_each_side_by_the_share_of_the_other():
    label, pred = np.array([[0, 1, 1, 1]]), P1[None, None]
    beta = 1 / 4
    want = -(beta * (math.log(0.4) + math.log(0.7)) + (1 - beta) * math.log(0.8)) / 4
    assert_same(loss('WeightedCrossEntropyLoss', pred, label, class_weight='balanced'), want, 'float64')
    with pytest.raises(ValueError, match='binary'):
        loss('WeightedCrossEntropyLoss', class_weight='balanced')


def test_one_channel_with_two_weights_is_the_two_channel_softmax():
    z = np.array([[[1.0, -2.0, 0.3, 2.0]]])
    label = np.array([[0, 1, 1, 0]])
    one = LOSSES['WeightedCrossEntropyLoss'](class_weight=[0.5, 4]).reference(z, label)
    both = np.concatenate([np.zeros_like(z), z], 1)
    assert_same(one, LOSSES['WeightedCrossEntropyLoss'](class_weight=[0.5, 4]).reference(both, label), 'float64')


def test_smoothing_is_pytorch_s():
    torch = pytest.importorskip('torch')
    rng = np.random.default_rng(1)
    z, y, w = rng.normal(0, 1, (2, 4, 9)), rng.integers(0, 4, (2, 9)), [0.5, 1.0, 2.0, 3.0]
    y[0, :3] = 255
    want = torch.nn.functional.cross_entropy(
        torch.tensor(z), torch.tensor(y), torch.tensor(w, dtype=torch.float64), ignore_index=255, label_smoothing=0.2
    )
    spec = LOSSES['WeightedCrossEntropyLoss'](class_weight=w, label_smoothing=0.2, ignore_index=255)
    assert_same(spec.reference(z, y), want.item(), 'float64')
    rows = spec.reference(z, y, reduction='none')
    assert rows.shape == (2, 9) and (rows[0, :3] == 0).all()
    assert_same(spec.reference(z, y, reduction='sum'), rows.sum(), 'float64')


def test_smoothing_of_a_channel_by_itself_is_that_of_two_classes():
    """e / 2 goes to the foreground and e / 2 to the background, however many channels there are."""
    e, foreground = 0.3, np.array([0.0, 0, 1, 1]) * 0.7 + 0.3 / 2
    pred = P1[None, None] * 0.9
    cost = -foreground * np.log(pred[0, 0]) - (1 - foreground) * np.log(1 - pred[0, 0])
    assert_same(loss('WeightedCrossEntropyLoss', pred, LABEL, label_smoothing=e), cost.mean(), 'float64')
    three, one_hot = np.tile(pred, (1, 3, 1)), np.tile(LABEL[:, None], (1, 3, 1)).astype(float)
    given = dict(activation='sigmoid', label_smoothing=e)
    assert_same(loss('WeightedCrossEntropyLoss', three, one_hot, **given), cost.mean(), 'float64')


@pytest.mark.parametrize('divisor', ['valid', 'pixels', 'all'])
def test_what_the_mean_divides_by(divisor):
    """Two of six pixels are ignored, one weighs nothing, one weighs 3."""
    nll = -np.log([0.8, 0.6, 0.7])
    pred = np.concatenate([PRED[:, :, :3], np.full((1, 2, 3), 0.5)], 2)
    label, weight = np.array([[0, 0, 1, 1, 255, 255]]), np.array([[1.0, 3, 1, 0, 1, 1]])
    params = dict(class_weight=[2, 5], ignore_index=255, divisor=divisor)
    total = 2 * nll[0] + 3 * 2 * nll[1] + 5 * nll[2]
    want = total / dict(valid=2 + 3 * 2 + 5, pixels=1 + 3 + 1, all=6)[divisor]
    assert_same(loss('WeightedCrossEntropyLoss', pred, label, weight, **params), want, 'float64')
    del params['class_weight']
    want = (nll[0] + 3 * nll[1] + nll[2]) / dict(valid=5, pixels=5, all=6)[divisor]
    assert_same(loss('WeightedCrossEntropyLoss', pred, label, weight, **params), want, 'float64')
    nothing = np.full((1, 6), 255)
    assert loss('WeightedCrossEntropyLoss', pred, nothing, **params) == 0.0


def test_pos_weight_is_pytorch_s():
    torch = pytest.importorskip('torch')
    rng = np.random.default_rng(2)
    z, y = rng.normal(0, 1, (2, 3, 9)), (rng.random((2, 3, 9)) < 0.4).astype(float)
    y[0] = rng.random((3, 9))
    for weights in ([0.5, 2.0, 3.0], [2.5] * 3):
        given = weights if len(set(weights)) > 1 else weights[0]
        spec = LOSSES['WeightedCrossEntropyLoss'](activation='sigmoid', pos_weight=given)
        factor = torch.tensor(weights, dtype=torch.float64)[:, None]
        want = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(z), torch.tensor(y), pos_weight=factor)
        assert_same(spec.reference(z, y), want.item(), 'float64')


def test_pos_weight_is_refused_where_it_has_no_meaning():
    with pytest.raises(
        ValueError, match="^WeightedCrossEntropyLoss: pos_weight does not go with class_weight='balanced'"
    ):
        LOSSES['WeightedCrossEntropyLoss'](pos_weight=2, class_weight='balanced')
    with pytest.raises(ValueError, match='^WeightedCrossEntropyLoss: pos_weight needs sigmoid channels'):
        loss('WeightedCrossEntropyLoss', pos_weight=2)
    for weights in ([1, 2], 'inverse_frequency'):
        with pytest.raises(ValueError, match='^WeightedCrossEntropyLoss: pos_weight needs sigmoid channels'):
            loss('WeightedCrossEntropyLoss', P1[None, None], LABEL, pos_weight=2, class_weight=weights)
    with pytest.raises(ValueError, match='pos_weight must have 1 entries, one for each channel, got 2'):
        loss('WeightedCrossEntropyLoss', P1[None, None], LABEL, pos_weight=[2, 1])
