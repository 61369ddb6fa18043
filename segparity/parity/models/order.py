"""Whether the classes of two models are in the same order."""

from collections.abc import Callable, Iterable

import numpy as np

SURE = 0.1  # by how much a permutation has to correlate better than the order that there is


def order_of(pairs: Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]], channels: int) -> list[int]:
    """order[k]: which class of b is class k of a; that of a itself unless another fits clearly better."""
    straight = list(range(channels))
    if channels < 2:
        return straight
    sums = np.zeros((2, channels))
    squares = np.zeros((2, channels))
    products, count = np.zeros((channels, channels)), 0
    for a, b in pairs():
        x, y = (z.reshape(channels, -1) for z in (a, b))
        good = np.isfinite(x).all(0) & np.isfinite(y).all(0)
        x, y = x[:, good], y[:, good]
        sums += [x.sum(1), y.sum(1)]
        squares += [np.square(x).sum(1), np.square(y).sum(1)]
        products += x @ y.T
        count += x.shape[1]
    if not count:
        return straight
    means = sums / count
    spread = np.sqrt(np.maximum(squares / count - means**2, 1e-30))
    alike = (products / count - np.outer(*means)) / np.outer(*spread)
    found = matched(alike)
    moved = [k for k in straight if found[k] != k]
    if not moved:
        return straight
    gain = np.mean([alike[k, found[k]] - alike[k, k] for k in moved])
    return found if gain > SURE and all(alike[k, found[k]] > 0.5 for k in moved) else straight


def matched(alike: np.ndarray) -> list[int]:
    """Each row's column, the most alike first; a column once."""
    rest = np.array(alike, np.float64)
    found = [0] * len(rest)
    for _ in range(len(rest)):
        row, column = np.unravel_index(np.argmax(rest), rest.shape)
        found[int(row)] = int(column)
        rest[row], rest[:, column] = -np.inf, -np.inf
    return found
