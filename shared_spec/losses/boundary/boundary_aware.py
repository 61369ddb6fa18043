"""Boundary-aware loss: a branch of the network predicts how far each object pixel is from its object's boundary, in bins."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared_spec import shapes, values
from shared_spec.checks import Each, Integer, Optional
from shared_spec.declare import Example, SpecError, Weighted, as_shared, loss_spec, param
from shared_spec.distance import check_num_classes, check_one_image
from shared_spec.distance_bins import (
    bins_of_image,
    check_bins,
    check_bins_dtype,
    check_bins_shape,
    check_label_shape,
    count_objects,
)
from shared_spec.inputs import Batch, prepare, reduce_pixels, times_log

MANY = 2**31 - 1  # classes, where nobody knows how many there are
CLASS_IDS = Optional(Each(Integer(low=0), 'a list of different class ids', unique=True))


@loss_spec
class BoundaryAwareLoss(Weighted):
    """Boundary-aware loss."""

    family = 'boundary'
    spatial_axes = (1, 2, 3)
    labels = ('hard',)
    channels = ('many',)
    reductions = ('mean', 'sum', 'none')
    extras = ('distance_bins',)
    of_branch = True
    activation = 'sigmoid'
    title = 'Boundary-aware loss of a distance branch'
    formula = (
        'mean over pixels and channels of the binary cross-entropy of p and b; b has, of the num_bins = K channels of each '
        'object class, a 1 at floor(D * K / (max_distance + 1)); D = min(ceil(d), max_distance), d the distance to the '
        'nearest pixel that is outside the object or has a neighbour along an axis that is'
    )
    source = (
        'Hayder, He & Salzmann: Boundary-aware instance segmentation, CVPR 2017 (arXiv 1612.03129); no published code'
    )
    remarks = (
        'pred is the output of a branch for distances, K channels for each object class one after the other, and the labels '
        'are the class ids of the segmentation. Channels are independent, so p is a sigmoid. D is 0 outside an object and on '
        'its inner boundary, and max_distance where an image has nothing but the object. The border of the image is no '
        'boundary. Ignored pixels are on no side of one, and cost nothing. Which bin has which D is our choice, as are the '
        'defaults; the paper has K bins up to a distance R. masks_of_bins of each world makes masks of a prediction.'
    )

    num_bins: int = param(5, Integer(low=2), 'K, how many bins the distances have; channels for each object class')
    max_distance: int = param(
        14, Integer(low=1), 'from which distance on, in pixels, all are the same; at least num_bins - 1'
    )
    classes: tuple[int, ...] | None = param(
        None, CLASS_IDS, 'the class ids of the objects, in the order of their channels; None: 1, 2, ..., and 0 is none'
    )
    from_logits: bool = as_shared('from_logits')
    ignore_index: int | None = as_shared('ignore_index')
    sync: bool = as_shared('sync')

    examples = {
        'default': Example(dict(num_bins=2, max_distance=1)),
        'five_bins': Example(dict(max_distance=4, loss_weight=0.7)),
        'long': Example(dict(num_bins=3, max_distance=20)),
    }

    def validate(self) -> None:
        super().validate()
        if self.max_distance < self.num_bins - 1:
            raise SpecError(
                owner=type(self).__name__,
                parameter='max_distance',
                given=self.max_distance,
                allowed=f'at least num_bins - 1 = {self.num_bins - 1}, or bins stay empty',
            )

    def objects(self, channels: int) -> tuple[int, ...]:
        """The class ids of the objects that so many channels are of. ValueError where they are of none."""
        name = type(self).__name__
        if self.classes is None:
            return tuple(range(1, 1 + count_objects(name, channels, self.num_bins)))
        if channels != len(self.classes) * self.num_bins:
            raise ValueError(
                f'{name}: pred must have num_bins * len(classes) = {self.num_bins} * {len(self.classes)} channels, got {channels}'
            )
        return self.classes

    def num_labels(self, channels: int, some: bool = False) -> int:
        """Below which number all labels lie; of classes that are listed nobody knows the others, ``some`` are those."""
        objects = self.objects(channels)
        return max(objects) + 1 if self.classes is None or some else MANY

    def adapt_case(
        self, pred: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """The channels of pred again and again, num_bins for each class above 0."""
        objects = max(pred.shape[1] - 1, 1) if self.classes is None else len(self.classes)
        return pred[:, np.arange(objects * self.num_bins) % pred.shape[1]], {}

    def distance_bins(
        self,
        target: ArrayLike,
        num_objects: int | None = None,
        ignore_index: int | None = None,
        dimensions: int | None = None,
    ) -> np.ndarray:
        """(M, *space) int32 bins of one image's class ids (*space), as ``distance_bins`` takes them at the call.

        num_objects: how many object classes the branch has, 1 or as many as ``classes``; ignore_index beside the spec's;
        dimensions: how many axes an image has, which three axes of labels need: they may be several images. ValueError for
        labels that are none, TypeError for what is no array of numbers.
        """
        name, target = type(self).__name__, np.asarray(target)
        if target.dtype.kind not in 'iubf':
            raise TypeError(f'{name}: labels must be an array of class ids, got {target.dtype}')
        count = check_num_classes(name, num_objects or len(self.classes or (1,)))
        check_one_image(name, target.shape, None, dimensions, count + 1)
        channels = count * self.num_bins
        counts = self.not_ignored(target[None], channels, ignore_index)
        return self.bins_of(target[None], channels, counts)[0].astype(np.int32)

    def not_ignored(self, target: np.ndarray, channels: int, ignore_index: int | None) -> np.ndarray:
        """(N, *space) which labels are not ignored."""
        ignored = shapes.check_ignore(
            type(self).__name__, self.ignore_index, ignore_index, self.num_labels(channels, some=True)
        )
        return ~np.isin(target, ignored)

    def bins_of(
        self, target: np.ndarray, channels: int, counts: np.ndarray, given: ArrayLike | None = None
    ) -> np.ndarray:
        """(N, M, *space) bins of class ids (N, *space), made or given; 0 where a pixel does not count."""
        name, objects = type(self).__name__, self.objects(channels)
        values.check_ids(name, target, counts, self.num_labels(channels))
        inside = np.stack([(target == k) & counts for k in objects], axis=1)
        if given is None:
            made = [bins_of_image(*one, self.num_bins, self.max_distance) for one in zip(inside, counts)]
            return np.array(made, np.int64).reshape(inside.shape)
        bins = np.asarray(given)
        check_bins_dtype(name, bins.dtype.kind in 'iu', bins.dtype)
        check_bins_shape(name, bins.shape, len(target), len(objects), target.shape[1:], 'first')
        bins = np.where(counts[:, None], bins.reshape(inside.shape), 0)
        check_bins(name, bins, inside, self.num_bins)
        return bins

    def reference(
        self,
        pred: ArrayLike,
        target: ArrayLike,
        pixel_weight: ArrayLike | None = None,
        ignore_index: int | None = None,
        distance_bins: ArrayLike | None = None,
        **extras: Any,
    ) -> float | Any:
        """As all losses, of labels (N, *space); distance_bins: (N, M, *space) integers, or (N, *space) of one class."""
        pred = np.asarray(pred)
        maps, weight = self.maps_and_weight(pred, np.asarray(target), pixel_weight, ignore_index, distance_bins)
        return super().reference(pred, maps, weight, **extras)

    def maps_and_weight(
        self,
        pred: np.ndarray,
        target: np.ndarray,
        pixel_weight: ArrayLike | None,
        ignore_index: int | None = None,
        distance_bins: ArrayLike | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of pred's shape, integers: 1 at each pixel's bins, else 0; and (N, *space) the weights, 0 where it is ignored."""
        name = type(self).__name__
        shapes.check_pred(name, pred.shape, 'first', self.spatial_axes)
        n, c, space = shapes.split(pred.shape, 'first')
        self.objects(c)
        check_label_shape(name, target.shape, n, space, 'first')
        target = target.reshape(n, *space)
        weight = self.not_ignored(target, c, ignore_index).astype(np.float64)
        if pixel_weight is not None:
            given = np.asarray(pixel_weight, np.float64)
            per_image = shapes.weight_kind(name, pred.shape, given.shape, 'first') == 'image'
            given = given.reshape(n, *[1] * len(space)) if per_image else given.reshape(n, *space)
            weight = np.where(weight > 0, given, 0)
            values.check_weights(name, given if per_image else weight)
        bins = self.bins_of(target, c, weight > 0, distance_bins)
        maps = bins[:, :, None] == np.arange(self.num_bins).reshape(-1, *[1] * len(space))
        return maps.reshape(pred.shape).astype(np.int64), weight

    def of_batch(self, batch: Batch, reduction: str = 'mean', base: np.ndarray | None = None) -> float | np.ndarray:
        """The loss of a ``Batch`` whose target has the bins; base (N, C, P): what each channel's loss is made less by."""
        loss = (channel_losses(batch) - (0 if base is None else base)).mean(1)
        loss = self.loss_weight * np.where(batch.weight > 0, batch.weight * loss, 0)
        return reduce_pixels(batch, loss, reduction)

    def reference_near(
        self, pred: ArrayLike, target: ArrayLike, pixel_weight: ArrayLike | None = None, **extras: Any
    ) -> Callable[[np.ndarray], Any] | None:
        """The reference less what it is at ``pred``, number by number, for large logits cost much where they are wrong."""
        pred = np.asarray(pred)
        maps, weight = self.maps_and_weight(pred, np.asarray(target), pixel_weight, **extras)
        base = channel_losses(prepare(self, pred, maps, weight))
        return lambda p: self.reference(p, target, pixel_weight, **extras, base=base)


def channel_losses(batch: Batch) -> np.ndarray:
    """(N, C, P) binary cross-entropies."""
    log_p, log_not_p = batch.log_both()
    y = batch.target
    return -(times_log(y, log_p) + times_log(1 - y, log_not_p))
