"""The D, I and C means over (image, class) cells in NumPy float64."""

from collections.abc import Callable, Sequence

import numpy as np

from shared_spec import shapes
from shared_spec.inputs import Batch
from shared_spec.typing import CellParameters, Granularity


def as_weights(granularity: Granularity) -> dict[str, float]:
    """'D' or pairs of weights -> {'D': w, 'I': w, 'C': w} without the absent ones."""
    return {granularity: 1.0} if isinstance(granularity, str) else dict(granularity)


def counted_cells(spec: CellParameters, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """(N, C) which cells count, and (C,) which classes count over the whole batch."""
    n, c = batch.target.shape[:2]
    classes = spec.classes
    chosen = shapes.channel_indices(type(spec).__name__, classes, c)
    if classes == 'auto':
        classes = 'present' if batch.hard else 'all'
    if classes == 'present':
        cells = batch.largest_target > spec.presence_threshold
    else:
        cells = np.zeros((n, c), bool)
        cells[:, chosen] = True
    cells &= batch.has_pixel[:, None]
    return cells, np.any(cells, 0)


def mean_over_cells(
    spec: CellParameters,
    batch: Batch,
    statistics: Sequence[np.ndarray],
    cell_loss: Callable[..., np.ndarray],
    class_weight: Sequence[float] | np.ndarray | None = None,
) -> float:
    """The mean that ``spec`` asks for: ``cell_loss`` of the statistics (each (N, C)), averaged as the granularity says.

    D adds the statistics over the batch first; I averages the counted classes of each image, then images; C averages
    the images in which a class counts, then classes. Class weights multiply and do not join the divisor; an image's
    weight is its weight in the means over images. Nothing counted: 0.
    """
    n, c = batch.target.shape[:2]
    shapes.check_class_weight(type(spec).__name__, class_weight, (c,))
    class_weight = np.ones(c) if class_weight is None else np.array(class_weight)
    cells, classes = counted_cells(spec, batch)
    result = 0.0
    for level, share in as_weights(spec.granularity).items():
        if level == 'D':
            loss = cell_loss(*(s.sum(0) for s in statistics)) * class_weight
            value = loss[classes].mean() if classes.any() else 0.0
        elif level == 'I':
            loss = cell_loss(*statistics) * class_weight
            images = [(loss[i][cells[i]].mean(), batch.image_weight[i]) for i in range(n) if cells[i].any()]
            value = sum(m * w for m, w in images) / sum(w for _, w in images) if images else 0.0
        else:
            loss = cell_loss(*statistics) * class_weight
            w = batch.image_weight
            means = [(loss[:, k] * w)[cells[:, k]].sum() / w[cells[:, k]].sum() for k in range(c) if cells[:, k].any()]
            value = sum(means) / len(means) if means else 0.0
        result += share * value
    return float(result)
