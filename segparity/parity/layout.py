"""Whether arrays of predictions and labels have their channels first or last."""

from collections.abc import Callable

import numpy as np

from segparity.saved import SavedError
from shared_spec import shapes
from shared_spec.typing import Shape

LAYOUTS = {'NCHW': 'first', 'NHWC': 'last'}  # whatever the number of spatial axes
SUM = 1e-2  # how far from 1 the classes of a pixel may add up


def layout_of(
    words: str,
    pred: Shape,
    target: Shape | None,
    said: str | None = None,
    first_target: Callable[[], np.ndarray] | None = None,
) -> str:
    """'first' or 'last' of a prediction's shape, told by that of its labels, or as ``said`` ('NCHW', 'NHWC').

    words: how messages call the file. first_target: the labels of the first image, looked at where the labels have as
    many axes as the prediction. SavedError where it cannot be told, ValueError where the shapes do not fit.
    """
    samples = len(pred) == 2 and (target is None or len(target) == 1 or of_samples(first_target))
    if not samples and len(pred) not in (3, 4, 5):
        raise SavedError(
            f'{words}: a prediction must be (N, C, *space) or (N, *space, C) with up to 3 spatial axes, got shape '
            f'{shapes.as_text(pred)}; one image needs an axis of length 1 in front, one channel an axis of its own'
        )
    if samples:  # which are (N, C) in both
        if target is not None:
            shapes.label_kind(words, pred, target, 'first')
        return 'first'
    if said is not None:
        layout = LAYOUTS[said]
        if target is not None:
            shapes.label_kind(words, pred, target, layout)
        return layout
    if target is None:
        raise SavedError(f'{words}: no labels tell where the channels of {shapes.as_text(pred)} are, --layout says it')
    fitting = [layout for layout in shapes.LAYOUTS if fits(pred, target, layout)]
    if not fitting:
        n, c, space = shapes.split(tuple(pred), 'first')
        _, c_last, space_last = shapes.split(tuple(pred), 'last')
        raise SavedError(
            f'{words}: labels {shapes.as_text(target)} do not fit predictions {shapes.as_text(pred)}, expected '
            f'{shapes.as_text((n, *space))} for {c} classes first, or {shapes.as_text((n, *space_last))} for {c_last} classes last'
        )
    if len(fitting) == 2 and len(target) == len(pred):
        fitting = of_maps(pred, target, None if first_target is None else first_target()) or fitting
    if len(fitting) == 2:
        raise SavedError(
            f'{words}: channels may be first or last in predictions {shapes.as_text(pred)} with labels '
            f'{shapes.as_text(target)}, --layout NCHW or --layout NHWC says it'
        )
    return fitting[0]


def of_samples(first_target: Callable[[], np.ndarray] | None) -> bool:
    """Whether the first row of labels with two axes is what a sample has: a class, or shares that add up to 1."""
    row = None if first_target is None else first_target()
    return row is None or row.size == 1 or bool(abs(row.sum(dtype=np.float64) - 1) < SUM)


def fits(pred: Shape, target: Shape, layout: str) -> bool:
    """Whether labels can be those of a prediction in a layout."""
    n, c, space = shapes.split(tuple(pred), layout)
    return tuple(target) in {(n, *space), shapes.join(n, 1, space, layout), shapes.join(n, c, space, layout)}


def of_maps(pred: Shape, target: Shape, first: np.ndarray | None) -> list[str]:
    """The layouts in which labels of as many axes are maps of classes that add up to 1, or the ids of one channel."""
    one = [layout for layout in shapes.LAYOUTS if shapes.split(tuple(pred), layout)[1] == 1]
    if len(one) == 1:
        return one
    if first is None or one:
        return []
    axes = {'first': 0, 'last': -1}
    sums = {layout: np.abs(first.sum(axis, dtype=np.float64) - 1) for layout, axis in axes.items()}
    return [layout for layout in axes if (sums[layout] < SUM).mean() > 0.5]


def channels_first(image: np.ndarray, layout: str) -> np.ndarray:
    """One image (C, *space) of one in ``layout``."""
    return image if layout == 'first' else np.moveaxis(image, -1, 0)
