"""The D, I and C means over (image, class) cells in NumPy float64."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from shared_spec import shapes
from shared_spec.inputs import Batch
from shared_spec.parameters import SpecError
from shared_spec.typing import CellLoss, CellParameters, Granularity, Shape


def as_weights(granularity: Granularity) -> dict[str, float]:
    """'D' or pairs of weights -> {'D': w, 'I': w, 'C': w} without the absent ones."""
    return {granularity: 1.0} if isinstance(granularity, str) else dict(granularity)


def only_level(owner: str, granularity: Granularity) -> tuple[str, float]:
    """The one level and its weight, for the reduction 'none'; SpecError where there are several."""
    levels = as_weights(granularity)
    if len(levels) > 1:
        raise SpecError(
            owner=owner,
            parameter='granularity',
            given=levels,
            allowed="one of 'D', 'I' and 'C' with reduction 'none', which gives its losses of images (I) or classes (D, C)",
        )
    ((level, share),) = levels.items()
    return level, share


def check_agreement(found: Sequence[tuple[Any, Shape]]) -> None:
    """ValueError where the parts of a sum, (spec, shape of its loss), give losses of several things, or several shapes.

    Those would be stretched to one another, or as many images and classes taken for each other. A mean goes with all.
    """
    maps = [(things_of(spec, len(shape)), tuple(shape)) for spec, shape in found if len(shape)]
    if not all(things == maps[0][0] and shapes.may_be_equal(shape, maps[0][1]) for things, shape in maps):
        listed = ' and '.join(sorted({f'those of {things} {shapes.as_text(shape)}' for things, shape in maps}))
        raise ValueError(
            f"WeightedSumLoss: parts with reduction 'none' must all give losses of pixels, of images or of classes, got {listed}"
        )


def things_of(spec: Any, axes: int) -> str:
    """What the losses of so many axes that a spec, or a loss from elsewhere (None), gives without a mean are losses of."""
    spec = spec.parts[0] if hasattr(spec, 'parts') else spec
    if axes > 1:
        return 'pixels'
    granularity = getattr(spec, 'granularity', 'I')
    return 'images' if as_weights(granularity).keys() == {'I'} else 'classes'


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
    normalized: bool = False,
) -> float:
    """The mean that ``spec`` asks for: ``cell_loss`` of the statistics (each (N, C)), averaged as the granularity says.

    D adds the statistics over the batch first; I averages the counted classes of each image, then images; C averages
    the images in which a class counts, then classes. Class weights multiply and do not join the divisor, unless
    ``normalized``; an image's weight is its weight in the means over images. Nothing counted: 0.
    """
    result = 0.0
    for level, share in as_weights(spec.granularity).items():
        losses, weight = losses_of_level(level, spec, batch, statistics, cell_loss, class_weight, normalized)
        counts = weight > 0
        mean = (losses * weight)[counts].sum() / weight[counts].sum() if counts.any() else 0.0
        result += share * mean
    return float(result)


def losses_over_cells(
    spec: CellParameters,
    batch: Batch,
    statistics: Sequence[np.ndarray],
    cell_loss: Callable[..., np.ndarray],
    class_weight: Sequence[float] | np.ndarray | None = None,
    normalized: bool = False,
) -> np.ndarray:
    """What ``mean_over_cells`` averages last: (N,) of images under granularity I, (C,) of classes under D and C.

    Those of images are multiplied by the weights of the images; 0 where an image or a class does not count.
    """
    level, share = only_level(type(spec).__name__, spec.granularity)
    losses, weight = losses_of_level(level, spec, batch, statistics, cell_loss, class_weight, normalized)
    return np.where(weight > 0, share * losses * (weight if level == 'I' else 1), 0)


def reduce_cells(
    spec: CellLoss,
    batch: Batch,
    statistics: Sequence[np.ndarray],
    cell_loss: Callable[..., np.ndarray],
    reduction: str = 'mean',
) -> float | np.ndarray:
    """``loss_weight`` times the mean over cells, or for the reduction 'none' times what it averages last."""
    weights = spec.class_weight, spec.normalize_class_weight
    if reduction == 'none':
        return spec.loss_weight * losses_over_cells(spec, batch, statistics, cell_loss, *weights)
    return spec.loss_weight * mean_over_cells(spec, batch, statistics, cell_loss, *weights)


def losses_of_level(
    level: str,
    spec: CellParameters,
    batch: Batch,
    statistics: Sequence[np.ndarray],
    cell_loss: Callable[..., np.ndarray],
    class_weight: Sequence[float] | np.ndarray | None,
    normalized: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The losses of images (I) or of classes (D, C), and their weights in the mean: 0 where one does not count."""
    c = batch.target.shape[1]
    shapes.check_class_weight(type(spec).__name__, class_weight, (c,))
    class_weight = np.ones(c) if class_weight is None else np.array(class_weight)
    cells, classes = counted_cells(spec, batch)
    image_weight = batch.image_weight[:, None] * cells

    def scaled(counts: np.ndarray) -> np.ndarray:
        """Class weights: as they are, or with a mean of 1 over the classes that count."""
        mean = divided((class_weight * counts).sum(-1, keepdims=True), counts.sum(-1, keepdims=True))
        return divided(class_weight * np.ones_like(mean), mean) if normalized else class_weight

    if level == 'I':
        losses = np.where(cells, cell_loss(*statistics) * scaled(cells), 0)
        return divided(losses.sum(1), cells.sum(1)), batch.image_weight * cells.any(1)
    if level == 'D':
        losses = cell_loss(*(s.sum(0) for s in statistics))
    else:
        classes = image_weight.sum(0) > 0
        losses = divided(np.where(cells, cell_loss(*statistics) * image_weight, 0).sum(0), image_weight.sum(0))
    return np.where(classes, losses * scaled(classes), 0), classes.astype(float)


def divided(top: np.ndarray, bottom: np.ndarray, empty: float = 0.0) -> np.ndarray:
    """top / bottom, ``empty`` where bottom is 0."""
    return np.where(bottom != 0, top / np.where(bottom != 0, bottom, 1), empty)
