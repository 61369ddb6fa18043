"""The reference's value and gradient on a case: central differences are dear, so the workers of a run share them, and
in place of every entry the derivatives along random directions are compared, 32 evaluations in place of 768.
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import tempfile

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
    sizes: tuple[int, ...]

    def assert_of(self, gradient, tol, label):
        """That a gradient, joined of those of pred and extras, has these; differences are in units of its largest."""
        parts = np.split(np.reshape(gradient, -1), np.cumsum(self.sizes)[:-1])
        assert [part.size for part in parts] == list(self.sizes), label
        got = np.concatenate([directions_of(part) @ part.astype(np.float64) for part in parts])
        assert_same(got, self.values, tol, f'{label}, along directions', scale_of(gradient))


def assert_expected_gradient(got, want, tol, label):
    """``want``: a gradient or Slopes, as ``expected_result`` gives it."""
    if isinstance(want, Slopes):
        want.assert_of(got, tol, label)
    else:
        assert_gradient(got, want, tol, label)


def directions_of(x):
    """(DIRECTIONS, x.size), each number between 0.5 and 1 or its negative; the same for every array of a size.

    Of eight binary digits, so that a step from a large number is exact.
    """
    rng = np.random.default_rng(x.size)
    return rng.integers(128, 257, (DIRECTIONS, x.size)) / 256 * rng.choice([-1, 1], (DIRECTIONS, x.size))


def slopes_along_directions(function, x, step):
    # half the step: where all entries move, a softmax moves twice as far
    return slopes(function, x, directions_of(x).reshape(-1, *x.shape), step / 2)


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
    return spec, case, *_reference(spec, case, f'{name} {example} {case_name} {precision} {every_entry}', every_entry)


def rounded(x, precision):
    """float64 ``x`` as float16 or bfloat16 hold it, ties to even."""
    if precision == 'float16':
        return x.astype(np.float16).astype(np.float64)
    bits = x.astype(np.float32).view(np.uint32)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return bits.view(np.float32).astype(np.float64)


def _reference(spec, case, key, every_entry):
    folder = pathlib.Path(os.environ[FOLDER])
    path = folder / f'{hashlib.sha1(key.encode()).hexdigest()}.npz'
    if not path.exists():
        handle, part = tempfile.mkstemp(dir=folder, suffix='.npz')
        with os.fdopen(handle, 'wb') as file:
            np.savez(file, **_computed(spec, case, every_entry))
        os.replace(part, path)  # whole or not at all, whoever else writes it
    with np.load(path, allow_pickle=False) as data:
        found = data.get('gradient')
        if 'slopes' in data:
            found = Slopes(data['slopes'], tuple(int(n) for n in data['sizes']))
        return float(data['value']), found


def _computed(spec, case, every_entry):
    """value, and gradient or slopes and sizes, or neither."""
    if not every_entry:
        with contextlib.suppress(NotSmoothError):
            value, found = replay.reference(spec, case, slopes_along_directions)
            if np.isfinite(value) and found is not None:
                sizes = [case.pred.size, *(case.extras[extra].size for extra in replay.of_extras(spec, case))]
                return dict(value=value, slopes=found, sizes=sizes)
            return dict(value=value) if found is None else dict(value=value, gradient=found)
    value, found = replay.reference(spec, case)
    return dict(value=value) if found is None else dict(value=value, gradient=found)
