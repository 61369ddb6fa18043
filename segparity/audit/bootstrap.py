"""Differences between two models with a paired bootstrap over images.

Both models are judged on the same drawn images, ``DRAWS`` times with replacement; the interval holds the middle 95 %
of the differences. It says how far the difference hangs on which images were judged, as if they were independent.
"""

import numpy as np

from segparity.audit.tables import Table
from shared_spec.metrics.fine_grained.state import FN, TP

DRAWS, SEED, LEVEL = 1000, 0, 95


def drawn_weights(images: int, draws: int = DRAWS, seed: int = SEED) -> np.ndarray:
    """How often each draw has each image: float64 (draws, images)."""
    return np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), draws).astype(np.float64)


def resampled(table: Table, weights: np.ndarray, q: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """The results of every draw: name -> (draws,), and ``classC``, ``classD`` -> (draws, C)."""
    draws, (images, classes) = len(weights), table.present.shape
    counts = (weights @ table.counts.reshape(images, -1)).reshape(draws, classes, 3)
    tp, union, labelled = counts[..., TP], counts.sum(-1), counts[..., TP] + counts[..., FN]
    per_class = _divide(tp, union)
    found = {'aAcc': _divide(tp.sum(1), labelled.sum(1))}
    found['FWIoU'] = _divide((labelled * np.nan_to_num(per_class)).sum(1), labelled.sum(1))
    scored = [1] if table.binary else slice(None)
    found['mIoUD'] = _mean(per_class[:, scored])
    means = table.image_iou
    defined = ~np.isnan(means)
    found['mIoUI'] = _divide(weights[:, defined] @ means[defined], weights[:, defined].sum(1))
    imagewise = _divide(weights @ np.nan_to_num(table.iou), weights @ table.present)
    found['mIoUC'] = _mean(imagewise)
    found[f'mIoUI{q}'] = lowest(means, weights, q)
    found[f'mIoUC{q}'] = _mean(np.stack([lowest(column, weights, q) for column in table.iou.T], 1))
    found['mDiceD'] = _mean(_divide(2 * tp, union + tp)[:, scored])
    return found, imagewise, per_class


def lowest(values: np.ndarray, weights: np.ndarray, q: int) -> np.ndarray:
    """(draws,) mean of the lowest max(1, q*n // 100) of the n defined values that each draw has, NaN where n is 0."""
    defined = ~np.isnan(values)
    values, weights = values[defined], weights[:, defined]
    order = np.argsort(values, kind='stable')
    n = weights.sum(1)
    wanted = np.where(n > 0, np.maximum(1, q * n // 100), 0)
    length = len(values)
    width = min(length, 2 * (q * length // 100) + 64)  # nearly always enough of the ascending values
    while True:
        reached = np.minimum(np.cumsum(weights[:, order[:width]], 1), wanted[:, None])
        if width == length or (reached[:, -1] == wanted).all():
            break
        width = length
    if not length:
        return np.full(len(weights), np.nan)
    taken = np.diff(reached, axis=1, prepend=0)
    return _divide(taken @ values[order[:width]], wanted)


def interval(differences: np.ndarray) -> np.ndarray:
    """(low, high) of the middle ``LEVEL`` per cent along the first axis; NaN where nothing is defined."""
    margin = (100 - LEVEL) / 2
    out = np.full((2, *differences.shape[1:]), np.nan)
    good = ~np.isnan(differences).all(0)
    if differences.ndim == 1:
        return np.nanpercentile(differences, [margin, 100 - margin]) if good else out
    out[:, good] = np.nanpercentile(differences[:, good], [margin, 100 - margin], axis=0)
    return out


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(below > 0, above / below, np.nan)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is defined."""
    defined = ~np.isnan(values)
    return _divide(np.where(defined, values, 0).sum(-1), defined.sum(-1))
