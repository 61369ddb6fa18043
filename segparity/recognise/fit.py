"""Least squares: the weights of columns exactly, what the columns depend on by Levenberg-Marquardt."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from segparity.recognise import clock

Columns = Callable[[np.ndarray], np.ndarray]  # theta (B, T) -> (B, K, J): B sets of parameters at once
STEP = 1e-6  # of a difference


class Solution(NamedTuple):
    """theta: what the columns depend on; weights of the columns, the last of a constant; error: the largest, relative."""

    theta: np.ndarray
    weights: np.ndarray
    error: float


def weights_of(columns: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(weights, residual) of the columns (K, J), to which a constant is added."""
    a = np.concatenate([columns, np.ones((len(columns), 1))], 1)
    size = np.linalg.norm(a, axis=0)
    size = np.where(size > 1e-12, size, 1)
    weights = np.linalg.lstsq(a / size, values, rcond=1e-13)[0] / size
    return weights, values - a @ weights


def residuals(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(B, K) what the best weights leave of the values; huge where columns are no numbers."""
    wrong = ~np.isfinite(columns).all((1, 2))
    a = np.concatenate([np.where(wrong[:, None, None], 0, columns), np.ones((*columns.shape[:2], 1))], 2)
    size = np.linalg.norm(a, axis=1, keepdims=True)
    q = np.linalg.qr(a / np.where(size > 1e-12, size, 1))[0]
    rest = values - (q @ (q.transpose(0, 2, 1) @ values[:, None]))[..., 0]
    return np.where(wrong[:, None], 1e3, rest)


def solve(
    columns: Columns, values: np.ndarray, starts: list[list[float]], enough: float = 3e-7, best: int = 2
) -> Solution:
    """The best fit of ``values`` (K,) by the columns, of the ``best`` of several starts; stops below ``enough``."""
    scale = float(np.abs(values).max()) or 1.0
    scaled = values / scale

    def residual(theta: np.ndarray) -> np.ndarray:
        return residuals(columns(theta), scaled)

    with np.errstate(all='ignore'):
        thetas = np.array(starts, float).reshape(len(starts), -1)
        order = np.argsort(np.square(residual(thetas)).sum(1))
        found = None
        for k in order[:best]:
            clock.check()
            theta = descend(residual, thetas[k])
            (at,) = columns(theta[None])
            if not np.isfinite(at).all():
                continue
            weights, rest = weights_of(at, scaled)
            solution = Solution(theta, weights * scale, float(np.abs(rest).max()))
            if found is None or solution.error < found.error:
                found = solution
            if found.error < enough or not len(theta):
                break
    return found or Solution(thetas[0], np.zeros(columns(thetas[:1]).shape[2] + 1), np.inf)


def descend(residual: Callable[[np.ndarray], np.ndarray], theta: np.ndarray, steps: int = 100) -> np.ndarray:
    """Levenberg-Marquardt with differences for derivatives; gives up early where it hardly gains."""
    if not len(theta):
        return theta
    eye, dampings = np.eye(len(theta)), np.array([1e-3, 1e-1, 1e1, 1e3])
    factor, slow = 1.0, 0
    (rest,) = residual(theta[None])
    cost = float(rest @ rest)
    for turn in range(steps):
        clock.check()
        jacobian = (residual(theta + STEP * eye) - rest).T / STEP
        normal, slope = jacobian.T @ jacobian, jacobian.T @ rest
        bound = np.diag(np.diag(normal) + 1e-14)
        trials = np.stack(
            [
                np.linalg.lstsq(normal + factor * d * bound, -slope, rcond=None)[0]
                for d in (0.01 * dampings if cost < 1e-4 else dampings)
            ]
        )
        trials = theta + np.clip(trials, -3, 3)
        tried = residual(trials)
        costs = np.square(tried).sum(1)
        k = int(costs.argmin())
        if not costs[k] < cost:
            if factor > 1e4:
                break
            factor *= 1e4
            continue
        gain = cost - float(costs[k])
        theta, rest, cost = trials[k], tried[k], float(costs[k])
        factor = max(factor * (0.1 if k < 2 else 10.0), 1e-8)
        slow = slow + 1 if gain < 1e-3 * cost else 0
        if cost < 1e-26 or slow > 5 or (turn >= 8 and cost > 1e-5 and gain < 0.03 * cost):
            break
    return theta
