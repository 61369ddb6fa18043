"""Models beside the first one: differences with intervals, per class, and the images on which they differ most."""

from typing import Any

import numpy as np

from segparity.audit.bootstrap import drawn_weights, interval, resampled
from segparity.audit.scores import class_scores, summary
from segparity.audit.tables import Table


def compare(tables: list[Table], q: int, top: int) -> list[dict[str, Any]]:
    """One comparison for each table after the first, all over the same images.

    Every entry: ``name``, ``scores`` name -> (difference, low, high); ``classes``: ``C`` and ``D``, each (C, 3) of
    difference, low, high; ``images``: rows of image, first's IoU, other's IoU, largest difference first. Differences
    are other minus first, so that above 0 the other is better.
    """
    first, found = tables[0], []
    weights = drawn_weights(len(first.images))
    own = summary(first, q), class_scores(first, q)
    base_draws: tuple[Any, ...] = resampled(first, weights, q)
    for other in tables[1:]:
        totals, per_class = summary(other, q), class_scores(other, q)
        draws: tuple[Any, ...] = resampled(other, weights, q)
        scores = {}
        for name in totals:
            low, high = interval(draws[0][name] - base_draws[0][name])
            scores[name] = totals[name] - own[0][name], float(low), float(high)
        classes = {
            level: np.stack([per_class[level] - own[1][level], *interval(draws[k] - base_draws[k])], 1)
            for level, k in (('C', 1), ('D', 2))
        }
        apart = other.image_iou - first.image_iou
        order = np.argsort(-np.abs(np.nan_to_num(apart)), kind='stable')[:top]
        images = [(first.images[i], float(first.image_iou[i]), float(other.image_iou[i])) for i in order if apart[i]]
        found.append({'name': other.name, 'scores': scores, 'classes': classes, 'images': images})
    return found


def verdict(difference: float, low: float, high: float) -> str:
    """'better', 'worse' or 'open', where the interval holds 0."""
    if low > 0:
        return 'better'
    return 'worse' if high < 0 else 'open'
