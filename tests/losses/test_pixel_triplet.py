"""PixelTripletLoss by hand, by PyTorch's loss of triplets and by laws; which pixels are anchors; what it refuses."""

import itertools
import math

import numpy as np
import pytest

from shared_spec import LOSSES
from tests.losses.test_active_boundary import inputs
from tests.support.assertions import assert_gradient, assert_same
from tests.support.frameworks import axis

SPEC = LOSSES['PixelTripletLoss']

# a row of six pixels: anchors are those on either side of a change of class, the third to the sixth
LABEL = np.array([[0, 0, 0, 1, 1, 2]])
LOGITS = np.zeros((1, 3, 6))
EMBEDDING = np.array([[[0.0, 3.0, 0.0, 6.0, 6.0, 0.0], [0.0, 4.0, 1.0, 1.0, 9.0, 2.0]]])


def loss(pred=LOGITS, target=LABEL, weight=None, embedding=EMBEDDING, anchors=None, ignore_index=None, **params):
    extras = dict(embedding=embedding) if anchors is None else dict(embedding=embedding, anchors=anchors)
    return SPEC(**params).reference(pred, target, weight, ignore_index=ignore_index, **extras)


def case(seed=0, size=None, **options):
    """(pred, labels, embedding) of pictures with areas."""
    z, y = inputs(seed, **options)
    return z, y, np.random.default_rng(seed + 1).normal(0, 1, (len(z), 4, *(size or z.shape[2:])))


def of_anchor(place, positives, negatives, margin):
    """What the triplets of an anchor of the row cost."""
    d = [math.dist(EMBEDDING[0, :, place], EMBEDDING[0, :, k]) for k in range(6)]
    return [max(0.0, d[p] - d[n] + margin) for p in positives for n in negatives]


@pytest.mark.parametrize('margin', [0.0, 1.0, 10.0])
def test_pixel_triplet_by_hand(margin):
    """Window 5 reaches two pixels to either side; the last pixel has no other of its class, and so no triplet."""
    by_place = {2: ([0, 1], [3, 4]), 3: ([4], [1, 2, 5]), 4: ([3], [2, 5])}
    costs = {place: of_anchor(place, *others, margin) for place, others in by_place.items()}
    every = [cost for found in costs.values() for cost in found]
    assert len([cost for cost in every if cost]) > 0 and len(every) == 9
    assert_same(loss(margin=margin), sum(every) / 9, 'float64')
    assert_same(loss(margin=margin, loss_weight=0.3), 0.3 * sum(every) / 9, 'float64')
    weight = np.array([[9, 9, 1, 2, 0.5, 9]])
    want = (sum(costs[2]) + 2 * sum(costs[3]) + 0.5 * sum(costs[4])) / (4 + 2 * 3 + 0.5 * 2)
    assert_same(loss(weight=weight, margin=margin), want, 'float64')
    assert_same(loss(margin=margin, anchors=np.array([[-1, 3, 2]])), sum(costs[2] + costs[3]) / 7, 'float64')
    small = of_anchor(2, [1], [3], margin) + of_anchor(3, [4], [2], margin) + of_anchor(4, [3], [5], margin)
    assert_same(loss(margin=margin, window=3), sum(small) / 3, 'float64')


def test_pixel_triplet_of_pixels_that_do_not_count():
    """Without the second pixel: neither in a triplet, whatever it holds, nor beside anything."""
    want = of_anchor(2, [0], [3, 4], 10) + of_anchor(3, [4], [2, 5], 10) + of_anchor(4, [3], [2, 5], 10)
    ignored, wild, z = LABEL.copy(), EMBEDDING.copy(), LOGITS.copy()
    ignored[:, 1], wild[..., 1], z[..., 1] = 255, np.nan, np.nan
    assert_same(loss(z, ignored, None, wild, ignore_index=255), sum(want) / 6, 'float64')
    assert_same(loss(z, LABEL, np.array([[1.0, 0, 1, 1, 1, 1]]), wild), sum(want) / 6, 'float64')
    ignored, anchored = LABEL.copy(), np.array([[3, 5]])
    ignored[:, 3] = 255  # what is no pixel is no anchor
    assert loss(LOGITS, ignored, anchors=anchored, ignore_index=255) == 0.0


