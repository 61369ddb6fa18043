"""The Lovasz extension from counts in bins, of one rank, beside sorts: value within 1e-6, gradient within 1e-3."""

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from mmseg_plugin.kernels.lovasz import counts, course, extension
from mmseg_plugin.kernels.lovasz.bins import COARSE, Bins
from mmseg_plugin.kernels.lovasz.counts import ONE, Pixels, count_rows
from shared_spec.losses.region.lovasz import jaccard_increments

IMAGES, SIDE = 2, 3000


@pytest.fixture(autouse=True)
def sent(monkeypatch):
    """What is added up over the ranks, of which there is one."""
    found = []
    monkeypatch.setattr(counts, 'add_over_ranks', lambda x: found.append(x) or x)
    return found


def batch(margin=0.0, deviation=1.0, shares=(0.25, 0.25, 0.25, 0.25), bias=0.0, seed=0):
    """Probabilities (N, C, P) of which nine of ten prefer the label by ``margin``, labels (N, P) and weights (N, P) of 1."""
    rng = np.random.default_rng(seed)
    c = len(shares)
    y = rng.choice(c, (IMAGES, SIDE), p=shares)
    seen = np.where(rng.random(y.shape) < 0.1, rng.integers(0, c, y.shape), y)
    z = deviation * rng.normal(size=(IMAGES, c, SIDE)) + margin * (seen[:, None] == np.arange(c)[:, None])
    z[:, 0] += bias
    x = torch.from_numpy(z).softmax(1).float()
    return x, torch.from_numpy(y), torch.ones(y.shape)


def ignored():
    x, y, w = batch(4)
    w[:, ::7] = 0
    x[:, :, ::7], y[:, ::7] = torch.nan, 255
    return x, y, w


def weighted():
    x, y, w = batch(4)
    return x, y, (5 * torch.rand(w.shape, generator=torch.Generator().manual_seed(0))).round(decimals=1)


def absent():
    x, y, w = batch(4)
    return x, torch.where(y == 3, 0, y), w


def weighted_and_absent():
    x, y, w = weighted()
    return x, torch.where((y == 3) | (y == 1), 0, y), w


def nothing():
    x, y, w = batch(4)
    return x, y, 0 * w


def one_hot():
    x, y, w = batch(4)
    return x, (y[:, None] == torch.arange(4)[:, None]).long(), w


RARE = (0.997, 0.001, 0.001, 0.001)
BATCHES = {
    'trained': lambda: batch(6),
    'half trained': lambda: batch(3),
    'random': batch,
    'fresh': lambda: batch(deviation=1e-3, bias=1e-3),
    'all equal': lambda: batch(deviation=0),
    'nearly perfect': lambda: batch(20, deviation=0.1),
    'saturated': lambda: batch(14, shares=RARE),
    'tiny classes': lambda: batch(6, shares=RARE),
    'tiny classes, random': lambda: batch(shares=RARE),
    'two classes': lambda: batch(4, shares=(0.7, 0.3)),
    'ignored': ignored,
    'weighted': weighted,
    'absent': absent,
    'weighted, absent': weighted_and_absent,
    'nothing': nothing,
    'one-hot': one_hot,
}


def exact(errors, inside, weight):
    """The loss of a row, and the least and the most that pixels of its error add by unit of weight.

    Those of the class first among errors that float32 does not tell apart, or last.
    """
    rounded = errors.astype(np.float32)
    _, group = np.unique(np.stack([rounded, inside]), axis=1, return_inverse=True)
    group = group.ravel()
    mass = np.bincount(group, weight)
    means = []
    for first in (inside, ~inside):
        order = np.lexsort((first, -rounded))
        increments = np.empty_like(errors)
        increments[order] = jaccard_increments(inside[order].astype(float), weight[order])
        means.append((np.bincount(group, increments) / np.where(mass > 0, mass, 1))[group])
    return (errors * increments).sum(), np.minimum(*means), np.maximum(*means)


def check(x, y, weight, hinge=False, given=False, dtype=torch.float32, classes=None):
    """Every row of ``solve_by_counting`` against sorts of the same errors.

    The slopes by logits where x is of logits; of these, the largest of the row is what a difference is held against.
    """
    classes = list(range(x.shape[1])) if classes is None else classes
    x, weight = x.to(dtype), weight.to(dtype)
    slope = torch.zeros_like(x)
    rows = extension.Rows(x.clone(), slope, y, weight, per_image=False)
    counted = not ((weight != 0) & (weight != 1)).any()
    ranks = extension.Ranks([weight.numel()], 0, counted)
    losses = extension.solve_by_counting(rows, hinge, classes, None if given else 'softmax', ranks)
    worst = 0.0
    for k in range(x.shape[1]):
        if k not in classes:
            assert losses[0, k] == 0 and not slope[:, k].any()
            continue
        inside = ((y == k) if y.dim() == 2 else y[:, k] > 0).flatten()
        valid = weight.flatten() != 0
        p = torch.where(valid, x[:, k].flatten(), 0)
        turned = torch.where(inside, -p, p)
        errors = ((1 + turned).relu() if hinge else inside + turned).double()
        if x.shape[1] == 2 and y.dim() == 2 and not given:
            errors = torch.where(inside, torch.where(valid, x[:, 1 - k].flatten(), 0), p).double()
        errors, inside, w = errors.numpy(), inside.numpy() & valid.numpy(), weight.flatten().double().numpy()
        value, least, most = exact(errors[w > 0], inside[w > 0], w[w > 0]) if (w > 0).any() else (0.0, w[:0], w[:0])
        assert losses[0, k].item() == pytest.approx(value, rel=1e-6, abs=1e-6)
        got = slope[:, k].flatten().double().numpy()
        assert not got[w == 0].any()
        flat = (errors == 0) & hinge
        got = np.where(inside, -got, got)[w > 0] / w[w > 0]
        least, most = (np.where(flat[w > 0], 0, t) for t in (least, most))
        steep = np.ones_like(got) if given else (errors * (1 - errors))[w > 0]  # of a probability by its logit
        beyond = (steep * np.maximum(got - most, least - got)).max(initial=0)
        worst = max(worst, beyond / max((steep * most).max(initial=0), 1e-300))
    assert worst < 1e-3
    return worst


