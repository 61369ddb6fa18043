"""The Lovasz losses in PyTorch: rows that NumPy sorts beside blocks that PyTorch sorts, and what the backward allows."""

import json
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('mmseg')

from mmseg.registry import MODELS

import mmseg_plugin  # noqa: F401
from mmseg_plugin.kernels.lovasz import extension as lovasz_extension
from mmseg_plugin.kernels.lovasz import rows as lovasz_rows

SOFTMAX, HINGE = 'LovaszSoftmaxLoss', 'LovaszHingeLoss'


def inputs(channels, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, max(channels, 2), (3, 6, 7), generator=generator)
    y[0] = 0  # the other classes are absent here
    y[1, :2] = 255
    return torch.randn(3, channels, 6, 7, generator=generator) * 3, y


def value_and_gradient(name, z, y, **arguments):
    weight = arguments.pop('weight', None)
    z = z.clone().requires_grad_()
    value = MODELS.build(dict(type=name, ignore_index=255, **arguments))(z, y, weight=weight)
    value.backward()
    return value.detach(), z.grad


@pytest.fixture
def solvers(monkeypatch):
    """Which solver each call took."""
    taken = []
    for name in ('solve_in_numpy', 'solve_blocks'):
        solver = getattr(lovasz_extension, name)
        monkeypatch.setattr(lovasz_extension, name, lambda *a, f=solver, n=name: taken.append(n) or f(*a))
    return taken


@pytest.mark.parametrize('threads', [1, 3])
@pytest.mark.parametrize(
    ('name', 'arguments'),
    [
        (SOFTMAX, dict()),
        (SOFTMAX, dict(per_image=True)),
        (SOFTMAX, dict(classes='all')),
        (SOFTMAX, dict(classes='all', per_image=True)),
        (SOFTMAX, dict(classes=[3, 1], activation='sigmoid')),
        (SOFTMAX, dict(from_logits=False)),  # of numbers beyond 0 and 1, as rounding makes them: errors below 0
        (HINGE, dict()),
        (HINGE, dict(per_image=False)),
    ],
)
def test_rows_are_what_blocks_are(name, arguments, threads, solvers, monkeypatch):
    monkeypatch.setattr(lovasz_rows, 'SMALL', 1)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: threads)
    z, y = inputs(1 if name == HINGE else 4)
    if not arguments.get('from_logits', True):
        z = z.sigmoid() * 1.014 - 0.007
    value, gradient = value_and_gradient(name, z, y, **arguments)
    want, want_gradient = value_and_gradient(name, z.double(), y, **arguments)
    assert solvers == ['solve_in_numpy', 'solve_blocks']
    torch.testing.assert_close(value.double(), want, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient.double(), want_gradient, rtol=0, atol=1e-6 * want_gradient.abs().max().item())


@pytest.mark.parametrize('name', [SOFTMAX, HINGE])
def test_pixels_of_one_weight_are_pixels_of_weight_one(name, solvers):
    z, y = inputs(1 if name == HINGE else 4)
    want, want_gradient = value_and_gradient(name, z, y, per_image=False)
    value, gradient = value_and_gradient(name, z, y, per_image=False, weight=torch.full(y.shape, 0.3))
    assert torch.equal(value, want) and torch.equal(gradient, want_gradient)
    value_and_gradient(name, z, y, per_image=False, weight=torch.rand(y.shape))
    value_and_gradient(name, z, y, per_image=True, weight=torch.tensor([1.0, 2.0, 3.0]))
    value_and_gradient(name, z, y, per_image=True, weight=torch.rand(y.shape))
    assert solvers == ['solve_in_numpy', 'solve_in_numpy', 'solve_blocks', 'solve_in_numpy', 'solve_blocks']


