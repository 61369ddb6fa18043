"""Boundary metrics: the overlap of the masks' boundaries, and the distances between their surfaces."""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.checks import Choice, Each, Optional, Real
from shared_spec.declare import Example, metric_spec, param, shared_parameters
from shared_spec.metrics.label_map_spec import MaskSpec, defined_mean
from shared_spec.metrics.label_maps import check_images, check_predicted, label_maps, valid_pixels
from shared_spec.typing import Maps

DISTANCES = ('HD', 'HD95', 'ASSD')
Masks = Sequence[Sequence[tuple[np.ndarray, np.ndarray]]]  # images, classes: of the prediction, of the target

IGNORED = (
    'What lies beyond the image is outside every mask, and so is an ignored pixel (or one of weight 0), in prediction '
    'and label alike. A label that is neither a class nor ignored belongs to no class. I and C count the cells '
    '(image, class) that are present. An image without a valid pixel counts nowhere. Undefined everywhere: NaN.'
)


@shared_parameters
class BoundarySpec(MaskSpec):
    """What the metrics of the boundaries of masks share.

    ``reference`` is written to be read: loops over images, classes and surface points, NaN where nothing is defined.
    Distances compare every point with every other: small images only.
    """

    mmseg_type = 'BoundaryMetric'

    if TYPE_CHECKING:  # parameters or constants of those below

        @property
        def metrics(self) -> tuple[str, ...]: ...

        @property
        def levels(self) -> tuple[str, ...]: ...

        def over_data_set(self, images: Masks) -> float: ...

    def to_mmseg(self) -> dict[str, Any]:
        """The MMSegmentation config dict, whose evaluator has other metrics too."""
        return {**super().to_mmseg(), 'metrics': list(self.metrics)}

    def names(self) -> list[str]:
        """The names of the results, in order: the score, then the level."""
        return [metric + level for metric in self.metrics for level in self.levels]

    def reference(self, preds: Maps, targets: Maps, pixel_weights: Maps | None = None) -> dict[str, float]:
        """Name -> value of lists of integer id maps, or of stacks (N, *space); a pixel counts where weight > 0."""
        owner = type(self).__name__
        check_images(owner, preds, targets, pixel_weights)
        images = []  # per image with a valid pixel: a list over classes of (mask of the prediction, of the target)
        for i in range(len(targets)):
            weight = None if pixel_weights is None else pixel_weights[i]
            pred, target, valid = checked_maps(owner, preds[i], targets[i], weight, self.ignore_index, self.num_classes)
            if valid.any():
                classes = [1] if self.binary else range(self.num_classes)
                images.append([(valid & (pred == c), valid & (target == c)) for c in classes])

        result = {}
        for metric in self.metrics:
            cells = [[self.cell(metric, pred, target) for pred, target in image] for image in images]
            for level in self.levels:
                if level == 'I':
                    result[metric + level] = defined_mean(defined_mean(row) for row in cells)
                elif level == 'C':
                    result[metric + level] = defined_mean(defined_mean(column) for column in zip(*cells))
                else:
                    result[metric + level] = self.over_data_set(images)
        return {**result, **self.beside(images)}

    def beside(self, images: Masks) -> dict[str, float]:
        """More results; ``images``: a list over classes of (mask of the prediction, of the target) for each."""
        return {}

    def is_counted(self, pred: np.ndarray, target: np.ndarray) -> bool | np.bool_:
        """Whether a class is present in an image, from its two masks."""
        return self.is_present(target.any(), pred.any())

    def cell(self, metric: str, pred: np.ndarray, target: np.ndarray) -> float:
        """The value of one class in one image from its two masks, NaN where the cell does not count."""
        raise NotImplementedError(type(self).__name__)


