"""The gradient of a reference by central differences."""

import numpy as np

# sixth order: f'(x) ~ sum_k w_k (f(x + k h) - f(x - k h)) / h
STENCIL = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}


def gradient(function, x, step=2.0**-9):
    """d function / d x, same shape as ``x`` (float64), by sixth-order central differences.

    Truncation is of the order step^6 = 6e-17, rounding 1e-16 / step = 5e-14 of the function's size; a power
    of two keeps x + k*step exact. Meant for small inputs, 6 calls for each element, and away from kinks.
    """
    x = np.array(x, np.float64)
    result = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        centre = x[index]
        for k, w in STENCIL.items():
            x[index] = centre + k * step
            upper = function(x)
            x[index] = centre - k * step
            result[index] += w * (upper - function(x)) / step
        x[index] = centre
    return result
