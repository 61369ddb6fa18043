"""Three surrogates of the Hausdorff distance: by distance transforms, by erosions, by convolutions with discs."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.checks import CLASSES, Choice, Each, Integer, Real
from shared_spec.declare import Example, Shared, SpecError, loss_spec, param
from shared_spec.distance import LARGEST, DistanceTo, Mapped, both_sides, mean_over_pixels
from shared_spec.inputs import Batch, prepare
from shared_spec.typing import Classes
from shared_spec.values import TOLERANCE


@loss_spec
class HausdorffDistanceLoss(Mapped, Shared):
    """Hausdorff distance loss."""

    family = 'boundary'
    has_signed_map = False
    title = 'Hausdorff distance loss'
    formula = (
        'one mean over the pixels of all images and classes that count; distance_transform: (p - y)^2 * (d(p > 1/2)^alpha + d(y)^alpha), d the distance '
        'to the other side; erosion: sum_k b_k * k^alpha, b_0 = (p - y)^2, b_k = relu(mean of a pixel and its 2, 4 or 6 '
        'neighbours of b_(k-1) - 1/2), scaled to [0, 1]; convolution: sum_r r^alpha * (p - y)^2 * ((f(1 - y) + f(p)) * p + '
        '(f(y) + f(1 - p)) * y), f(x) = relu(mean of x over the disc of radius r - 1/2)'
    )
    source = 'Karimi & Salcudean: Reducing the Hausdorff distance in medical image segmentation, arXiv 1904.10030; MONAI; kornia'
    remarks = (
        'Hard labels alone. d has no gradient; it is 0 for a mask without an inside or an outside, whose pixels count in the '
        "mean. 'erosion' has a gradient through its minimum and maximum, as kornia's, and in volumes the neighbours along "
        "all axes (the official kernel lies in a plane); it is 0 where errors are thin. 'convolution' has only the paper "
        'behind it, no published code. Ignored pixels are on no side, and 0 in every erosion and disc.'
    )

    method: str = param(
        'distance_transform', Choice('distance_transform', 'erosion', 'convolution'), 'which of the three'
    )
    alpha: float = param(2.0, Real(low=0), 'power of the distance')
    erosions: int = param(10, Integer(low=1), "how many erosions 'erosion' makes")
    radii: tuple[int, ...] = param(
        (3, 6, 9, 12, 15, 18), Each(Integer(low=1), unique=True), "of the discs of 'convolution', in pixels"
    )
    classes: Classes = param(
        'all', CLASSES, "which classes count; 'auto' and 'present': those that an image has, of its own"
    )

    examples = {
        'default': Example(),
        'spacing': Example(dict(spacing=[2.0, 0.5], alpha=1.5, activation='sigmoid'), spatial_axes=(2,)),
        'erosion': Example(dict(method='erosion', erosions=3, loss_weight=0.7)),
        'convolution': Example(dict(method='convolution', radii=[1, 2], classes=[1])),
    }

    def validate(self) -> None:
        super().validate()
        if self.spacing is not None and self.method != 'distance_transform':
            raise SpecError(
                f"has a meaning for method='distance_transform' alone, got {list(self.spacing)} with {self.method!r}",
                owner='HausdorffDistanceLoss',
                parameter='spacing',
                given=self.spacing,
            )

    @property
    def map_kind(self) -> str:
        return 'unsigned'

    @property
    def no_map(self) -> str:
        taken = self.method == 'distance_transform'
        return '' if taken else f"distance_map belongs to method='distance_transform', not to {self.method!r}"

    @property
    def own_limits(self) -> tuple[float, float]:
        return self.least_step * (1 - TOLERANCE), LARGEST

    def check_given(self, distance_map: object) -> None:
        """ValueError for a map that the method does not take."""
        if distance_map is not None and self.no_map:
            raise ValueError(f'HausdorffDistanceLoss: {self.no_map}')

    def map_of_image(self, inside: np.ndarray, valid: np.ndarray, distance_to: DistanceTo) -> np.ndarray:
        depth, gap = both_sides(inside, valid, distance_to)
        return depth + gap

    def of_batch(self, batch: Batch, distance_map: np.ndarray | None = None, field: np.ndarray | None = None) -> float:
        """The loss of a ``Batch``; field (N, C, P): that of the prediction, which is made where it is None."""
        self.check_given(distance_map)
        p, y, v = batch.prob, batch.target, batch.weight
        shape, valid = (*p.shape[:2], *batch.space), (v > 0).reshape(len(v), 1, *batch.space)
        error = (p - y) ** 2
        if self.method == 'distance_transform':
            far = self.field_of(batch) if field is None else field
            cost = error * (far**self.alpha + self.maps_of(batch, distance_map) ** self.alpha)
        elif self.method == 'erosion':
            cost = self.eroded(np.where(valid, error.reshape(shape), 0), valid).reshape(p.shape)
        else:
            cost = error * self.discs(p.reshape(shape), y.reshape(shape), valid).reshape(p.shape)
        return self.loss_weight * mean_over_pixels(self, batch, cost, self.classes)

    def field_of(self, batch: Batch) -> np.ndarray:
        """(N, C, P) the distances of p > 1/2."""
        return self.maps_of(batch._replace(target=(batch.prob > 0.5).astype(np.float64)), None)

    def eroded(self, b: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """(N, C, *space) the sum over erosions of b."""
        axes, total = tuple(range(2, b.ndim)), np.zeros(b.shape)
        if not b.size:
            return total
        for k in range(1, self.erosions + 1):
            near = b + sum(shifted(b, axis, step) for axis in axes for step in (-1, 1))
            b = np.where(valid, np.maximum(near / (2 * len(axes) + 1) - 0.5, 0), 0)
            low = np.where(valid, b, np.inf).min(axes, keepdims=True)
            high = b.max(axes, keepdims=True)
            span = high > low
            b = np.where(valid & span, (b - np.where(span, low, 0)) / np.where(span, high - low, 1), b)
            total += b * float(k) ** self.alpha
        return total

    def discs(self, p: np.ndarray, y: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """(N, C, *space) what multiplies with the squared error."""
        total = np.zeros(p.shape)
        for r in self.radii:
            near, far = (
                [np.maximum(mean_over_disc(np.where(valid, x, 0), r) - 0.5, 0) for x in pair]
                for pair in ((1 - y, p), (y, 1 - p))
            )
            total += float(r) ** self.alpha * (sum(near) * p + sum(far) * y)
        return total

    def reference_near(
        self, pred: ArrayLike, target: ArrayLike, pixel_weight: ArrayLike | None = None, **extras: Any
    ) -> Callable[[np.ndarray], Any] | None:
        """The reference with the field that the prediction has at ``pred``."""
        if self.method != 'distance_transform':
            return super().reference_near(pred, target, pixel_weight, **extras)
        field = self.field_of(prepare(self, pred, target, pixel_weight, extras.get('ignore_index')))
        return lambda p: self.reference(p, target, pixel_weight, field=field, **extras)


def shifted(x: np.ndarray, axis: int, step: int) -> np.ndarray:
    """x moved along an axis, 0 where nothing comes."""
    found = np.roll(x, step, axis)
    edge = [slice(None)] * x.ndim
    edge[axis] = slice(None, step) if step > 0 else slice(step, None)
    found[tuple(edge)] = 0
    return found


def mean_over_disc(x: np.ndarray, radius: int) -> np.ndarray:
    """(N, C, *space) the mean over the pixels at most ``radius`` away, those outside the image 0."""
    axes = x.ndim - 2
    offsets = [
        o for o in itertools.product(range(-radius, radius + 1), repeat=axes) if sum(i * i for i in o) <= radius**2
    ]
    padded = np.pad(x, [(0, 0), (0, 0)] + [(radius, radius)] * axes)
    windows = (
        padded[(slice(None), slice(None), *(slice(radius + i, radius + i + n) for i, n in zip(o, x.shape[2:])))]
        for o in offsets
    )
    return sum(windows, np.zeros(x.shape)) / len(offsets)