@metric_spec
class BoundaryIoU(BoundarySpec):
    """Overlap of the boundaries of hard predictions and hard labels, for every class of every image."""

    title = 'Boundary IoU'
    formula = (
        'BoundaryIoU = |Bp and Bt| / |Bp or Bt|, B = the mask minus d erosions of it by the 3x3 (3x3x3) square, '
        'd = max(1, round(ratio * diagonal of the image in pixels)); D: boundary counts added over images, mean over '
        'classes; I: mean over the classes of an image, then over images; C: mean over the images of a class, then '
        'over classes'
    )
    source = 'Cheng et al.: Boundary IoU, arXiv 2103.16562, boundary-iou-api'
    remarks = (
        IGNORED + ' So an ignored pixel leaves both boundaries, and a prediction that is right wherever it counts '
        "scores 1. binary: only class 1 counts, presence is 'either', and an image without it in either scores 1 "
        'under I and C.'
    )
    metrics = ('BoundaryIoU',)
    mmseg_line = "val_evaluator = dict(type='BoundaryMetric', ignore_index=255, metrics=['BoundaryIoU'])"
    keras_line = "metric = metrics.BoundaryIoU(num_classes=19, level='C', ignore_class=255, from_logits=True)"

    levels: tuple[str, ...] = param(
        ('D', 'I', 'C'),
        Each(Choice('D', 'I', 'C'), "a list of different levels out of 'D', 'I', 'C'", unique=True),
        'which means are reported: over the data set, over images, over classes',
    )
    ratio: float = param(0.02, Real(low=0, high=1, above=True), "width of the boundary over the image's diagonal")

    examples = {
        'default': Example(dict(num_classes=4), labels=('hard',)),
        'wide': Example(dict(num_classes=3, ratio=0.15, present_in='either'), labels=('hard',)),
        'binary': Example(dict(num_classes=2, binary=True), labels=('hard',)),
        'ignore_nothing': Example(dict(num_classes=4, ignore_index=None, levels=['C']), labels=('hard',)),
    }

    def cell(self, metric: str, pred: np.ndarray, target: np.ndarray) -> float:
        if self.binary and not pred.any() and not target.any():
            return 1.0
        if not self.is_counted(pred, target):
            return float('nan')
        both, either = boundary_overlap(pred, target, self.ratio)
        return both / either

    def over_data_set(self, images: Masks) -> float:
        """Mean over the classes of the boundary IoU of summed counts; ``images``: a list over classes of mask pairs."""
        counts = [[boundary_overlap(*masks, self.ratio) for masks in image] for image in images]
        total = [(sum(both), sum(either)) for both, either in (zip(*column) for column in zip(*counts))]
        return defined_mean(both / either if either else float('nan') for both, either in total)


@metric_spec
class SurfaceDistance(BoundarySpec):
    """Distances between the surfaces of hard predictions and hard labels, for every class of every image."""

    title = 'Surface distances HD, HD95, ASSD'
    formula = (
        'surface = the mask minus its erosion by the cross of 4 (6) neighbours, d(a, B) = min over b in B of |a - b| '
        'in units of spacing; HD = max(max d(p, T), max d(t, P)), HD95 = the larger of the 95 % quantiles of both '
        'directions (interpolated), ASSD = mean over the points of both surfaces; I: mean over the classes of an '
        'image, then over images; C: mean over the images of a class, then over classes'
    )
    source = 'MONAI (HausdorffDistanceMetric, SurfaceDistanceMetric symmetric)'
    remarks = (
        'In the unit of spacing (pixels without it), smaller is better; distances do not add up, so there is no D. '
        + IGNORED
        + ' A distance is undefined and left out where both masks are empty; where one is, it is inf for HD, HD95 and '
        "ASSD alike, or the diagonal of the image in units of spacing with empty='diagonal' (MONAI's HD95 is NaN "
        'there, which forgives a missed object). One missed object so makes a mean inf; beside it stand missed, the '
        'share of the cells that count of which one mask is empty, and HDI_rest, ..., the same means without these '
        "cells. With empty='diagonal' there are none of these. binary: only class 1 counts and presence is 'either'. "
        'surface-distance (DeepMind) measures between pixel corners: other numbers.'
    )
    mmseg_line = "val_evaluator = dict(type='BoundaryMetric', ignore_index=255, metrics=['HD95', 'ASSD'])"
    keras_line = (
        'images, labels = np.zeros((1, 64, 64, 3)), np.zeros((1, 64, 64), int)  # your validation data\n'
        'callback = metrics.HostMetrics(\n'
        "    (images, labels), num_classes=19, ignore_class=255, from_logits=True, distances=['HD95', 'ASSD']\n"
        ')'
    )

    metrics: tuple[str, ...] = param(
        DISTANCES,
        Each(Choice(*DISTANCES), "a list of different names out of 'HD', 'HD95', 'ASSD'", unique=True),
        'which distances are reported',
        always=('mmseg',),
    )
    levels: tuple[str, ...] = param(
        ('I', 'C'),
        Each(Choice('I', 'C'), "a list of different levels out of 'I', 'C'", unique=True),
        'which means are reported: over images, over classes',
    )
    spacing: tuple[float, ...] | None = param(
        None,
        Optional(Each(Real(low=0, above=True), 'a list of one number > 0 for each spatial axis')),
        'size of a pixel along each spatial axis, in the order of the axes; None is 1',
    )
    empty: str = param(
        'inf',
        Choice('inf', 'diagonal'),
        'the distance of a cell with exactly one empty mask: infinite, or the diagonal of the image',
    )

    examples = {
        'default': Example(dict(num_classes=4), labels=('hard',)),
        'spacing_and_diagonal': Example(
            dict(num_classes=4, spacing=[2.0, 0.5], empty='diagonal', present_in='either'), labels=('hard',)
        ),
        'binary': Example(dict(num_classes=2, binary=True, empty='diagonal'), labels=('hard',)),
        'ignore_nothing': Example(
            dict(num_classes=4, ignore_index=None, metrics=['HD95'], levels=['C']), labels=('hard',)
        ),
    }

    def names(self) -> list[str]:
        found = super().names()
        return found if self.empty == 'diagonal' else [*found, 'missed', *(name + '_rest' for name in found)]

    def is_fraction(self, name: str) -> bool:
        return name == 'missed'

    def beside(self, images: Masks) -> dict[str, float]:
        """How many of the cells are infinite, and the means of the others."""
        if self.empty == 'diagonal':
            return {}
        found = {}
        for metric in self.metrics:
            cells = [[self.cell(metric, pred, target) for pred, target in image] for image in images]
            found['missed'] = defined_mean(float(d == math.inf) for row in cells for d in row if not math.isnan(d))
            rest = [[math.nan if d == math.inf else d for d in row] for row in cells]
            found[metric + 'I_rest'] = defined_mean(defined_mean(row) for row in rest)
            found[metric + 'C_rest'] = defined_mean(defined_mean(column) for column in zip(*rest))
        return {name: found[name] for name in self.names() if name in found}

    def cell(self, metric: str, pred: np.ndarray, target: np.ndarray) -> float:
        if not self.is_counted(pred, target):
            return float('nan')
        spacing = np.ones(pred.ndim) if self.spacing is None else np.array(self.spacing)
        if len(spacing) != pred.ndim:
            raise ValueError(
                f'{type(self).__name__}: spacing must have one number for each of the {pred.ndim} spatial axes, '
                f'got {len(spacing)}'
            )
        if pred.any() and target.any():
            return distance(metric, pred, target, spacing)
        return math.inf if self.empty == 'inf' else math.sqrt(sum((n * s) ** 2 for n, s in zip(pred.shape, spacing)))


