"""Euclidean distances from masks in NumPy float64, and the parameter and the shapes of the losses that use them."""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from shared_spec import shapes
from shared_spec.checks import Each, Optional, Real
from shared_spec.declare import LossSpec, param, shared_parameters
from shared_spec.inputs import Batch
from shared_spec.typing import Shape

SPACING = Optional(Each(Real(low=0, above=True), 'a list of one number > 0 for each spatial axis'))
MISSING = "distances need SciPy, in the plane OpenCV will do: pip install 'segparity[distance]', or give distance_map"

DistanceTo = Callable[[np.ndarray], np.ndarray]


@shared_parameters
class Mapped(LossSpec):
    """A loss that multiplies with a map of distances, which is given at the call as ``distance_map`` or made from the labels.

    ``map_kind`` names the map: losses of one kind and spacing have the same.
    """

    labels = ('hard',)
    extras = ('distance_map',)
    has_signed_map = True  # else a negative number in a map given is as one that is none: NaN

    spacing: tuple[float, ...] | None = param(
        None, SPACING, 'the size of a pixel along each spatial axis; None is 1 along each'
    )

    @property
    def map_kind(self) -> str:
        """Which map the loss takes."""
        raise NotImplementedError(type(self).__name__)

    @property
    def map_field(self) -> str:
        """The name under which a data sample of MMSegmentation has the map."""
        steps = [f'{step:g}' for step in self.spacing or ()]
        return '_'.join(['gt_distance_map', *self.map_kind.split(), *steps])

    def map_of_image(self, inside: np.ndarray, valid: np.ndarray, distance_to: DistanceTo) -> np.ndarray:
        """(K, *space) the map of one image.

        inside (C, *space) bool: where each class is; valid (*space) bool: pixels that count; distance_to: the distance
        of every pixel to the nearest of a mask, 0 where there is none.
        """
        raise NotImplementedError(type(self).__name__)

    def distance_map(
        self, target: np.ndarray, num_classes: int, ignore_index: int | None = None, dtype: type = np.float32
    ) -> np.ndarray:
        """(K, *space) the map of one image's class ids (*space), as ``distance_map`` takes it at the call.

        By ``quick_distance``. num_classes: the channels of pred; ignore_index beside the spec's. Labels that are no class are as ignored here:
        the loss refuses them.
        """
        from shared_spec.quick_distance import quick_distance_to

        target = np.asarray(target)
        check_spacing(type(self).__name__, self.spacing, target.ndim)
        ignored = shapes.check_ignore(type(self).__name__, self.ignore_index, ignore_index, num_classes)
        inside = np.stack([target == k for k in (range(num_classes) if num_classes > 1 else (1,))])
        counts = ~np.isin(target, ignored)
        inside &= counts
        valid = np.asarray(inside.any(0) if num_classes > 1 else counts)
        quick = functools.partial(quick_distance_to, spacing=self.spacing, dtype=dtype)
        return self.map_of_image(inside, valid, quick).astype(dtype)

    def maps_of(self, batch: Batch, distance_map: np.ndarray | None) -> np.ndarray:
        """(N, K, P) the maps given, or made; 0 where a pixel does not count."""
        name, n = type(self).__name__, len(batch.prob)
        check_spacing(name, self.spacing, len(batch.space))
        c = batch.prob.shape[1]
        shape = n, self.map_channels(c), *batch.space
        valid = (batch.weight > 0).reshape(n, *batch.space)
        if distance_map is None:
            inside = (batch.target > 0.5).reshape(n, c, *batch.space) & valid[:, None]
            maps = np.zeros(shape)
            for k in range(n if valid.size else 0):
                maps[k] = self.map_of_image(inside[k], valid[k], lambda mask: distance_to(mask, self.spacing))
        else:
            maps = np.asarray(distance_map, np.float64)
            check_map(name, maps.shape, n, shape[1], batch.space)
            maps = maps if self.has_signed_map else np.where(maps < 0, np.nan, maps)
        return np.where(valid[:, None], maps.reshape(shape), 0).reshape(*shape[:2], batch.weight.shape[1])

    def map_channels(self, num_classes: int) -> int:
        """K, for so many channels of pred."""
        return num_classes


def check_spacing(owner: str, spacing: Sequence[float] | None, axes: int) -> None:
    """ValueError unless there is one number for each spatial axis."""
    if spacing is not None and len(spacing) != axes:
        raise ValueError(
            f'{owner}: spacing must have {axes} entries, one for each spatial axis of pred, got {len(spacing)}'
        )


def check_map(owner: str, shape: Shape, n: int | None, channels: int, space: Shape, layout: str = 'first') -> None:
    """ValueError unless a map given has the shape of the prediction's pixels; one channel may lack its axis."""
    wanted = shapes.join(n, channels, space, layout)
    if not (shapes.may_be_equal(shape, wanted) or (channels == 1 and shapes.may_be_equal(shape, (n, *space)))):
        raise ValueError(
            f'{owner}: distance_map must have shape {shapes.as_text(wanted)}, got {shapes.as_text(tuple(shape))}'
        )


def distance_to(mask: np.ndarray, spacing: Sequence[float] | None = None) -> np.ndarray:
    """(*space) the Euclidean distance of every pixel to the nearest True of ``mask``, 0 everywhere where there is none."""
    if not mask.any():
        return np.zeros(mask.shape)
    try:
        from scipy.ndimage import distance_transform_edt
    except ImportError:
        raise ImportError(MISSING) from None
    return distance_transform_edt(~mask, sampling=spacing)


def both_sides(inside: np.ndarray, valid: np.ndarray, distance_to: DistanceTo) -> tuple[np.ndarray, np.ndarray]:
    """(C, *space) twice: the distance of a class's pixels to what is outside it, and of the pixels outside to the class.

    0 elsewhere, and for a class without an inside or an outside. Pixels that do not count are on neither side.
    """
    nothing = np.zeros(valid.shape, np.float32)
    depth, gap = [], []
    for mask in inside:
        outside = valid & ~mask
        bordered = mask.any() and outside.any()
        depth.append(np.where(mask, distance_to(outside), 0) if bordered else nothing)
        gap.append(np.where(outside, distance_to(mask), 0) if bordered else nothing)
    return np.stack(depth), np.stack(gap)


def mean_over_pixels(spec: LossSpec, batch: Batch, cost: np.ndarray, classes: str | Sequence[int]) -> float:
    """The mean of cost (N, C, P) over the pixels of the classes that count: those listed, all, or those that an image has."""
    c, v = cost.shape[1], batch.weight
    chosen = shapes.channel_indices(type(spec).__name__, classes, c)
    cells = np.zeros(cost.shape[:2], bool)
    cells[:, chosen] = True
    if classes in ('present', 'auto'):  # labels are hard
        cells = np.asarray(batch.largest_target > 0.5)
    share = cells * v.sum(1)[:, None]
    total = (cells[:, :, None] * v[:, None] * cost).sum()
    return float(total / share.sum()) if share.sum() > 0 else 0.0
