"""TopologyAwareFocalLoss by hand: diagrams of tiny pictures, what features cost, and what following the gradient does."""

import math
import sys

import numpy as np
import pytest

from shared_spec import LOSSES
from shared_spec.persistence import coordinates, persistence
from shared_spec.quick_topology import matched, terms_and_slopes
from tests.support.assertions import assert_gradient, assert_same
from tests.support.frameworks import axis

NAME = 'TopologyAwareFocalLoss'
RING = np.zeros((7, 7), int)
RING[1:6, 1:6] = 1
RING[2:5, 2:5] = 0


def spec(**params):
    return LOSSES[NAME](**params)


def term(p, y, **params):
    """The topological term alone of probabilities (*space) of the foreground, and of labels."""
    p, y = np.asarray(p, float)[None, None], np.asarray(y)[None]
    both = [LOSSES[NAME](from_logits=False, topology_weight=w, **params).reference(p, y) for w in (1.0, 0.0)]
    return both[0] - both[1]


def diagram(field):
    """Dimension -> sorted (birth, death) of the features of a field's sublevel sets; what never dies dies at 1."""
    found = [coordinates(pairs, np.asarray(field, float), 1.0) for pairs in persistence(np.asarray(field, float))]
    return [sorted(zip(b.tolist(), d.tolist())) for b, d in found]


def test_topology_of_tiny_pictures():
    assert diagram([0.3, 0.9, 0.1, 0.5, 0.2]) == [[(0.1, 1.0), (0.2, 0.5), (0.3, 0.9)]]
    assert diagram([[0.4]]) == [[(0.4, 1.0)], []]
    ring = [[0.1, 0.2, 0.3], [0.2, 0.8, 0.4], [0.1, 0.2, 0.2]]  # closed by its last pixel, filled by the middle
    assert diagram(ring) == [[(0.1, 1.0), (0.1, 0.2)][::-1], [(0.4, 0.8)]]
    corner = [[0.1, 0.9], [0.9, 0.2]]  # two pixels that touch at a corner are one component
    assert diagram(corner) == [[(0.1, 1.0)], []]
    assert diagram(1 - RING) == [[(0.0, 1.0)], [(0.0, 1.0)]]


def test_topology_of_tiny_volumes():
    shell = np.full((3, 3, 3), 0.2)
    shell[1, 1, 1] = 0.7
    shell[0, 1, 1] = 0.3  # the last stone of the shell
    assert diagram(shell) == [[(0.2, 1.0)], [], [(0.3, 0.7)]]
    tube = np.full((3, 3, 2), 0.2)
    tube[1, 1] = 0.6, 0.5
    assert diagram(tube) == [[(0.2, 1.0)], [(0.2, 0.5)], []]


def test_topology_places_are_the_pixels_with_those_values():
    field = np.random.default_rng(0).permutation(60).reshape(3, 4, 5) / 60
    for axes in (1, 2, 3):
        some = field[(0,) * (3 - axes)]
        for pairs in persistence(some):
            b, d = coordinates(pairs, some, 1.0)
            assert (b < d).all()
        lowest = persistence(some)[0].births[persistence(some)[0].deaths == -1]
        assert_same(lowest, [some.argmin()], 'exact')


def test_topology_of_a_right_prediction_costs_nothing():
    assert term(RING, RING) == 0
    assert term(0.0 * RING, 0 * RING) == 0
    assert term(1.0 + 0 * RING, 1 + 0 * RING) == 0
    both = np.stack([1 - RING, RING]).astype(float)[None]
    assert LOSSES[NAME](from_logits=False).reference(both, RING[None]) < 1e-13


