"""How far an implementation may be from the reference, and why."""

import math

import numpy as np
from numpy.typing import ArrayLike

VALUE = {
    'float32': 1e-6,  # of max(1, |value|): sums of half a million float32 terms, added in chunks
    'float64': 1e-12,  # likewise; the reference itself is float64
}
GRADIENT = {
    'float32': 1e-5,  # of the largest gradient of the same case
    'float64': 1e-10,  # likewise; the reference's central differences are good to about 2e-11
}
COUNTED_GRADIENT = 1e-3  # of a loss that counts pixels in bins in place of sorting them, as its remarks say
# A gradient that vanishes (everything ignored, a perfect prediction) is compared as if its largest entry were this: the
# small cases have gradients of 0.01 to 1. Below it lie float32 rounding (2e-9) and the noise of the central differences
# (1e-16 / step = 1e-13).
SMALLEST_GRADIENT = 1e-2


def value_error(got: float | np.ndarray, want: float | np.ndarray) -> float:
    """Difference in units of max(1, |want|); NaN and infinities equal themselves and nothing else."""
    got, want = float(got), float(want)
    if not (math.isfinite(got) and math.isfinite(want)):
        return 0.0 if got == want or (math.isnan(got) and math.isnan(want)) else math.inf
    return abs(got - want) / max(1.0, abs(want))


def gradient_error(got: ArrayLike, want: ArrayLike, smallest: float = SMALLEST_GRADIENT) -> float:
    """Largest difference in units of the largest entry of ``want``.

    A ``want`` with NaN is the gradient of a loss that is NaN: there ``got`` must be NaN, and elsewhere 0 or NaN (what
    a zero of that loss is multiplied with differs).
    """
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if got.shape != want.shape:
        return math.inf
    expected_nan = np.isnan(want)
    if expected_nan.any():
        return 0.0 if np.isnan(got[expected_nan]).all() and not np.nan_to_num(got).any() else math.inf
    if not np.isfinite(got).all():
        return math.inf
    with np.errstate(over='ignore'):  # memory that nobody wrote may hold 1e308
        return float(np.abs(got - want).max() / max(np.abs(want).max(), smallest))