@pytest.mark.parametrize('name', [SOFTMAX, HINGE])
def test_a_block_is_a_class_at_least(name, solvers, monkeypatch):
    z, y = inputs(1 if name == HINGE else 4)
    want, want_gradient = value_and_gradient(name, z.double(), y)
    monkeypatch.setattr(lovasz_extension, 'BLOCK', 1)
    monkeypatch.setattr(lovasz_extension, 'CHUNK', 1)
    value, gradient = value_and_gradient(name, z.double(), y)
    assert solvers == ['solve_blocks', 'solve_blocks']
    torch.testing.assert_close(value, want)
    torch.testing.assert_close(gradient, want_gradient)


def test_a_hinge_keeps_its_slope_alone():
    z, y = inputs(1)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        value = MODELS.build(dict(type=HINGE, ignore_index=255))(z.requires_grad_(), y)
    assert sum(t.numel() for t in kept if t.is_floating_point() and t.numel() >= z.numel()) == z.numel()
    value.backward()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('label', [0, 1])
def test_a_prediction_that_is_no_number_is_no_loss(label, dtype):
    z, y = inputs(1)
    z[2, 0, 3, 4], y[2, 3, 4] = torch.nan, label
    value, _ = value_and_gradient(HINGE, z.to(dtype), y)
    assert value.isnan()


def row_of(errors, inside, valid=None, hinge=False, gap=0):
    """A row of two images whose ``errors`` are given, for slopes with a ``gap`` between the images."""
    errors, inside = np.array(errors, np.float32).reshape(2, -1), np.array(inside, bool).reshape(2, -1)
    x = np.where(inside, 1 - errors, errors - hinge).astype(np.float32)
    valid = None if valid is None else np.array(valid, bool).reshape(2, -1)
    return lovasz_rows.Row(x, inside, valid, hinge, x.shape[1] + gap)


@pytest.fixture(params=[2, 2**16], ids=['small pieces', 'one piece'])
def space(request, monkeypatch):
    monkeypatch.setattr(lovasz_rows, 'PIECE', request.param)
    return lovasz_rows.Workspace.several(12, 1)[0]


def test_keys_fall_as_errors_do(space):
    errors = [0.5, -np.inf, 0, np.inf, -2, 2**-140, np.nan, -np.inf, 0.5, 0]
    row = row_of(errors, [0, 1, 0, 0, 0, 0, 0, 0, 1, 1], gap=100)
    keys = lovasz_rows.sorted_keys(row, row.least(space), space)
    falling = [6, 3, 0, 8, 5, 2, 9, 4, 7, 1]  # of equal errors those outside come first
    for a in range(0, 10, lovasz_rows.PIECE):
        part = falling[a : a + lovasz_rows.PIECE]
        found, inside, position = lovasz_rows.unpack(keys[a : a + lovasz_rows.PIECE], space)
        assert position.tolist() == [k + 100 * (k >= 5) for k in part]
        np.testing.assert_array_equal(found, np.array(errors, np.float32)[part])
        np.testing.assert_array_equal(inside, row.inside.flat[part])


@pytest.mark.parametrize(
    ('inside', 'valid', 'hinge', 'sorted_'),
    [
        ([0, 1, 0, 0, 0, 0], None, False, [0, 1]),
        ([0, 1, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1], False, [1]),
        ([0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1], True, [1, 2, 3]),
        ([0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1], False, [1]),
        ([0, 0, 0, 0, 0, 0], [0] * 6, False, []),
    ],
)
def test_only_pixels_that_can_add_something_are_sorted(inside, valid, hinge, sorted_, space):
    row = row_of([0.875, 0.25, 0.125, 0.0625, 0, 0], inside, valid, hinge)
    assert (lovasz_rows.sorted_keys(row, row.least(space), space) & lovasz_rows.LONGEST).tolist() == sorted_


def test_the_slope_of_one_row_touches_no_other(space):
    memory = np.zeros((2, 5), np.float32)
    row, extension = row_of([0.5, 0.25, 0.75, 0.125], [1, 0, 0, 1], gap=3), lovasz_rows.Extension(2, memory[:, :2])
    lovasz_rows.solve(row, 0, [extension], space)  # by falling errors 0, 1, 0, 1, of a class of two pixels
    np.testing.assert_allclose(memory, [[-1 / 3, 1 / 12, 0, 0, 0], [1 / 3, -1 / 4, 0, 0, 0]], rtol=1e-6)
    assert extension.loss == pytest.approx(0.75 / 3 + 0.5 / 3 + 0.25 / 12 + 0.125 / 4)


