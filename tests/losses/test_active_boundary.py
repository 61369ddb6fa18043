"""ActiveBoundaryLoss by hand and by laws, its thresholds, what it refuses, and what ignored pixels do in both ways."""

import math

import numpy as np
import pytest

from shared_spec import LOSSES
from shared_spec.losses.boundary.active_boundary import exceeding
from tests.support.assertions import assert_gradient, assert_same
from tests.support.frameworks import axis

RATIO = dict(max_boundary_ratio=0.3)
OFFICIAL = dict(RATIO, budget='batch', ignored='boundary')


def eyes_shut(monkeypatch):
    """PyTorch as it runs on a GPU, where nothing is looked at."""
    from mmseg_plugin import active_boundaries, distance, inputs, values

    for room in (active_boundaries, distance, inputs, values):
        monkeypatch.setattr(room, 'can_look', lambda *tensors: False)


def loss(pred, target, weight=None, call=None, **params):
    return LOSSES['ActiveBoundaryLoss'](**params).reference(pred, target, weight, **(call or {}))


def inputs(seed=0, n=2, c=3, size=(9, 12)):
    """(logits, labels) of pictures with areas."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, max(c, 2), (n, 2, 2))
    coarse[:, 0, 0] = 0
    coarse[:, 1, 1] = 1
    y = coarse.repeat(-(-size[0] // 2), 1).repeat(-(-size[1] // 2), 2)[:, : size[0], : size[1]]
    return rng.normal(0, 1.5, (n, c, *size)), y


def kl(p, q):
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def test_active_boundary_by_hand():
    """One row: the labels change behind the fifth pixel, the prediction behind the first; the second is beside that.

    To the right of both is the nearer one: directions 3, 5 and 7 of 8 for what stands beyond the picture is the row's.
    """
    p, y = np.array([[[[0.8, 0.3, 0.3, 0.3, 0.3, 0.3]]]]), np.array([[[0, 0, 0, 0, 0, 1]]])
    out, back = kl(0.3, 0.8), kl(0.8, 0.3)

    def cost(own, others):
        log = [s - math.log(sum(math.exp(x) for x in [own, *others])) for s in (own, *others)]
        return -(0.8 * log[0] + 0.2 / 8 * sum(log[1:]))

    first = cost(out, [out, out, 0, 0, 0, 0, 0]) * 3 / 20  # D = 4 - 1
    second = cost(0, [back, back, back, 0, 0, 0, 0]) * 2 / 20
    params = dict(from_logits=False, max_boundary_ratio=0.2)  # one of six pixels, and the one beside it
    assert_same(loss(p, y, **params), (first + second) / 2, 'float64')
    weight = np.array([[[3.0, 1, 1, 1, 1, 1]]])
    assert_same(loss(p, y, weight, **params), (3 * first + second) / 4, 'float64')
    two = np.concatenate([1 - p, p], 1)
    assert_same(loss(two, y, **params), (first + second) / 2, 'float64')
    near = dict(params, max_clip_distance=2.0, label_smoothing=0.0)
    want = (-out + math.log(3 * math.exp(out) + 5) + math.log(3 * math.exp(back) + 5)) / 2
    assert_same(loss(p, y, **near), want, 'float64')


def test_active_boundary_takes_the_first_of_equal_neighbours_and_no_pixel_that_stays():
    """With a map given: a pixel nearer than its neighbours counts nowhere, and of equal ones below comes first."""
    p, y = np.full((1, 1, 3, 3), 0.4), np.zeros((1, 3, 3), int)
    p[0, 0, 1, 1] = 0.5
    params = dict(from_logits=False, max_boundary_ratio=1.0, label_smoothing=0.0, max_clip_distance=1.0)
    weight = np.full((1, 3, 3), 1e-300)  # of pixels whose share of the mean is nothing
    weight[0, 1, 1] = 1
    maps = np.full((1, 3, 3), 5.0)
    maps[0, 1, 1] = 4.0
    score = kl(0.4, 0.5)
    assert loss(p, y, weight, dict(distance_map=maps), **params) < 10  # of the others alone
    maps[0, 1, 1] = 5.0
    p[0, 0, 2, 1] = 0.3
    below, others = kl(0.3, 0.5), score
    want = -below + math.log(math.exp(below) + 7 * math.exp(others))
    assert_same(loss(p, y, weight, dict(distance_map=maps), **params), want, 'float64')


def test_active_boundary_moves_a_predicted_boundary_towards_the_labels():
    """Whichever side it is on, a step down the gradient raises the class that the labels have between the two."""
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin.losses import ActiveBoundaryLoss

    y = torch.zeros(1, 6, 16, dtype=torch.long)
    y[..., 8:] = 1
    places = torch.arange(16).expand(6, 16)
    for start in (4, 12):
        z = torch.where(places < start, -2.0, 2.0)[None, None].double()
        crossing = []
        for _ in range(60):
            z.requires_grad_()
            value = ActiveBoundaryLoss(max_boundary_ratio=0.08)(z, y)
            (slope,) = torch.autograd.grad(value, z)
            z = (z - 100 * slope).detach()
            crossing.append((z < 0).double().sum(3).mean().item())
        away = np.abs(np.subtract([start, *crossing], 8))
        assert (np.diff(away) <= 0).all() and away[-1] <= 3, crossing


@pytest.mark.parametrize('params', [RATIO, dict(RATIO, detach=False, label_smoothing=0.0)])
def test_active_boundary_of_images_does_not_depend_on_the_others(params):
    """With budget='image' a picture twice costs what it costs once; with the official budget it does not."""
    z, y = inputs(n=1)
    twice = np.concatenate([z, z]), np.concatenate([y, y])
    assert_same(loss(*twice, **params), loss(z, y, **params), 'float64')
    assert_same(loss(z, y, **dict(params, budget='batch')), loss(z, y, **params), 'float64')
    assert abs(loss(*twice, **dict(params, budget='batch')) - loss(z, y, **params)) > 1e-3
    other = np.concatenate([z, 3 * z[:, ::-1]]), np.concatenate([y, y[:, ::-1]])
    assert_same(loss(*other, weight=np.array([1.0, 0]), **params), loss(z, y, **params), 'float64')


@pytest.mark.parametrize('params', [RATIO, dict(RATIO, budget='batch'), dict(RATIO, detach=False, spacing=[1.0, 2.5])])
@pytest.mark.parametrize('channels', [1, 3])
def test_active_boundary_of_ignored_pixels_is_that_of_the_picture_without_them(channels, params):
    """Lines at all edges of the picture, cut out or ignored, by label or by weight."""
    z, y = inputs(c=channels)
    want = loss(z[:, :, 2:-1, 1:-2], y[:, 2:-1, 1:-2], **params)
    ignored, wild = np.full_like(y, 255), np.full_like(z, np.nan)
    ignored[:, 2:-1, 1:-2], wild[:, :, 2:-1, 1:-2] = y[:, 2:-1, 1:-2], z[:, :, 2:-1, 1:-2]
    assert want > 1e-3
    assert_same(loss(wild, ignored, ignore_index=255, **params), want, 'float64')
    assert_same(loss(wild, y, (ignored < 255).astype(float), **params), want, 'float64')
    more = np.concatenate([wild, wild[:1]]), np.concatenate([ignored, np.full_like(ignored[:1], 255)])
    assert_same(loss(*more, ignore_index=255, **params), want, 'float64')  # an image of nothing


def test_active_boundary_of_official_ignored_pixels():
    """They are boundaries, so that an area next to them costs less, and what is predicted there has a part."""
    z, y = inputs()
    ignored = y.copy()
    ignored[:, :, 9:] = 255
    spec = LOSSES['ActiveBoundaryLoss'](ignore_index=255, **OFFICIAL)
    value = spec.reference(z, ignored)
    distance = np.maximum(np.floor(spec.distance_map(ignored[0], 3)), 0)
    assert (distance[0, :, 9:] == 0).all() and (distance[0, :, 8] == 0).all()
    other = z.copy()
    other[:, :, :, 10] += 3 * np.arange(3)[:, None]
    assert abs(spec.reference(other, ignored) - value) > 1e-4
    other[0, 0, 0, 10] = np.nan
    assert math.isnan(spec.reference(other, ignored))
    weight = np.ones(y.shape)
    weight[ignored == 255] = 0
    assert_same(LOSSES['ActiveBoundaryLoss'](**OFFICIAL).reference(z, y, weight), value, 'float64')


def divergences(dtype):
    """(3, 400): of every size, some at thresholds, some of one row infinite."""
    rng = np.random.default_rng(0)
    found = 10.0 ** rng.uniform(-7, 5, (3, 400))
    steps = LOSSES['ActiveBoundaryLoss']().thresholds(float(np.finfo(dtype).max))
    found[:, :60] = steps[20:80]
    found[1, 60:90], found[2, 100:] = np.inf, 0
    return found.astype(dtype)


def want_exceeding(found, allowed):
    """By the loop over thresholds, each rounded to the dtype as comparing with a Python number does."""
    steps, want = LOSSES['ActiveBoundaryLoss']().thresholds(float(np.finfo(found.dtype).max)), []
    for row, most in zip(found, allowed):
        want.append(next(row > found.dtype.type(s) for s in steps if (row > found.dtype.type(s)).sum() <= most))
    return np.array(want)


ALLOWED = [(0, 0, 0), (399, 29, 100), (7, 30, 1), (150, 399, 60)]


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('allowed', ALLOWED)
def test_active_boundary_finds_the_threshold_of_the_loop(allowed, dtype):
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin import active_boundaries

    found = divergences(dtype)
    want = want_exceeding(found, allowed)
    assert all(row.sum() <= most for row, most in zip(want, allowed))
    if dtype == 'float64':
        assert_same(np.array([exceeding(*one) for one in zip(found, allowed)]), want, 'exact')
    spec = LOSSES['ActiveBoundaryLoss']()
    got = active_boundaries.exceeding(torch.tensor(found), torch.tensor(allowed).double(), spec)
    assert_same(got.numpy(), want, 'exact')


@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_active_boundary_finds_the_threshold_of_the_loop_in_keras(framework, worker):
    found, allowed = divergences('float32'), ALLOWED[2]
    _, got = worker.call('tests.losses.boundary_calls:exceeding', dict(kl=found), allowed=list(allowed))
    assert_same(got['found'], want_exceeding(found, allowed), 'exact')


@pytest.mark.slow_on('keras_tensorflow')
@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_active_boundary_budgets_of_keras_are_whole_as_those_of_float64(framework, worker):
    _, got = worker.call('tests.losses.boundary_calls:whole_products', pixels=3000)
    assert len(got) == (5 if framework == 'keras_jax' else 10)
    for name, found in got.items():
        assert_same(found, np.floor(float(name.split()[0]) * np.arange(3001)).astype(int), 'exact', name)


@pytest.mark.parametrize('params', [RATIO, OFFICIAL, dict(RATIO, detach=False)])
def test_active_boundary_in_pytorch_where_nothing_is_looked_at(params, monkeypatch):
    """As many places as there may be in place of as many as there are: the same to the last bit but of sums."""
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin import active_boundaries
    from mmseg_plugin.losses import ActiveBoundaryLoss

    z, y = inputs()
    y[:, 0, :3] = 255
    found, sizes, places_of = [], [], active_boundaries.places_of

    def counted(*given):
        places, some = places_of(*given)
        sizes.append(places.shape[1])
        return places, some

    monkeypatch.setattr('mmseg_plugin.losses.boundary.active_boundary.places_of', counted)
    module = ActiveBoundaryLoss(ignore_index=255, **params)
    for eyes in ('open', 'shut'):
        if eyes == 'shut':
            eyes_shut(monkeypatch)
        pred = torch.tensor(z, requires_grad=True)
        value = module(pred, torch.tensor(y))
        found.append((value.detach(), *torch.autograd.grad(value, pred)))
    assert sizes[0] < sizes[1] == min(108, 9 * int(0.3 * 108))
    assert_same(found[1][0], found[0][0], 'float64')
    assert_gradient(found[1][1], found[0][1], 'float64')
    assert_same(found[0][0], loss(z, y, ignore_index=255, **params), 'float64')


def test_active_boundary_never_waits_for_a_device(monkeypatch):
    """Tensors without values have none that anybody could look at."""
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from torch._subclasses import FakeTensorMode

    from mmseg_plugin.losses import ActiveBoundaryLoss

    eyes_shut(monkeypatch)
    for params in ({}, OFFICIAL):
        with FakeTensorMode():
            pred = torch.zeros(2, 3, 20, 20, requires_grad=True)
            value = ActiveBoundaryLoss(ignore_index=255, **params)(pred, torch.zeros(2, 20, 20).long())
            value.backward()
        assert value.shape == () and pred.grad.shape == pred.shape


@pytest.mark.parametrize('what', ['prediction', 'label', 'map', 'ignored'])
def test_active_boundary_of_what_is_no_number_is_nan_in_pytorch(what, monkeypatch):
    """Far from any predicted boundary as well, in value and whole gradient; at an ignored pixel it may stand."""
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin.losses import ActiveBoundaryLoss

    z, y = inputs(n=1)
    z[:, :, 5:] = z[:, :, 5:, :1]
    maps = LOSSES['ActiveBoundaryLoss']().distance_map(y[0], 3, dtype=np.float64)[None]
    y[0, 8, 11] = 255
    if what == 'label':
        eyes_shut(monkeypatch)
        y[0, 7, 10] = 7
    elif what == 'map':
        maps[0, 0, 7, 10] = np.nan
    else:
        z[0, 1, *((8, 11) if what == 'ignored' else (7, 10))] = np.nan
    pred = torch.tensor(z, requires_grad=True)
    extras = dict(distance_map=torch.tensor(maps)) if what == 'map' else {}
    module = ActiveBoundaryLoss(ignore_index=255, max_boundary_ratio=0.05)
    value = module(pred, torch.tensor(y), **extras)
    (gradient,) = torch.autograd.grad(value, pred)
    if what == 'ignored':
        assert value > 0 and gradient.isfinite().all()
        assert ActiveBoundaryLoss(ignore_index=255, ignored='boundary')(pred, torch.tensor(y)).isnan()
        return
    assert value.isnan()
    counts = torch.tensor(y != 255)[:, None].expand_as(gradient)
    assert what == 'map' or gradient[counts].isnan().all()


@pytest.mark.parametrize('framework', axis('keras_tensorflow', 'keras_jax', 'keras_torch'))
def test_active_boundary_of_what_is_no_number_is_nan_in_keras(framework, worker):
    z, y = inputs(n=1)
    z[:, :, 5:] = z[:, :, 5:, :1]
    z[0, 1, 7, 10] = np.nan
    arrays = dict(z=np.moveaxis(z, 1, -1).astype('float32'), y=y)
    jit = framework == 'keras_jax' or None
    _, got = worker.call('tests.losses.boundary_calls:given', arrays, loss=dict(max_boundary_ratio=0.05), jit=jit)
    for array in got.values():
        assert np.isnan(array).all()


@pytest.mark.parametrize('smoothing', [0.2, 0.0])
def test_active_boundary_of_a_class_that_cannot_be_has_no_limit_below_infinity(smoothing):
    """A neighbour that has the class is infinitely far; where no neighbour has it, it is as if there were none."""
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    from mmseg_plugin.losses import ActiveBoundaryLoss

    z, y = inputs()
    params = dict(label_smoothing=smoothing, max_boundary_ratio=1.0)
    z[0, 2, 0, 11] = -np.inf
    assert loss(z, y, **params) == math.inf
    pred = torch.tensor(z, requires_grad=True)
    value = ActiveBoundaryLoss(**params)(pred, torch.tensor(y))
    assert value == math.inf and torch.autograd.grad(value, pred)[0].isfinite().all()
    z[:, 2], never = -np.inf, np.minimum(y, 1)
    assert_same(loss(z, never, **params), loss(z[:, :2], never, **params), 'float64')


def test_what_active_boundary_refuses():
    z, y = inputs()
    with pytest.raises(ValueError, match='pred must be .* with 2 spatial axes, got shape'):
        loss(z[:, :, None], y[:, None])
    with pytest.raises(ValueError, match='takes hard labels alone'):
        loss(z, np.full(z.shape, 1 / 3))
    with pytest.raises(ValueError, match='sigmoid channels are no distribution over classes, use softmax'):
        loss(z, y, activation='sigmoid')
    with pytest.raises(ValueError, match=r'max_boundary_ratio must be a number > 0 and <= 1, got 0'):
        loss(z, y, max_boundary_ratio=0)


def test_active_boundary_without_a_boundary_costs_nothing():
    z, y = inputs()
    assert loss(z, y, **RATIO) > 1e-3
    assert loss(z, 0 * y, **RATIO) == loss(0 * z, y, **RATIO) == loss(z, y, 0.0 * y, **RATIO) == 0.0
    assert loss(z, np.full_like(y, 255), ignore_index=255, **RATIO) == 0.0
    assert loss(z, np.full_like(y, 255), ignore_index=255, **OFFICIAL) == 0.0
