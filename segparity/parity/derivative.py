"""The gradient of a reference by central differences."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

# eighth order: f'(x) ~ sum_k w_k (f(x + k h) - f(x - k h)) / h
STENCIL = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
SIXTH = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}  # of the same steps, sixth order
SECOND = {1: 1 / 2}
STEP = 2.0**-9
KINK = 1e-7  # how far two steps may be apart where a function is smooth, of the slope
SMALLEST_SLOPE = 1e-4
ORDERS_APART = 1e-8  # likewise, of two orders with the same steps


class NotSmoothError(ArithmeticError):
    """Two orders of central differences disagree: a kink, or steps too wide."""


def gradient(
    function: Callable[[np.ndarray], float], x: ArrayLike, step: float = STEP, stencil: Mapping[int, float] = STENCIL
) -> np.ndarray:
    """d function / d x, same shape as ``x`` (float64), by central differences, of eighth order unless told.

    Truncation is of the order step^8 = 2e-22 times a derivative that steep losses have large, rounding 1e-16 / step
    = 5e-14 of the function's size; a power of two keeps x + k*step exact. Meant for small inputs, 8 calls for each
    element, and away from kinks. stencil: weight by number of steps.
    """
    x = np.array(x, np.float64)
    result = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        centre = x[index]
        for k, w in stencil.items():
            x[index] = centre + k * step
            upper = function(x)
            x[index] = centre - k * step
            result[index] += w * (upper - function(x)) / step
        x[index] = centre
    return result


def along(function: Callable[[np.ndarray], float], x: ArrayLike, direction: np.ndarray, step: float = STEP) -> float:
    """The derivative of ``function`` at ``x`` along ``direction``, by central differences of fourth order.

    NaN where two steps disagree, for there is a kink, or a value that is no number. Six calls, whatever the size of x.
    """
    x = np.asarray(x, np.float64)
    rise = {k: function(x + k * step * direction) - function(x - k * step * direction) for k in (0.5, 1, 2)}
    wide = (8 * rise[1] - rise[2]) / (12 * step)
    narrow = (8 * rise[0.5] - rise[1]) / (6 * step)
    return narrow if abs(wide - narrow) <= KINK * max(abs(narrow), SMALLEST_SLOPE) else math.nan


def slopes(
    function: Callable[[np.ndarray], float], x: ArrayLike, directions: np.ndarray, step: float = STEP
) -> np.ndarray:
    """The derivatives of ``function`` at ``x`` along ``directions`` (K, *x.shape), as accurate as ``gradient``; (K,).

    Eight calls for each direction, whatever the size of x. A gradient that agrees along a few random directions agrees in
    every entry, but for differences that cancel in all of them. Raises NotSmoothError where sixth and eighth order
    are apart, of which the eighth is closer by orders of magnitude where a function is smooth.
    """
    x = np.asarray(x, np.float64)
    found = []
    for direction in directions:
        rise = {k: function(x + k * step * direction) - function(x - k * step * direction) for k in STENCIL}
        eighth, sixth = (sum(w * rise[k] for k, w in s.items()) / step for s in (STENCIL, SIXTH))
        if not abs(eighth - sixth) <= ORDERS_APART * max(abs(eighth), SMALLEST_SLOPE):
            raise NotSmoothError(f'{sixth!r} and {eighth!r}')
        found.append(eighth)
    return np.array(found)