def test_pixel_triplet_reaches_over_a_line_of_ignored_pixels_between_classes():
    """As the labels of Pascal VOC have it around every object: without this the loss would be 0 there."""
    ignored = LABEL.copy()
    ignored[:, 3] = 255
    assert SPEC().anchors(np.where(ignored == 255, -1, ignored))[0].tolist() == [2, 4, 5]
    assert_same(loss(LOGITS, ignored, ignore_index=255), sum(of_anchor(2, [0, 1], [4], 10)) / 2, 'float64')
    assert_same(
        loss(LOGITS, LABEL, np.array([[1.0, 1, 1, 0, 1, 1]])), sum(of_anchor(2, [0, 1], [4], 10)) / 2, 'float64'
    )
    assert loss(LOGITS, ignored, ignore_index=255, window=3) == 0.0
    assert SPEC(window=3).anchors(np.where(ignored == 255, -1, ignored))[0].tolist() == [4, 5]


@pytest.mark.parametrize('space', [(7, 9), (3, 4, 5)])
def test_pixel_triplet_is_the_mean_of_the_triplet_losses_of_pytorch(space):
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    rng = np.random.default_rng(0)
    y, e = rng.integers(0, 3, (2, *space)), rng.normal(0, 2, (2, 5, *space))
    triplets = []
    for image, *at in itertools.product(range(2), *map(range, space)):
        beside = [
            tuple(a + s * (k == axis) for k, a in enumerate(at)) for axis in range(len(space)) for s in (-1, 1)
        ]  # fmt: skip
        labels = [y[(image, *b)] for b in beside if all(0 <= k < n for k, n in zip(b, space))]
        own = y[(image, *at)]
        if all(label == own for label in labels):
            continue
        window = itertools.product(*(range(max(0, a - 1), min(n, a + 2)) for a, n in zip(at, space)))
        others = [other for other in window if other != tuple(at)]
        for p, n in itertools.product(others, others):
            if y[(image, *p)] == own != y[(image, *n)]:
                triplets.append([e[(image, slice(None), *place)] for place in (at, p, n)])
    columns = (torch.tensor(np.array(x)) for x in zip(*triplets))
    want = torch.nn.functional.triplet_margin_loss(*columns, margin=1.5, eps=0).item()
    z = np.zeros((2, 3, *space))
    assert len(triplets) > 100
    assert_same(loss(z, y, None, e, margin=1.5, window=3), want, 'float64')


def test_pixel_triplet_knows_neither_names_of_classes_nor_axes_of_features():
    z, y, e = case()
    want = loss(z, y, None, e, margin=1)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
    assert want > 1e-3
    assert_same(loss(z, (y + 1) % 3, None, e, margin=1), want, 'float64')
    assert_same(loss(z, y, None, np.einsum('de,nehw->ndhw', turn, e) + 5, margin=1), want, 'float64')
    assert_same(loss(z, y, None, 3 * e, margin=3), 3 * want, 'float64')
    twice = (np.concatenate([x, x]) for x in (z, y))
    assert_same(loss(*twice, None, np.concatenate([e, e]), margin=1), want, 'float64')
    weight = np.array([1.0, 0])
    assert_same(loss(z, y, weight, e, margin=1), loss(z[:1], y[:1], None, e[:1], margin=1), 'float64')


