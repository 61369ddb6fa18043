"""The topological term of ``TopologyAwareFocalLoss`` and its slope, as both plugins compute it on the host."""

from collections.abc import Sequence

import numpy as np

from shared_spec.persistence import MISSING, NEVER, coordinates, persistence

LAST = 1.0


def terms_and_slopes(
    prob: np.ndarray, target: np.ndarray, counts: np.ndarray, cells: np.ndarray, dimensions: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """(N, C) the squared Wasserstein distance of each cell and (N, C, *space) its derivative by prob, both float64.

    prob and target (N, C, *space), counts (N, *space) and cells (N, C) bool: which pixels and whose topology count; 0
    elsewhere. A prediction or label that is no number makes its cell NaN.
    """
    terms, slopes = np.zeros(cells.shape), np.zeros(prob.shape)
    for image, channel in zip(*np.nonzero(cells)):
        valid = counts[image]
        field, labels = (np.where(valid, LAST - x[image, channel].astype(np.float64), LAST) for x in (prob, target))
        if np.isfinite(field).all() and np.isfinite(labels).all():
            terms[image, channel], slope = term_and_slope(field, labels, dimensions)
            slopes[image, channel] = np.where(valid, -slope, 0)
        else:
            terms[image, channel] = np.nan
    return terms, slopes


def term_and_slope(field: np.ndarray, labels: np.ndarray, dimensions: Sequence[int]) -> tuple[float, np.ndarray]:
    """The term of one cell and (*space) its derivative by the field."""
    of_field, of_labels = persistence(field), persistence(labels)
    term, slope = 0.0, np.zeros(field.size)
    for k in dimensions:
        b, d = coordinates(of_field[k], field, LAST)
        aims = np.stack(coordinates(of_labels[k], labels, LAST), 1)
        own = matched(b, d, aims)
        some = own >= 0
        given_up = np.delete(aims, own[some], axis=0)
        middle = (b + d) / 2
        to_b, to_d = middle.copy(), middle
        to_b[some], to_d[some] = aims[own[some]].T
        term += ((b - to_b) ** 2 + (d - to_d) ** 2).sum() + ((given_up[:, 1] - given_up[:, 0]) ** 2 / 2).sum()
        dies = of_field[k].deaths != NEVER
        np.add.at(slope, of_field[k].births, 2 * (b - to_b))
        np.add.at(slope, of_field[k].deaths[dies], 2 * (d - to_d)[dies])
    return float(term), slope.reshape(field.shape)


def matched(b: np.ndarray, d: np.ndarray, aims: np.ndarray) -> np.ndarray:
    """(K,) which of the labels' points ``aims`` (M, 2) each point (b, d) goes to, -1: to the diagonal; of least cost.

    A pair is worth what giving up both costs less what it costs itself, and only pairs worth anything are made: the
    best of M pairs or fewer.
    """
    own = np.full(len(b), -1)
    points, first = np.unique(aims, axis=0, return_inverse=True)
    x, y = points.T
    worth = ((d - b) ** 2)[:, None] / 2 + (y - x) ** 2 / 2 - (b[:, None] - x) ** 2 - (d[:, None] - y) ** 2
    worth = np.maximum(worth, 0)
    useful = np.flatnonzero(worth.any(1))
    if not len(useful):
        return own
    if len(points) == 1:  # of class ids
        best = useful[np.argsort(-worth[useful, 0], kind='stable')[: len(aims)]]
        own[best] = np.arange(len(best))
        return own
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise ImportError(MISSING) from None
    each = worth[useful][:, first.reshape(-1)]
    rows, columns = linear_sum_assignment(each, maximize=True)
    made = each[rows, columns] > 0
    own[useful[rows[made]]] = columns[made]
    return own