@pytest.mark.parametrize('weight', [1.0, 2.5])
def test_topology_by_hand(weight):
    """A ring of p = 0.9 with a gap of 0.6 around 0.2, in nothing: the component and the hole of the labels are nearest."""
    p = np.where(RING, 0.9, 0.0)
    p[1, 3] = 0.6
    p[2:5, 2:5] = 0.2
    component, hole = (0.1 - 0) ** 2 + 0, (0.4 - 0) ** 2 + (0.8 - 1) ** 2
    assert_same(term(p, RING), component + hole, 'float64')
    assert_same(term(p, RING, dimensions=[1]), hole, 'float64')
    assert_same(term(p, RING, dimensions=[0], loss_weight=weight), weight * component, 'float64')


def test_topology_gives_up_what_is_nearer_to_nothing():
    """A false island costs half its squared life; so does a hole that nobody predicts, and one that is nearly closed."""
    p = np.zeros((3, 9))
    p[1, :4], p[1, 6] = 1.0, 0.7
    y = (p == 1).astype(int)
    assert_same(term(p, y), 0.7**2 / 2, 'float64')
    assert_same(term(1.0 * (RING >= 0), RING), 0.5, 'float64')  # no hole at all
    p = np.where(RING, 1.0, 0.0)
    for gap, want in (
        (0.2, 0.5 + 0.2**2 / 2),
        (0.3, (1 - 0.3) ** 2),
    ):  # p below 2 - sqrt 3 = 0.268 goes to the diagonal
        p[1, 3] = gap
        assert_same(term(p, RING, dimensions=[1]), want, 'float64')


def test_topology_of_more_features_than_the_labels_have():
    """The island that is surest is matched, the others are given up."""
    p = np.zeros((1, 9))
    p[0, ::2] = 0.9, 0.5, 0.8, 0.3, 0.6
    y = np.zeros((1, 9), int)
    y[0, 0] = y[0, 4] = 1
    want = 0.1**2 + 0.2**2 + (0.5**2 + 0.3**2 + 0.6**2) / 2
    assert_same(term(p, y), want, 'float64')
    y[0, 8] = 1
    assert_same(term(p, y), want - 0.6**2 / 2 + 0.4**2, 'float64')


def test_topology_of_ignored_pixels_is_that_of_the_background():
    """A gap in the ring that is ignored opens it, in prediction and labels: no hole is missed, none is asked for."""
    p, y = np.where(RING, 0.9, 0.0), RING.copy()
    y[1, 3], p[1, 3] = 255, math.nan
    assert_same(term(p, y, ignore_index=255), 0.1**2, 'float64')
    p[2, 2] = 0.3
    p[3, 3] = 0.4  # an island of the hole, which the ring does not touch
    p[2, 2] = 0.0
    assert_same(term(p, y, ignore_index=255), 0.1**2 + 0.4**2 / 2, 'float64')
    pred, label = p[None, None], y[None]
    label[0, 1, 3] = 1
    weight = np.ones(label.shape)
    weight[0, 1, 3] = 0
    got = spec(from_logits=False, topology_weight=1.0).reference(pred, label, weight)
    label[0, 1, 3] = 255
    want = spec(from_logits=False, topology_weight=1.0, ignore_index=255).reference(pred, label)
    assert_same(got, want, 'float64')


def test_topology_is_a_mean_over_images_and_classes_that_count():
    rng = np.random.default_rng(0)
    z, y = rng.normal(0, 2, (2, 3, 5, 6)), rng.integers(0, 2, (2, 5, 6))
    y[1, 0] = 2

    def topology(z, y, weight=None, **params):
        both = [spec(topology_weight=t, **params).reference(z, y, weight) for t in (1.0, 0.0)]
        return both[0] - both[1]

    cells = np.array([[topology(z[i : i + 1], y[i : i + 1], classes=[c]) for c in range(3)] for i in range(2)])
    assert (cells > 0.01).all()
    assert_same(topology(z, y), cells.mean(), 'float64')
    assert_same(topology(z, y, classes=[2, 0]), cells[:, [0, 2]].mean(), 'float64')
    assert_same(topology(z, y, np.array([1.0, 3.0])), (cells.mean(1) * [1, 3]).sum() / 4, 'float64')
    assert_same(topology(z, y, classes='present'), (cells.sum() - cells[0, 2]) / 5, 'float64')
    y[0] = 255
    assert_same(topology(z, y, ignore_index=255), cells[1].mean(), 'float64')
    y[1] = 255
    assert spec(ignore_index=255).reference(z, y) == 0