def test_pixel_triplet_of_an_embedding_of_another_size_is_that_of_fewer_labels():
    z, y, e = case(size=(5, 6))
    rows, columns = [i * 9 // 5 for i in range(5)], [i * 2 for i in range(6)]
    small = y[np.ix_(range(len(y)), rows, columns)]
    assert_same(loss(z, y, None, e), loss(z[:, :, rows][..., columns], small, None, e), 'float64')


def test_pixel_triplet_takes_anchors_evenly_from_all_of_the_boundary():
    y = np.arange(11).reshape(1, 11) % 2  # eleven anchors
    spec = SPEC(samples=4)
    assert spec.anchors(y)[0].tolist() == [0, 2, 5, 8]  # 0, 11, 22 and 33 quarters
    assert SPEC(samples=11).anchors(y)[0].tolist() == SPEC().anchors(y)[0].tolist() == list(range(11))
    z, y, e = case()
    few = SPEC(samples=5)
    chosen = np.array([np.pad(places, (0, 5 - len(places)), constant_values=-1) for places in few.anchors(y)])
    want = few.reference(z, y, embedding=e)
    assert_same(loss(z, y, None, e, anchors=chosen), want, 'float64')
    assert abs(loss(z, y, None, e) - want) > 1e-3


def maps_of_labels():
    """Labels with many changes, some, and none; -1 for what does not count."""
    rng = np.random.default_rng(0)
    y = np.stack([rng.integers(0, 2, (13, 17)), inputs(n=1, size=(13, 17))[1][0], np.zeros((13, 17), int)])
    y[0, :3, 2:9] = -1
    lines = np.indices(y.shape[1:]).sum(0) // 4  # stripes of four pixels, a line of ignored ones after each
    return np.stack([*y, np.where(np.indices(y.shape[1:]).sum(0) % 4 == 3, -1, lines % 2)])


@pytest.mark.parametrize('samples', [1, 7, 64, 1024])
def test_pixel_triplet_has_the_same_anchors_in_pytorch(samples, monkeypatch):
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin import boundaries
    from mmseg_plugin.losses import PixelTripletLoss
    from mmseg_plugin.losses.boundary import pixel_triplet

    y, module = maps_of_labels(), PixelTripletLoss(samples=samples)
    for eyes in ('open', 'shut'):
        if eyes == 'shut':
            for looking in (pixel_triplet, boundaries):
                monkeypatch.setattr(looking, 'can_look', lambda *tensors: False)
        found = module.anchors(torch.tensor(y))
        for places, some, want in zip(found.places, found.some, SPEC(samples=samples).anchors(y)):
            assert_same(places[some].numpy(), want, 'exact')
        assert eyes == 'open' or found.places.shape[1] == min(samples, 13 * 17)


@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_pixel_triplet_has_the_same_anchors_in_keras(framework, worker):
    y = maps_of_labels()
    _, got = worker.call('tests.losses.triplet_calls:anchors', dict(y=y), samples=[1, 7, 64])
    for samples in (1, 7, 64):
        for places, some, want in zip(
            got[f'places {samples}'], got[f'some {samples}'], SPEC(samples=samples).anchors(y)
        ):
            assert_same(places[some].astype(int), want, 'exact')


@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_pixel_triplet_of_anchors_that_are_no_pixels_in_keras(framework, worker):
    """A sentence where they are seen, NaN in value and gradient where they are not; sizes have to be known."""
    z, y, e = case()
    arrays = dict(z=np.moveaxis(z, 1, -1), y=y, e=np.moveaxis(e, 1, -1))
    _, got = worker.call('tests.losses.triplet_calls:wrong_anchors', arrays, jit=framework == 'keras_jax' or None)
    assert str(got['said']) == 'PixelTripletLoss: anchors must be -1 or below the 108 pixels of embedding, got 108'
    assert np.isfinite(got['right']) and np.isnan(got['wrong'])
    assert np.isnan(got['gradient']).any()
    assert (
        str(got['sizes'])
        == 'PixelTripletLoss: the height and width of images must be known before the call, got (?, ?)'
    )


def test_pixel_triplet_without_a_triplet_costs_nothing():
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin.losses import PixelTripletLoss

    assert loss(target=0 * LABEL) == loss(weight=0.0 * LABEL) == loss(anchors=np.zeros((1, 0), int)) == 0.0
    for label in (0 * LABEL, np.arange(6)[None] % 3):  # one class; none has another of its class beside it
        e = torch.tensor(EMBEDDING, requires_grad=True)
        value = PixelTripletLoss(window=3)(torch.tensor(LOGITS), torch.tensor(label), embedding=e)
        value.backward()
        assert value == 0 and not e.grad.any()


def test_pixel_triplet_of_equal_features_costs_the_margin():
    """Where all distances are 0 and so have no gradient."""
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin.losses import PixelTripletLoss

    e = torch.ones(1, 2, 6, requires_grad=True)
    value = PixelTripletLoss(margin=0.75)(torch.tensor(LOGITS), torch.tensor(LABEL), embedding=e)
    value.backward()
    assert value.item() == loss(embedding=np.ones((1, 2, 6)), margin=0.75) == 0.75 and not e.grad.any()


def test_pixel_triplet_pulls_features_apart():
    """Steps down the gradient: the loss of the triplets goes to 0, by distances and not by the norm of all."""
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin.losses import PixelTripletLoss

    z, y, e = case(n=1)
    z, y, e = (torch.tensor(x) for x in (z, y, e))
    module, values = PixelTripletLoss(margin=1.0), []
    for _ in range(120):
        e.requires_grad_()
        value = module(z, y, embedding=e)
        values.append(value.item())
        e = (e - 5 * torch.autograd.grad(value, e)[0]).detach()
    assert values[0] > 0.5 and values[-1] < 0.02


def test_pixel_triplet_never_waits_for_a_device(monkeypatch):
    """Tensors without values have none that anybody could look at; its numbers are those of open eyes."""
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from torch._subclasses import FakeTensorMode

    from mmseg_plugin import boundaries, values
    from mmseg_plugin import inputs as inputs_of_plugin
    from mmseg_plugin.losses import PixelTripletLoss
    from mmseg_plugin.losses.boundary import pixel_triplet

    z, y, e = (torch.tensor(x) for x in case())
    y[:, 0, :3] = 255
    module, found = PixelTripletLoss(ignore_index=255, margin=1.0, samples=20), []
    for eyes in ('open', 'shut'):
        if eyes == 'shut':
            for room in (inputs_of_plugin, values, pixel_triplet, boundaries):
                monkeypatch.setattr(room, 'can_look', lambda *tensors: False)
        value = module(z, y, embedding=e.requires_grad_())
        found.append((value.detach(), *torch.autograd.grad(value, e)))
    assert_same(found[1][0], found[0][0], 'float64')
    assert_gradient(found[1][1], found[0][1], 'float64')
    assert module(z, y, embedding=e, anchors=torch.tensor([[3, 108], [0, -1]])).isnan()
    for extras in ({}, dict(anchors=(2, 5))):
        with FakeTensorMode():
            pred, e = torch.zeros(2, 3, 20, 20), torch.zeros(2, 4, 10, 10, requires_grad=True)
            given = {name: torch.zeros(shape).long() for name, shape in extras.items()}
            value = module(pred, torch.zeros(2, 20, 20).long(), embedding=e, **given)
            value.backward()
        assert value.shape == () and e.grad.shape == e.shape


def test_what_pixel_triplet_refuses():
    with pytest.raises(TypeError, match='^PixelTripletLoss: needs embedding, .*, at the call$'):
        SPEC().reference(LOGITS, LABEL)
    with pytest.raises(ValueError, match='window must be an odd integer >= 3, got 6'):
        SPEC(window=6)
    with pytest.raises(ValueError, match='takes hard labels alone'):
        loss(target=np.full(LOGITS.shape, 1 / 3))
    with pytest.raises(TypeError, match='embedding must be floating point, got int64'):
        loss(embedding=np.zeros((1, 2, 6), int))
    with pytest.raises(ValueError, match='embedding must be .* with N = 1 and 1 spatial axes'):
        loss(embedding=np.zeros((2, 2, 6)))
    with pytest.raises(TypeError, match='anchors must be integers, got float64'):
        loss(anchors=np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r'anchors must be \(N, A\) with N = 1, got \(2, 3\)'):
        loss(anchors=np.zeros((2, 3), int))
    for wrong in (-2, 6):
        with pytest.raises(ValueError, match=f'anchors must be -1 or below the 6 pixels of embedding, got {wrong}'):
            loss(anchors=np.array([[0, wrong]]))
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin.losses import PixelTripletLoss

    given = torch.tensor(LOGITS), torch.tensor(LABEL)
    for wrong, error in ((torch.tensor([[6]]), ValueError), (torch.ones(1, 2), TypeError), ([[1]], TypeError)):
        with pytest.raises(error, match='PixelTripletLoss: anchors must be'):
            PixelTripletLoss()(*given, embedding=torch.tensor(EMBEDDING), anchors=wrong)


def test_the_reference_names_what_it_does_not_know():
    with pytest.raises(TypeError, match="^PixelTripletLoss: unexpected argument 'embeding', did you mean 'embedding'"):
        SPEC().reference(LOGITS, LABEL, embeding=EMBEDDING)
    with pytest.raises(TypeError, match="^SoftDiceLoss: unexpected argument 'weight', did you mean 'pixel_weight'"):
        LOSSES['SoftDiceLoss']().reference(LOGITS, LABEL, weight=1)
