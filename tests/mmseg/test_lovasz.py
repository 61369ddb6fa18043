"""The Lovasz losses in PyTorch: rows that NumPy sorts beside blocks that PyTorch sorts, and what the backward allows."""

import json
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('mmseg')

from mmseg.registry import MODELS  # noqa: E402

import mmseg_plugin  # noqa: E402, F401
from mmseg_plugin import lovasz_extension, lovasz_rows  # noqa: E402

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
        (SOFTMAX, dict(from_logits=False)),  # of numbers beyond 0 and 1: errors below 0
        (HINGE, dict()),
        (HINGE, dict(per_image=False)),
    ],
)
def test_rows_are_what_blocks_are(name, arguments, threads, solvers, monkeypatch):
    monkeypatch.setattr(lovasz_rows, 'SMALL', 1)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: threads)
    z, y = inputs(1 if name == HINGE else 4)
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
    assert solvers == ['solve_in_numpy', 'solve_in_numpy', 'solve_blocks', 'solve_in_numpy']


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('label', [0, 1])
def test_a_prediction_that_is_no_number_is_no_loss(label, dtype):
    z, y = inputs(1)
    z[2, 0, 3, 4], y[2, 3, 4] = torch.nan, label
    value, _ = value_and_gradient(HINGE, z.to(dtype), y)
    assert value.isnan()


def test_keys_fall_as_errors_do():
    errors = np.array([0.5, -np.inf, 0, np.inf, -1e-30, 1e-45, np.nan, -2, 0.5], np.float32)
    inside = np.array([0, 0, 1, 0, 1, 0, 1, 1, 1], bool)
    (space,) = lovasz_rows.Workspace.several(20, 1)
    keys = lovasz_rows.sort_falling(errors, inside, np.arange(9), space)
    sorted_errors, sorted_inside, position = lovasz_rows.unpack(keys, space)
    assert position.tolist() == [6, 3, 0, 8, 5, 2, 4, 7, 1]  # of equal errors those outside come first
    np.testing.assert_array_equal(sorted_errors, errors[position])
    np.testing.assert_array_equal(sorted_inside, inside[position])


def test_only_pixels_that_can_add_something_are_sorted():
    errors = np.array([0.9, 0.3, 0.2, 0.1, 0], np.float32)
    inside = np.array([0, 1, 0, 0, 0], bool)
    valid = np.array([0, 1, 1, 1, 1], bool)

    def positions(*arguments):
        return np.flatnonzero(lovasz_rows.candidates(errors, *arguments)).tolist()

    assert positions(inside, True, None, False) == [0, 1]
    assert positions(inside, True, valid, False) == [1]
    assert positions(~inside, True, None, True) == [0, 1, 2, 3]
    assert positions(np.zeros(5, bool), False, valid, False) == [1]


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
