"""``assert_same``: the one comparison of arrays that the tests make; prints where and by how much they differ."""

import numpy as np

from segparity.parity.tolerances import SMALLEST_GRADIENT

# Named tolerances: (relative to the scale of the expected values, why).
TOLERANCES = {
    'exact': (0.0, 'the same operations in the same order'),
    'float64': (1e-12, 'float64 sums in another order'),
    'float32': (1e-6, 'float32 sums of many pixels'),
    'float32_gradient': (1e-5, 'float32, of the largest gradient'),
    'float64_gradient': (1e-10, 'float64 against central differences, good to about 2e-11'),
    'published': (1e-11, 'fractions that were stored in per cent with nine digits'),
    'central_difference': (1e-9, 'central differences of a function with large higher derivatives'),
    'bfloat16': (1e-2, 'inputs rounded to 8 bits'),
    'float16': (2e-3, 'inputs rounded to 11 bits'),
}


def assert_same(got, want, tol, case='', scale=None):
    """Fails unless ``got`` has the shape of ``want``, no number that is not finite where ``want`` is, and its values.

    tol: a name of TOLERANCES; differences are relative to max(1, largest |want|), or to ``scale``. The message names
    the case, the worst index and both numbers there.
    """
    allowed, reason = TOLERANCES[tol]
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        raise AssertionError(f'{case}: shape {got.shape}, expected {want.shape}')
    if got.dtype.kind != want.dtype.kind and {got.dtype.kind, want.dtype.kind} - set('iuf'):
        raise AssertionError(f'{case}: dtype {got.dtype}, expected {want.dtype}')
    got, want = got.astype(np.float64), want.astype(np.float64)
    if want.size == 0:
        return
    wrong = np.isfinite(got) != np.isfinite(want)
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(f'{case}: {got[index]} at {index}, expected {want[index]}')
    finite = np.isfinite(want)
    same_kind = np.array_equal(got[~finite], want[~finite], equal_nan=True)
    if not same_kind:
        raise AssertionError(f'{case}: infinities or NaN differ')
    if not finite.any():
        return
    scale = max(1.0, float(np.abs(want[finite]).max())) if scale is None else scale
    difference = np.where(finite, np.abs(np.where(finite, got, 0) - np.where(finite, want, 0)), 0) / scale
    if difference.max() > allowed:
        index = tuple(int(i) for i in np.unravel_index(difference.argmax(), difference.shape))
        raise AssertionError(
            f'{case}: {float(got[index])!r} at {index}, expected {float(want[index])!r}; off by {difference.max():.2e} of {scale:g}, '
            f'allowed {allowed:g} ({tol}: {reason})'
        )


def assert_gradient(got, want, tol, case='', smallest=SMALLEST_GRADIENT):
    """``assert_same`` in units of the largest expected gradient, but at least ``smallest``.

    In the gradient of a loss that is NaN an expected 0 may be NaN, as in ``segparity.parity.tolerances``.
    """
    got, want = np.asarray(got), np.asarray(want)
    if np.isnan(want).any() and got.shape == want.shape:
        got = np.where(np.isnan(got) & (want == 0), 0, got)
    assert_same(got, want, tol, case, scale=scale_of(want, smallest))


def scale_of(gradient, smallest=SMALLEST_GRADIENT):
    """The largest entry, but at least ``smallest``."""
    return max(float(np.nanmax(np.abs(gradient), initial=0)), smallest)