def test_topology_left_out_is_focal_cross_entropy():
    rng = np.random.default_rng(0)
    z, y = rng.normal(0, 2, (2, 3, 5, 6)), rng.integers(0, 3, (2, 5, 6))
    want = LOSSES['FocalCrossEntropyLoss'](gamma=1.5).reference(z, y)
    assert_same(spec(gamma=1.5, topology_weight=0).reference(z, y), want, 'float64')


@pytest.mark.parametrize('flip', [True, False])
def test_topology_does_not_see_where_things_are(flip):
    """The law: turned and mirrored pictures have the same diagrams, with a gradient that turns along."""
    rng = np.random.default_rng(0)
    z, y = rng.normal(0, 2, (1, 2, 5, 6)), rng.integers(0, 2, (1, 5, 6))
    ours = spec(topology_weight=1.0)
    turned = [x[..., ::-1] if flip else np.swapaxes(x, -1, -2) for x in (z, y)]
    assert_same(ours.reference(*turned), ours.reference(z, y), 'float64')


def test_topology_matches_as_the_whole_assignment_problem_does():
    """What both plugins use against the reference's matrix of all points and their places on the diagonal."""
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(0)
    for k, m in [(0, 3), (3, 0), (4, 1), (7, 3), (3, 7), (30, 12)]:
        for aims in (np.sort(rng.uniform(0, 1, (m, 2)), 1), np.tile([[0.0, 1.0]], (m, 1))):
            b, d = np.sort(rng.uniform(0, 1, (2, k)), 0)
            own = matched(b, d, aims)
            taken = own[own >= 0]
            assert len(set(taken.tolist())) == len(taken)
            rest = np.delete(aims, taken, axis=0)
            got = ((b - aims[own, 0]) ** 2 + (d - aims[own, 1]) ** 2)[own >= 0].sum() if len(taken) else 0.0
            got += ((d - b)[own < 0] ** 2).sum() / 2 + ((rest[:, 1] - rest[:, 0]) ** 2).sum() / 2
            costs = np.zeros((k + m, k + m))
            costs[:k, :m] = (b[:, None] - aims[:, 0]) ** 2 + (d[:, None] - aims[:, 1]) ** 2
            costs[:k, m:] = ((d - b) ** 2 / 2)[:, None]
            costs[k:, :m] = (aims[:, 1] - aims[:, 0]) ** 2 / 2
            assert_same(got, costs[linear_sum_assignment(costs)].sum(), 'float64')


def test_topology_of_what_is_no_number_is_none():
    p, y = np.full((1, 1, 4, 4), 0.5), np.zeros((1, 1, 4, 4))
    p[0, 0, 1, 1] = np.nan
    cells, counts = np.ones((1, 1), bool), np.ones((1, 4, 4), bool)
    terms, slopes = terms_and_slopes(p, y, counts, cells, (0, 1))
    assert np.isnan(terms).all() and not slopes.any()
    counts[0, 1, 1] = False
    assert np.isfinite(terms_and_slopes(p, y, counts, cells, (0, 1))[0]).all()


def test_topology_refuses_dimensions_that_images_do_not_have():
    z, y = np.zeros((1, 2, 4, 4)), np.zeros((1, 4, 4), int)
    with pytest.raises(ValueError, match=f'{NAME}: dimensions must be below the 2 spatial axes of pred, got 2'):
        spec(dimensions=[0, 2]).reference(z, y)
    with pytest.raises(ValueError, match=f'{NAME}: dimensions must be below the 1 spatial axes of pred, got 1'):
        spec(dimensions=[1]).reference(z[..., 0], y[..., 0])


