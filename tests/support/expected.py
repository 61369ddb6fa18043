"""The reference's value and gradient on a case: central differences are dear, so the workers of a run share them, and
in place of every entry the derivatives along random directions are compared, 32 evaluations in place of 768.
"""

import contextlib
import dataclasses
import hashlib
import math
import os
import pathlib
import tempfile
from collections.abc import Callable

import numpy as np

from segparity.parity import cases, replay
from segparity.parity.derivative import NotSmoothError, slopes
from segparity.parity.extras import mapped
from shared_spec import LOSSES
from tests.support.assertions import assert_gradient, assert_same, scale_of

DIRECTIONS = 4
FOLDER = 'SEGPARITY_TEST_FOLDER'  # in the environment: made and removed by tests/conftest.py, one for all xdist workers


def first_example(name):
    return next(iter(LOSSES[name].examples))


@dataclasses.dataclass(frozen=True)
class Slopes:
    """Derivatives along ``directions_of`` the pred of a case and of its extras that have a gradient, one after another."""

    values: np.ndarray
    shapes: tuple[tuple[int, ...], ...]
    entries: Callable[[], np.ndarray]  # the gradient itself, at the price that the slopes save

    def differ_from(self, gradient, tol, label):
        """Why a gradient, joined of those of pred and extras, is another; '' where it has these slopes.

        Differences are in units of its largest entry, as ``assert_gradient`` has them.
        """
        sizes = [math.prod(shape) for shape in self.shapes]
        shape = self.shapes[0] if len(sizes) == 1 else (sum(sizes),)
        if np.shape(gradient) != shape:
            return f'{label}: shape {np.shape(gradient)}, expected {shape}'
        parts = np.split(np.asarray(gradient, np.float64).reshape(-1), np.cumsum(sizes)[:-1])
        got = np.concatenate([directions_of(part) @ part for part in parts])
        try:
            assert_same(got, self.values, tol, f'{label}, along directions', scale_of(gradient))
        except AssertionError as error:
            return str(error)
        return ''


def assert_expected_gradient(got, want, tol, label):
    """``want``: a gradient or Slopes, as ``expected_result`` gives it. What has other slopes is looked at entry by entry,
    for a message that says which, and for rounding that adds up along a direction."""
    if isinstance(want, Slopes):
        if not want.differ_from(got, tol, label):
            return
        want = want.entries()
    assert_gradient(got, want, tol, label)


def directions_of(x):
    """(DIRECTIONS, x.size): each entry has a number in one of them, between 0.5 and 1 or its negative, elsewhere 0.

    The same for every array of a size, and of eight binary digits, so that a step from a large number is exact.
    """
    rng = np.random.default_rng(x.size)
    found = np.zeros((DIRECTIONS, x.size))
    own = rng.permutation(x.size) % DIRECTIONS
    found[own, np.arange(x.size)] = rng.integers(128, 257, x.size) / 256 * rng.choice([-1, 1], x.size)
    return found


def slopes_along_directions(function, x, step):
    return slopes(function, x, directions_of(x).reshape(-1, *x.shape), step)


def expected_result(name, example, case_name, precision=None, every_entry=False):
    """(spec, case, value, gradient, Slopes or None).

    precision: a half one, to which the case's predictions are rounded. every_entry: the gradient itself, which stands
    for its slopes too where the reference has a kink near by or is NaN.
    """
    case = cases.build(case_name)
    spec = replay.spec_for(LOSSES[name], LOSSES[name].examples[example], case)
    case = case.adapted(spec)
    if precision:
        extras = mapped(case.extras, lambda _, x: rounded(x, precision) if x.dtype.kind == 'f' else x)
        case = dataclasses.replace(case, pred=rounded(case.pred, precision), extras=extras)
    key = f'{name} {example} {case_name} {precision}'
    found = _kept(f'{key} {every_entry}', lambda: _computed(spec, case, every_entry))
    if 'slopes' not in found:
        return spec, case, float(found['value']), found.get('gradient')
    shapes = (case.pred.shape, *(case.extras[extra].shape for extra in replay.of_extras(spec, case)))
    return (
        spec,
        case,
        float(found['value']),
        Slopes(
            found['slopes'], shapes, lambda: expected_result(name, example, case_name, precision, every_entry=True)[3]
        ),
    )


def rounded(x, precision):
    """float64 ``x`` as float16 or bfloat16 hold it, ties to even."""
    if precision == 'float16':
        return x.astype(np.float16).astype(np.float64)
    bits = x.astype(np.float32).view(np.uint32)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return bits.view(np.float32).astype(np.float64)


def _kept(key, compute):
    """name -> array, computed by the first process that asks."""
    folder = pathlib.Path(os.environ[FOLDER])
    path = folder / f'{hashlib.sha1(key.encode()).hexdigest()}.npz'
    if not path.exists():
        handle, part = tempfile.mkstemp(dir=folder, suffix='.npz')
        with os.fdopen(handle, 'wb') as file:
            np.savez(file, **compute())
        os.replace(part, path)  # whole or not at all, whoever else writes it
    with np.load(path, allow_pickle=False) as data:
        return dict(data)


def _computed(spec, case, every_entry):
    """value, and gradient or slopes, or neither."""
    if not every_entry:
        with contextlib.suppress(NotSmoothError):
            value, found = replay.reference(spec, case, slopes_along_directions)
            if np.isfinite(value) and found is not None:
                return dict(value=value, slopes=found)
    value, found = replay.reference(spec, case)
    return dict(value=value) if found is None else dict(value=value, gradient=found)
