"""Euclidean distances from masks in NumPy float64, and the parameter and the shapes of the losses that use them."""

import functools
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from shared_spec import shapes, values
from shared_spec.checks import Each, Integer, Optional, Real
from shared_spec.declare import LossSpec, SpecError, param, shared_parameters
from shared_spec.inputs import Batch
from shared_spec.parameters import check_parameter
from shared_spec.typing import Shape

SPACING = Optional(Each(Real(low=0, above=True), 'a list of one number > 0 for each spatial axis'))
MISSING = "distances need SciPy, in the plane OpenCV will do: pip install 'segparity[distance]', or give distance_map"

IGNORING = '_ignoring_'  # in the name of a map, before the labels that are on no side
LARGEST = float(np.finfo(np.float32).max)

DistanceTo = Callable[[np.ndarray], np.ndarray]


@shared_parameters
class Mapped(LossSpec):
    """A loss that multiplies with a map of distances, which is given at the call as ``distance_map`` or made from the labels.

    ``map_kind`` names the map: losses of one kind, spacing and ignored labels have the same.
    """

    labels = ('hard',)
    spatial_axes: ClassVar[tuple[int, ...]] = (1, 2, 3)
    extras = ('distance_map',)
    has_signed_map = True  # else a negative number in a map given is as one that is none: NaN
    has_whole_map = False  # else a fraction is as one that is none

    spacing: tuple[float, ...] | None = param(
        None, SPACING, 'the size of a pixel along each spatial axis; None is 1 along each'
    )

    @property
    def map_kind(self) -> str:
        """Which map the loss takes."""
        raise NotImplementedError(type(self).__name__)

    @property
    def no_map(self) -> str:
        """Why a loss with these parameters takes no map, '' where it does."""
        return ''

    def check_takes_map(self, owner: str) -> None:
        """SpecError unless the loss takes a map with these parameters."""
        if self.no_map:
            raise SpecError(f'takes no map: {type(self).__name__}: {self.no_map}', owner=owner, parameter='loss')

    @property
    def extras_taken(self) -> tuple[str, ...]:
        return () if self.no_map else self.extras

    @property
    def map_limits(self) -> tuple[float, float]:
        """The smallest and the largest number that a map may have."""
        return (-LARGEST if self.has_signed_map else 0.0), LARGEST

    @property
    def own_limits(self) -> tuple[float, float] | None:
        """The same of a pixel's own class, where it is not 0; None where a map has no channel of a class."""
        return None

    def axes_of_image(self, owner: str, dimensions: object) -> int | None:
        """How many axes an image has, as far as parameters and the loss say it. SpecError where they contradict each other."""
        found = check_dimensions(owner, dimensions, self.spacing)
        if found is None and len(self.spatial_axes) == 1:
            return self.spatial_axes[0]
        if found not in (None, *self.spatial_axes):
            rule = f'must be {" or ".join(map(str, self.spatial_axes))}, the axes of an image of {type(self).__name__}, got {found}'
            raise SpecError(rule, owner=owner, parameter='dimensions', given=found)
        return found

    def validate(self) -> None:
        super().validate()
        axes = self.spatial_axes
        if self.spacing is not None and len(self.spacing) not in axes:
            raise SpecError(
                owner=type(self).__name__,
                parameter='spacing',
                given=list(self.spacing),
                allowed=f'a list of {" or ".join(map(str, axes))} numbers, one for each spatial axis',
            )

    @property
    def least_step(self) -> float:
        """The least distance between two pixels."""
        return min(self.spacing or (1.0,))

    @property
    def map_field(self) -> str:
        """What the map is: its kind, the spacing and the label that the loss ignores."""
        return self.map_field_of(None)

    def map_field_of(self, ignore_index: int | None) -> str:
        """The same where a call ignores another label too: the name under which a data sample of MMSegmentation has the map."""
        spacing = self.spacing if any(step != 1 for step in self.spacing or ()) else ()
        steps = [str(step).removesuffix('.0') for step in spacing or ()]
        ignored = sorted({label for label in (self.ignore_index, ignore_index) if label is not None})
        name = '_'.join(['gt_distance_map', *self.map_kind.split(), *steps])
        return name + (IGNORING + '_'.join(map(str, ignored)) if ignored else '')

    def map_of_image(self, inside: np.ndarray, valid: np.ndarray, distance_to: DistanceTo) -> np.ndarray:
        """(K, *space) the map of one image.

        inside (C, *space) bool: where each class is; valid (*space) bool: pixels that count; distance_to: the distance
        of every pixel to the nearest of a mask, 0 where there is none.
        """
        raise NotImplementedError(type(self).__name__)

    def distance_map(
        self,
        target: np.ndarray,
        num_classes: int,
        ignore_index: int | None = None,
        dtype: type = np.float32,
        dimensions: int | None = None,
        ignore: str = 'ignore_index',
    ) -> np.ndarray:
        """(K, *space) the map of one image's class ids (*space), as ``distance_map`` takes it at the call.

        By ``quick_distance``. num_classes: the channels of pred; ignore_index beside the spec's; dimensions: how many axes an
        image has, which three axes of labels need unless spacing says it: they may be several images; ignore: what the
        caller calls ignore_index. ValueError for labels that are none, TypeError for what is no array of numbers.
        """
        from shared_spec.quick_distance import quick_distance_to

        name, target = type(self).__name__, np.asarray(target)
        if self.no_map:
            raise ValueError(f'{name}: {self.no_map}')
        if target.dtype.kind not in 'iubf':
            raise TypeError(f'{name}: labels must be an array of class ids, got {target.dtype}')
        num_classes = check_num_classes(name, num_classes)
        check_one_image(name, target.shape, self.spacing, self.axes_of_image(name, dimensions), num_classes)
        ignored = shapes.check_ignore(name, self.ignore_index, ignore_index, num_classes)
        counts = ~np.isin(target, ignored)
        values.check_ids(name, target, counts, max(num_classes, 2), ignore)
        inside = np.stack([target == k for k in (range(num_classes) if num_classes > 1 else (1,))]) & counts
        quick = functools.partial(quick_distance_to, spacing=self.spacing, dtype=dtype)
        return self.map_of_image(inside, counts, quick).astype(dtype)

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
            maps = maps.reshape(shape)
            maps = np.where(self.may_be_map(maps, batch.target.reshape(n, c, *batch.space)), maps, np.nan)
        return np.where(valid[:, None], maps, 0).reshape(*shape[:2], batch.weight.shape[1])

    def may_be_map(self, maps: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Which numbers of maps (N, K, *space) may be distances of the labels (N, C, *space); those of another loss may not."""
        low, high = self.map_limits
        possible = (maps >= low) & (maps <= high)
        if self.has_whole_map:
            possible &= maps == np.floor(maps)
        if self.own_limits is not None:
            low, high = self.own_limits
            possible &= ~(target > 0.5) | (maps == 0) | ((maps >= low) & (maps <= high))
        return possible

    def map_channels(self, num_classes: int) -> int:
        """K, for so many channels of pred."""
        return num_classes


def check_spacing(owner: str, spacing: Sequence[float] | None, axes: int) -> None:
    """ValueError unless there is one number for each spatial axis."""
    if spacing is not None and len(spacing) != axes:
        raise ValueError(
            f'{owner}: spacing must have {axes} entries, one for each spatial axis of pred, got {len(spacing)}'
        )


def check_num_classes(owner: str, num_classes: object) -> int:
    """The number; SpecError where it is none of classes."""
    return check_parameter(owner, 'num_classes', Integer(low=1), num_classes)


def check_dimensions(owner: str, dimensions: object, spacing: Sequence[float] | None) -> int | None:
    """How many axes an image has, as far as parameters say it. SpecError where they contradict each other."""
    found = check_parameter(owner, 'dimensions', Optional(Integer(low=1, high=3)), dimensions)
    if spacing is not None and found not in (None, len(spacing)):
        rule = f'must be {len(spacing)}, the entries of spacing, got {found}'
        raise SpecError(rule, owner=owner, parameter='dimensions', given=found)
    return found if spacing is None else len(spacing)


def check_one_image(
    owner: str, shape: Shape, spacing: Sequence[float] | None, dimensions: int | None, num_classes: int
) -> None:
    """ValueError unless labels are class ids (*space) of one image, and no batch of them as far as that can be known."""
    axes = check_dimensions(owner, dimensions, spacing)
    got = f'got shape {shapes.as_text(shape)}'
    if axes is None and len(shape) == 3:
        raise ValueError(
            f'{owner}: labels of three axes are those of a volume or of several images, {got}; say dimensions=3 for a '
            'volume, and give images one by one'
        )
    if len(shape) not in ((1, 2, 3) if axes is None else (axes,)):
        wanted = '1, 2 or 3 axes' if axes is None else f'{axes} axes, as dimensions or spacing say'
        one_hot = axes is not None and len(shape) == axes + 1 and shape[-1] == num_classes
        hint = 'one-hot labels become class ids by argmax' if one_hot else 'each image has a map of its own'
        raise ValueError(f'{owner}: labels must be class ids of one image with {wanted}, {got}; {hint}')


def check_map(owner: str, shape: Shape, n: int | None, channels: int, space: Shape, layout: str = 'first') -> None:
    """ValueError unless a map given has the shape of the prediction's pixels; one channel may lack its axis."""
    wanted = shapes.join(n, channels, space, layout)
    if not (shapes.may_be_equal(shape, wanted) or (channels == 1 and shapes.may_be_equal(shape, (n, *space)))):
        text = f'{shapes.as_text(wanted)}, got {shapes.as_text(tuple(shape))}'
        unknown = ', where ? is a size that is not known before the step runs' if '?' in text else ''
        raise ValueError(f'{owner}: distance_map must have shape {text}{unknown}')


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