@pytest.mark.parametrize('module', ['gudhi', 'scipy.optimize'])
def test_topology_says_what_it_needs(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    z, y = np.random.default_rng(0).normal(0, 1, (1, 2, 4, 4)), np.zeros((1, 4, 4), int)
    with pytest.raises(ImportError, match=r"topology needs GUDHI and SciPy: pip install 'segparity\[topology\]'"):
        spec().reference(z, y)
    assert spec(topology_weight=0).reference(z, y) > 0


def pictures():
    """Name -> (p of the foreground, labels): a gap in a ring and a false island, both of which a threshold of 1/2 shows."""
    ring = np.pad(RING, 2)
    gap, island = (
        np.where(ring, 0.9, 0.1) + 0.02 * np.random.default_rng(k).uniform(-1, 1, ring.shape) for k in (0, 1)
    )
    gap[3, 5] = 0.35
    island[9:, 9:] = 0.7, 0.8
    return {'gap': (gap, ring), 'island': (island, ring)}


def components_and_holes(p):
    """How many components and holes the mask p > 1/2 has, by SciPy."""
    from scipy import ndimage

    mask = p > 0.5
    inside = ndimage.label(mask, np.ones((3, 3)))[1]
    return inside, ndimage.label(np.pad(~mask, 1, constant_values=True))[1] - 1


@pytest.mark.parametrize('picture', pictures())
def test_topology_alone_closes_a_gap_and_removes_a_false_island(picture):
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin.losses import TopologyAwareFocalLoss

    p, y = pictures()[picture]
    assert components_and_holes(p) != components_and_holes(y) == (1, 1)
    z = torch.tensor(np.log(p / (1 - p)))[None, None].requires_grad_()
    label = torch.tensor(y)[None]
    ours, focal = (TopologyAwareFocalLoss(topology_weight=t) for t in (1.0, 0.0))
    for step in range(40):
        (gradient,) = torch.autograd.grad(ours(z, label) - focal(z, label), z)
        if not step:  # where the picture was spoilt
            assert p.flat[int(gradient.abs().argmax())] in (0.35, 0.7, 0.8)
        z = (z - 2 * gradient).detach().requires_grad_()
    assert components_and_holes(z.detach().sigmoid()[0, 0].numpy()) == (1, 1)


@pytest.mark.slow
def test_topology_in_pytorch_on_what_needs_a_matrix():
    """Soft labels, whose points differ: the reference and its slope, of volumes too."""
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin.losses import TopologyAwareFocalLoss
    from segparity.parity.derivative import gradient

    rng = np.random.default_rng(0)
    for space in ((6, 7), (3, 4, 3)):
        z, y = rng.normal(0, 2, (2, 2, *space)), rng.dirichlet([1, 1], (2, *space))
        y = np.moveaxis(y, -1, 1)
        ours = spec(topology_weight=1.0)
        pred = torch.tensor(z, requires_grad=True)
        value = TopologyAwareFocalLoss(topology_weight=1.0)(pred, torch.tensor(y))
        assert_same(value.detach(), ours.reference(z, y), 'float64')
        want = gradient(ours.reference_near(z, y), z, 2.0**-9)
        assert_gradient(torch.autograd.grad(value, pred)[0].numpy(), want, 'float64_gradient')


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_tensorflow'))
def test_topology_under_xla_of_tensorflow_names_the_remedy(framework, worker):
    said, _ = worker.call('tests.losses.topology_calls:fits')
    assert said['True'] == (
        f'ValueError: {NAME}: the topological term computes on the host, where a step compiled by XLA cannot go: compile '
        'the model with jit_compile=False'
    )
    assert said['False'] == said['auto'] == 'nothing raised'


@pytest.mark.slow
@pytest.mark.parametrize('framework', axis('keras_jax', 'keras_torch'))
def test_topology_in_fit(framework, worker):
    said, _ = worker.call('tests.losses.topology_calls:fits')
    assert set(said.values()) == {'nothing raised'}