@pytest.mark.parametrize('classes', ['present', 'all'])
@pytest.mark.parametrize('per_image', [False, True])
@pytest.mark.parametrize('labels', ['both', 'one', 'ignored'])
def test_two_classes_are_sorted_once(labels, per_image, classes, solvers, monkeypatch):
    sorts = []
    monkeypatch.setattr(lovasz_rows, 'sorted_keys', lambda *a, f=lovasz_rows.sorted_keys: sorts.append(1) or f(*a))
    z, y = inputs(2)
    y[0] = 0 if labels == 'one' else 255 if labels == 'ignored' else y[2].flip(0)
    arguments = dict(per_image=per_image, classes=classes)
    value, gradient = value_and_gradient(SOFTMAX, z, y, **arguments)
    want, want_gradient = value_and_gradient(SOFTMAX, z.double(), y, **arguments)
    assert solvers == ['solve_in_numpy', 'solve_blocks']
    first = {'both': 1, 'one': 1 + (classes == 'all'), 'ignored': 2 * (classes == 'all')}[labels]  # of the image y[0]
    assert len(sorts) == (2 + first if per_image else 1)
    torch.testing.assert_close(value.double(), want, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient.double(), want_gradient, rtol=0, atol=1e-6 * want_gradient.abs().max().item())


def test_two_classes_of_one_image_are_accurate_where_all_is_right():
    """The error of a pixel is what the other class has: 1 - p would be 0 in float32."""
    y = torch.tensor([[0, 1]])
    z = torch.tensor([[[20.0, 0.0], [0.0, 20.0]]]).reshape(1, 2, 1, 2)
    value, _ = value_and_gradient(SOFTMAX, z, y[:, None])
    want, _ = value_and_gradient(SOFTMAX, z.double(), y[:, None])
    torch.testing.assert_close(value.double(), want, rtol=1e-6, atol=0)


def test_a_second_backward_is_the_first_and_a_second_derivative_is_refused():
    z, y = inputs(4)
    z.requires_grad_()
    value = MODELS.build(dict(type=SOFTMAX, ignore_index=255))(z, y)
    (first,) = torch.autograd.grad(value, z, retain_graph=True)
    (second,) = torch.autograd.grad(value, z, retain_graph=True)
    assert torch.equal(first, second) and first.any()
    with pytest.raises(
        RuntimeError, match='^LovaszSoftmaxLoss: has no second derivatives, take the first without crea'
    ):
        torch.autograd.grad(value, z, create_graph=True)


@pytest.mark.slow
@pytest.mark.parametrize('name', [SOFTMAX, HINGE])
def test_inside_a_compiled_function(name):
    z, y = inputs(1 if name == HINGE else 4)
    loss = MODELS.build(dict(type=name, ignore_index=255))
    want, want_gradient = value_and_gradient(name, 2 * z, y)
    z.requires_grad_()
    value = torch.compile(lambda z, y: 3 * loss(2 * z, y), backend='eager')(z, y)
    value.backward()
    torch.testing.assert_close(value, 3 * want)
    torch.testing.assert_close(z.grad, 6 * want_gradient)


@pytest.mark.parametrize('name', [SOFTMAX, HINGE])
def test_no_pixels(name):
    z = torch.zeros(2, 1 if name == HINGE else 4, 0, 5)
    value, gradient = value_and_gradient(name, z, torch.zeros(2, 0, 5, dtype=torch.long))
    assert value == 0 and gradient.shape == z.shape


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='the peak of a process is read from /proc')
@pytest.mark.parametrize('setting', ['19 classes, trained', '19 classes, untrained', '19 classes, trained, per image'])
def test_four_times_the_memory_of_the_logits(setting):
    command = [sys.executable, 'benchmarks/lovasz.py', '--settings', setting, '--memory', SOFTMAX]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) < 4