@pytest.mark.parametrize('name', BATCHES)
def test_counts_are_what_sorts_are(name):
    check(*BATCHES[name]())


def test_the_tolerance_can_be_missed(monkeypatch):
    monkeypatch.setattr(course, 'LIMIT', 2.0)
    monkeypatch.setattr(course, 'VALUE', 2.0)
    with pytest.raises(AssertionError):
        check(*batch())


@pytest.mark.parametrize('name', ['random', 'nearly perfect', 'ignored', 'weighted'])
def test_in_float64(name):
    check(*BATCHES[name](), dtype=torch.float64)


@pytest.mark.parametrize('name', ['random', 'nearly perfect', 'tiny classes', 'ignored', 'weighted'])
def test_of_probabilities(name):
    x, y, weight = BATCHES[name]()
    check(x, y, weight, given=True)
    check(x * 1.01 - 0.005, y, weight, given=True)  # as rounding makes them: errors below 0


@pytest.mark.parametrize('margin', [0.0, 4.0, 20.0])
@pytest.mark.parametrize('share', [0.0, 0.001, 0.5])
def test_of_a_hinge(margin, share):
    rng = np.random.default_rng(0)
    y = rng.random((IMAGES, 1, SIDE)) < share
    z = rng.normal(size=y.shape) + margin * (y - 0.5)
    check(torch.from_numpy(z).float(), torch.from_numpy(y), torch.ones(IMAGES, SIDE), hinge=True, given=True)


def test_some_classes_alone():
    check(*batch(4), classes=[3, 1])


def test_what_is_not_a_number_is_no_loss():
    x, y, w = batch(4)
    w[1, 5], x[1, :, 5] = torch.nan, torch.nan
    slope = torch.zeros_like(x)
    rows = extension.Rows(x, slope, y, w, per_image=False)
    losses = extension.solve_by_counting(rows, False, range(4), 'softmax', extension.Ranks([w.numel()]))
    assert losses.isnan().all()


def test_what_is_given_stays_as_it_is():
    x, y, w = ignored()
    before = x.clone()
    rows = extension.Rows(x, torch.zeros_like(x), y, w, per_image=False)
    extension.solve_by_counting(rows, False, range(4), None, extension.Ranks([w.numel()], 0, True))
    assert torch.equal(x.nan_to_num(7), before.nan_to_num(7))


@pytest.mark.parametrize('name', ['trained', 'random', 'tiny classes, random', 'saturated', 'weighted'])
def test_what_ranks_send_does_not_grow_with_the_pixels(name, sent):
    check(*BATCHES[name]())
    bytes_of_a_class = sum(x.numel() * x.element_size() for x in sent) / 4
    assert len(sent) < 8
    assert bytes_of_a_class < (2**21 if name == 'weighted' else 2**20)


def test_a_split_finds_every_key():
    first = Bins.coarse(2, ONE, torch.device('cpu'))
    size, coarse = len(first.row) // 2, 2**COARSE
    more = torch.zeros_like(first.row)
    more[[5, size + 7]] = torch.tensor([3, 15])
    second, step = first.split(more)
    assert second.starts.tolist() == [0, size + 7, 2 * size + 7 + 2**15 - 1]
    keys = ((0, 6 * coarse, 13), (0, 5 * coarse + 7 * coarse // 8, 12), (1, 7 * coarse + 12345 * 32 + 31, 7 + 12345))
    for row, key, want in (*keys, (1, 0, 0)):
        shift, offset = (t[key >> COARSE].item() for t in step.of_rows()[row])
        found = (key >> shift) + offset
        assert found == want
        at = second.starts[row] + found
        assert second.row[at] == row and second.low[at] <= key < second.low[at] + 2 ** second.bits[at]


def test_rows_that_are_settled_are_left_out():
    first = Bins.coarse(3, ONE, torch.device('cpu'))
    some = first.of_rows(torch.tensor([True, False, True]))
    assert some.starts.tolist() == first.starts[:3].tolist()
    assert some.row.unique().tolist() == [0, 1] and torch.equal(some.low, first.low[: len(some.low)])


def test_pixels_of_no_image():
    empty = torch.zeros(0, 3, 5)
    pixels = Pixels(empty, empty.clone(), torch.zeros(0, 5), torch.zeros(0, 5), 'softmax', False, [0, 2], True)
    assert count_rows(pixels, 0).tolist() == [0, 0, 0]
