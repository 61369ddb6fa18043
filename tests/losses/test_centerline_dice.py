"""CenterlineDiceLoss by hand, by its laws, and beside MONAI's clDice; on the reference."""

import numpy as np
import pytest

from shared_spec import LOSSES
from shared_spec.losses.boundary.centerline_dice import skeleton, sources_of
from tests.losses.by_hand import loss, random_probabilities
from tests.support.assertions import assert_same

LINE = np.zeros((1, 7, 9), int)
LINE[0, 3, 1:8] = 1  # seven pixels long, one thick: its own skeleton
BAND = np.zeros((1, 7, 9), int)
BAND[0, 2:5, 1:8] = 1


def of(pred, label, **params):
    return loss('CenterlineDiceLoss', np.asarray(pred, float)[:, None], label, smooth=0, iterations=2, **params)


def skeleton_of(x, iterations, valid=None):
    x = np.asarray(x, float)[None, None]
    valid = np.ones_like(x, bool) if valid is None else np.asarray(valid)[None, None]
    found = skeleton(x.reshape(1, 1, -1), sources_of(x, valid, iterations))
    return found.reshape(x.shape)[0, 0]


def test_centerline_dice_of_a_line():
    """A prediction of 0.5 along the line: its skeleton is 0.5 there, so a = 1 and b = 1/2."""
    half = np.where(LINE == 1, 0.5, 0)
    cl, dice = 2 * 1 * 0.5 / 1.5, 2 * 3.5 / (3.5 + 7)
    assert_same(of(half, LINE, alpha=1), 1 - cl, 'float64')
    assert_same(of(half, LINE), 1 - (cl + dice) / 2, 'float64')
    assert_same(of(half, LINE, alpha=0.25, loss_weight=2), 2 * (0.75 * (1 - dice) + 0.25 * (1 - cl)), 'float64')
    gap = LINE.copy()
    gap[0, 3, 4] = 0
    a, b = 1, 6 / 7
    assert_same(of(gap, LINE, alpha=1), 1 - 2 * a * b / (a + b), 'float64')
    smooth = loss('CenterlineDiceLoss', gap[:, None].astype(float), LINE, iterations=0, alpha=1, smooth=2)
    b = (6 + 2) / (7 + 2)
    assert_same(smooth, 1 - 2 * b / (1 + b), 'float64')


def test_centerline_dice_sees_a_gap_and_not_the_thickness():
    """What clDice is for: a band around a line has the line's topology, the line less a pixel has not."""
    gap = LINE.copy()
    gap[0, 3, 4] = 0
    assert of(BAND, LINE, alpha=0) > 0.4 and of(gap, LINE, alpha=0) < 0.1
    assert of(BAND, LINE, alpha=1) < of(gap, LINE, alpha=1)


def test_centerline_dice_of_a_perfect_prediction_costs_nothing():
    label = np.concatenate([LINE, BAND])
    assert_same(of(label, label, alpha=1), 0.0, 'float64')
    assert_same(of(label, label), 0.0, 'float64')
    assert_same(of(0 * LINE, 0 * LINE), 0.0, 'float64')  # no mass at all
    assert of(LINE, 0 * LINE, alpha=1) == 1.0


def test_a_skeleton_of_centerline_dice_is_in_the_middle_and_of_no_thickness():
    thin = skeleton_of(BAND[0], 2)
    assert_same(thin[3, 2:7], np.ones(5), 'float64')
    assert not thin[[0, 1, 5, 6]].any()
    assert_same(skeleton_of(LINE[0], 5), LINE[0].astype(float), 'float64')
    assert not skeleton_of(np.ones((5, 5)), 9).any()  # which has no edge in the picture
    assert not skeleton_of(BAND[0], 0)[3, 3:6].any()


@pytest.mark.parametrize(
    'change', [lambda x: x[..., ::-1], lambda x: np.moveaxis(x, -1, -2)], ids=['flip', 'transpose']
)
@pytest.mark.parametrize('space', [(7, 7), (4, 5, 5)], ids=str)
def test_centerline_dice_of_a_turned_picture_is_the_same(space, change):
    pred, label = random_probabilities(1, space=space)
    params = dict(iterations=2, granularity='I')
    want = loss('CenterlineDiceLoss', pred, label, **params)
    assert_same(loss('CenterlineDiceLoss', change(pred).copy(), change(label).copy(), **params), want, 'float64')


def test_ignored_lines_of_a_picture_are_to_centerline_dice_as_if_cut_off():
    pred, label = random_probabilities(2, space=(8, 9))
    want = loss('CenterlineDiceLoss', pred[:, :, 2:, :-1], label[:, 2:, :-1], iterations=3)
    assert abs(loss('CenterlineDiceLoss', pred, label, iterations=3) - want) > 1e-4
    label[:, :2], label[:, :, -1] = 255, 255
    pred[:, :, :2] = np.nan
    assert_same(loss('CenterlineDiceLoss', pred, label, iterations=3, ignore_index=255), want, 'float64')


@pytest.mark.parametrize('space', [(9, 8), (5, 6, 7)], ids=str)
def test_centerline_dice_is_monai_s(space):
    """One channel, an image by itself: value and gradient in PyTorch, the skeleton of the reference too."""
    torch = pytest.importorskip('torch', reason='needs PyTorch')
    monai = pytest.importorskip('monai.losses', reason='needs MONAI')
    from monai.losses.cldice import soft_skel

    from mmseg_plugin import losses

    rng = np.random.default_rng(3)
    z, label = rng.normal(0, 2, (2, 1, *space)), (rng.random((2, *space)) < 0.4).astype(int)
    p = 1 / (1 + np.exp(-z))
    valid = np.ones_like(p, bool)
    got = skeleton(p.reshape(2, 1, -1), sources_of(p, valid, 4)).reshape(p.shape)
    assert_same(got, soft_skel(torch.tensor(p), 4).numpy(), 'float64')
    found = []
    theirs = monai.SoftclDiceLoss(iter_=4, smooth_nr=0.5, smooth_dr=0.5, smooth=1e-14, sigmoid=True)
    ours = losses.CenterlineDiceLoss(alpha=1, iterations=4, smooth=0.5, granularity='I')
    for call, y in ((theirs, torch.tensor(label[:, None], dtype=torch.float64)), (ours, torch.tensor(label))):
        leaf = torch.tensor(z, requires_grad=True)
        value = call(leaf, y)
        value.backward()
        found.append((value.detach().numpy(), leaf.grad.numpy()))
    for mine, other in zip(found[1], found[0]):
        assert_same(mine, other, 'float64')


def test_centerline_dice_refuses():
    for params in (dict(alpha=1.5), dict(iterations=-1), dict(iterations=2.5), dict(smooth=-1), dict(iteration=3)):
        with pytest.raises(ValueError, match='CenterlineDiceLoss: '):
            LOSSES['CenterlineDiceLoss'](**params)
    with pytest.raises(ValueError, match='with 2 or 3 spatial axes'):
        loss('CenterlineDiceLoss')