def checked_maps(
    owner: str, pred: ArrayLike, target: ArrayLike, weight: ArrayLike | None, ignore_index: int | None, num_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The predicted ids, the labels and the pixels that count of one image, each of its shape."""
    pred, target, weight = label_maps(owner, pred, target, weight)
    if target.ndim not in (2, 3):
        raise ValueError(f'{owner}: the maps of an image must have 2 or 3 spatial axes, got shape {target.shape}')
    valid = valid_pixels(target, weight, ignore_index)
    check_predicted(owner, pred[valid], num_classes)
    return pred, target, valid


def square(ndim: int) -> list[tuple[int, ...]]:
    """The offsets of a pixel's 3x3 (3x3x3) neighbourhood."""
    return list(itertools.product((-1, 0, 1), repeat=ndim))


def cross(ndim: int) -> list[tuple[int, ...]]:
    """The offsets of a pixel and of its 4 (6) direct neighbours."""
    return [offset for offset in square(ndim) if sum(map(abs, offset)) <= 1]


def eroded(mask: np.ndarray, offsets: Iterable[tuple[int, ...]]) -> np.ndarray:
    """The pixels all of whose neighbours at ``offsets`` are in the mask; what lies beyond the image is not."""
    padded = np.pad(mask, 1)
    inside = np.ones_like(mask)
    for offset in offsets:
        inside &= padded[tuple(slice(1 + o, 1 + o + n) for o, n in zip(offset, mask.shape))]
    return inside


def boundary_width(ratio: float, shape: Sequence[int]) -> int:
    """How many erosions take the boundary away: the ratio of the image's diagonal, at least 1."""
    return max(1, round(ratio * math.sqrt(sum(n * n for n in shape))))


def boundary(mask: np.ndarray, ratio: float) -> np.ndarray:
    """The mask minus d erosions of it by the square."""
    inner = mask
    for _ in range(boundary_width(ratio, mask.shape)):
        inner = eroded(inner, square(mask.ndim))
    return mask & ~inner


def boundary_overlap(pred: np.ndarray, target: np.ndarray, ratio: float) -> tuple[int, int]:
    """Pixels in both boundaries, and in either."""
    b_pred, b_target = boundary(pred, ratio), boundary(target, ratio)
    return int((b_pred & b_target).sum()), int((b_pred | b_target).sum())


def surface(mask: np.ndarray) -> np.ndarray:
    """The coordinates (points, axes) of the mask minus its erosion by the cross."""
    return np.argwhere(mask & ~eroded(mask, cross(mask.ndim)))


def directed_distances(points: np.ndarray, others: np.ndarray, spacing: np.ndarray) -> list[float]:
    """The distance of each point to the nearest of the others."""
    return [math.sqrt((((others - point) * spacing) ** 2).sum(1).min()) for point in points]


def quantile(q: float, values: Iterable[float]) -> float:
    """The q quantile of values, interpolated linearly between the two that it lies between."""
    values = sorted(values)
    position = q * (len(values) - 1)
    low = math.floor(position)
    high = min(low + 1, len(values) - 1)
    return values[low] + (position - low) * (values[high] - values[low])


def distance(metric: str, pred: np.ndarray, target: np.ndarray, spacing: np.ndarray) -> float:
    """HD, HD95 or ASSD of two masks that are not empty."""
    there = directed_distances(surface(pred), surface(target), spacing)
    back = directed_distances(surface(target), surface(pred), spacing)
    if metric == 'HD':
        return max(there + back)
    if metric == 'HD95':
        return max(quantile(0.95, there), quantile(0.95, back))
    return defined_mean(there + back)
