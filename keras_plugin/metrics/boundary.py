"""BoundaryIoU for ``compile(metrics=[...])``, and the boundaries of masks in keras.ops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_plugin.metrics.base import CountedMetric
from keras_plugin.metrics.checked_metric import spec_of
from keras_plugin.metrics.counts import pair_counts
from keras_plugin.metrics.label_maps import LabelMaps
from keras_plugin.typing import DType, Tensor
from shared_spec import shapes
from shared_spec.checks import Choice
from shared_spec.metrics import boundary
from shared_spec.metrics.fine_grained import FineGrained
from shared_spec.parameters import check_parameter

LEVEL = Choice('D', 'I', 'C')
OUTSIDE = -1  # beyond the image, or ignored


@keras.saving.register_keras_serializable(package='segparity')
class BoundaryIoU(CountedMetric):
    """Boundary IoU of 2-D or 3-D maps, a fraction, at ``level`` 'D' (data set), 'I' (images) or 'C' (classes).

    The boundary is d = max(1, round(ratio * diagonal of the image)) pixels wide, so the size of the images must be
    known while a step is traced; inputs as in ``keras_plugin.metrics.label_maps``, definition as in ``segparity show
    BoundaryIoU``. There is no q here: for worst cases of other scores see ``MeanIoU``. The default name is that of the
    result, such as 'BoundaryIoUC'.
    """

    def __init__(
        self,
        num_classes: int,
        level: str = 'D',
        ignore_class: int | None = None,
        from_logits: bool = False,
        ratio: float = 0.02,
        present_in: str = 'target',
        binary: bool = False,
        name: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        owner = type(self).__name__
        level = check_parameter(owner, 'level', LEVEL, level)
        common = dict(
            num_classes=num_classes, ignore_class=ignore_class, levels=(level,), present_in=present_in, binary=binary
        )
        self.boundary = spec_of(boundary.BoundaryIoU, owner, ratio=ratio, **common)
        super().__init__(
            spec_of(FineGrained, owner, q=(), metrics=('mIoU',), **common),  # the IoU of the boundaries' counts
            from_logits,
            1,
            'step',
            name or f'BoundaryIoU{level}',
            dtype,
            totals=level == 'D',
            means=() if level == 'D' else (level,),
            worst=False,
        )

    def counts_of(self, maps: LabelMaps) -> Tensor:
        return pair_counts(*boundary_maps(self.boundary, type(self).__name__, maps), self.spec.num_classes)

    def result(self) -> Tensor:
        return self.finish_result(self.level_means(self.boundary.levels[0])[0])

    def per_class(self) -> dict[str, np.ndarray]:
        return {f'Boundary{name}': values for name, values in super().per_class().items()}

    def own_config(self) -> dict[str, Any]:
        return {'level': self.boundary.levels[0], 'ratio': self.boundary.ratio}


def boundary_maps(spec: boundary.BoundaryIoU, owner: str, maps: LabelMaps) -> tuple[Tensor, Tensor]:
    """(target, pred) of ``LabelMaps``, (N, P): the id on the boundary of its mask, C elsewhere.

    A pixel survives d erosions of its mask by the 3x3 square exactly where all labels of the window of d pixels to each
    side are the same; what lies beyond the image, and what is ignored, is another label.
    """
    c, space = spec.num_classes, maps.space
    if len(space) not in (2, 3):
        raise ValueError(f'{owner}: boundaries need 2 or 3 spatial axes, got {shapes.as_text(space)}')
    if None in space:
        raise ValueError(
            f'{owner}: the size of the images must be known, for it sets the width of the boundary, '
            f'got {shapes.as_text(space)}'
        )
    width = max(1, round(spec.ratio * math.sqrt(sum(size * size for size in space))))

    def on_boundary(ids: Tensor) -> Tensor:
        around = ops.reshape(ops.where(maps.valid, ids, OUTSIDE), (-1, *space))
        mixed = ops.reshape(mixed_window(around, width), ops.shape(ids))
        return ops.where(mixed, ids, c)

    return on_boundary(maps.target), on_boundary(maps.pred)


def mixed_window(ids: Tensor, width: int) -> Tensor:
    """bool (N, *space): whether the window of ``width`` pixels to each side holds different ids."""
    axes = range(1, len(ids.shape))
    smallest = largest = ops.pad(ids, [(0, 0), *((width, width) for _ in axes)], constant_values=OUTSIDE)
    for axis in axes:
        smallest = running(ops.minimum, smallest, 2 * width + 1, axis)
        largest = running(ops.maximum, largest, 2 * width + 1, axis)
    return smallest != largest


def running(extreme: Callable[[Tensor, Tensor], Tensor], x: Tensor, length: int, axis: int) -> Tensor:
    """The minimum or maximum of every ``length`` neighbours along an axis, by doubling: log2(length) steps."""
    done = 1
    while done < length:
        step = min(done, length - done)
        head, tail = ([slice(None)] * len(x.shape) for _ in range(2))
        head[axis], tail[axis] = slice(None, -step), slice(step, None)
        x = extreme(x[tuple(head)], x[tuple(tail)])
        done += step
    return x
