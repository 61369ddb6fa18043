"""The simple number that a fitted one stands for."""

import math


def simple(x: float, within: float = 2e-5) -> float:
    """The number of fewest digits, or fraction of small numbers, within a relative distance of ``x``; else ``x``."""
    if not math.isfinite(x) or x == 0:
        return float(x)
    if abs(x) < 1e-9 and within < 1e-3:
        return 0.0
    for digits in range(1, 5):
        near = float(f'{x:.{digits - 1}e}')
        if abs(near - x) <= within * abs(x):
            return near
        if digits == 2:
            for below in range(2, 13):
                near = round(x * below) / below
                if near and abs(near - x) <= within * abs(x) and abs(near) < 100:
                    return near
    return float(x)
