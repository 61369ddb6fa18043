"""Active boundary loss: predicted boundaries move, a pixel at a time, towards those of the labels."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.checks import Boolean, Choice, Real
from shared_spec.declare import Example, Shared, loss_spec, param
from shared_spec.distance import DistanceTo, Mapped
from shared_spec.inputs import Batch, prepare

DIRECTIONS = (1, 0), (-1, 0), (0, -1), (0, 1), (-1, 1), (1, 1), (-1, -1), (1, -1)  # rows down, columns to the right
LEAST, GROWTH = 1e-5, 1.2  # the first threshold of divergences, and what the next one is a multiple by


@loss_spec
class ActiveBoundaryLoss(Mapped, Shared):
    """Active boundary loss."""

    family = 'boundary'
    spatial_axes = (2,)
    has_signed_map = False
    has_whole_map = True
    needs_softmax = True
    needs_areas = True
    title = 'Active boundary loss'
    formula = (
        'mean over predicted boundary pixels of min(D, max_clip_distance) / max_clip_distance * cross-entropy of softmax(s) '
        'and t; D = max(floor(d) - 1, 0), d the distance to the nearest boundary of the labels; s_k = KL(p of neighbour k || '
        'p) of the 8 neighbours; t = 1 - label_smoothing at the neighbour of least D, label_smoothing / 8 at the others'
    )
    source = (
        'Wang et al.: Active boundary loss for semantic segmentation, arXiv 2102.02696; wangchi95/active-boundary-loss'
    )
    remarks = (
        'Pictures and hard labels alone; one channel is a distribution of two classes. Boundary of the labels: pixels that '
        'differ from the one below or to the right. Of the prediction: where KL(p || p below) + KL(p || p to the right) '
        'exceeds the least of 1e-5, 1.2e-5, 1.44e-5, ... that max_boundary_ratio of the pixels or fewer exceed, and the 8 '
        'pixels around each. Of equal D counts the first of below, above, left, right, above right, below right, above left, '
        'below left; a pixel nearer than its neighbours counts nowhere. p outside the image, or where a pixel does not '
        'count, is that of the pixel beside it. D is 0 without a boundary. As in the official code t does not add up to 1. '
        "'mask': pixels that do not count are no boundary, have no part and no share of the budget. 'boundary': they are "
        'boundaries, and what is predicted there has a part, with weight 1, and has to be numbers.'
    )

    label_smoothing: float = param(0.2, Real(low=0, high=1), 'what t has not at the neighbour of least D')
    max_clip_distance: float = param(20.0, Real(low=0, above=True), 'the D from which on a pixel costs no more')
    max_boundary_ratio: float = param(
        0.01, Real(low=0, high=1, above=True), 'the share of pixels that may be predicted boundary, before those around'
    )
    detach: bool = param(True, Boolean(), 'whether the probabilities of the neighbours have no gradient')
    budget: str = param(
        'image',
        Choice('image', 'batch'),
        'whether each image has that share, or, as in the official code, all images together that of one',
    )
    ignored: str = param(
        'mask',
        Choice('mask', 'boundary'),
        'whether pixels that do not count have no part, or, as in the official code, are boundaries of the labels',
    )

    examples = {
        'ratio': Example(dict(max_boundary_ratio=0.3)),
        'attached': Example(
            dict(
                max_boundary_ratio=0.4, detach=False, label_smoothing=0.0, max_clip_distance=1.5, spacing=[2.0, 1.5],
                loss_weight=0.7,
            )
        ),
        'batch': Example(dict(max_boundary_ratio=0.35, budget='batch')),
        'official': Example(dict(max_boundary_ratio=0.3, budget='batch', ignored='boundary')),
    }  # fmt: skip

    @property
    def map_kind(self) -> str:
        return 'edges' if self.ignored == 'mask' else 'edges of ignored'

    @property
    def reads_ignored(self) -> bool:
        return self.ignored == 'boundary'

    def check_activation(self, channels: int) -> None:
        """ValueError for several channels that are no distribution."""
        if channels > 1 and self.activation == 'sigmoid':
            raise ValueError('ActiveBoundaryLoss: sigmoid channels are no distribution over classes, use softmax')

    def map_channels(self, num_classes: int) -> int:
        return 1

    def map_of_image(self, inside: np.ndarray, valid: np.ndarray, distance_to: DistanceTo) -> np.ndarray:
        labels = np.concatenate([inside, valid[None]])
        edges = np.zeros(valid.shape, bool)
        edges[:-1] |= (labels[:, 1:] != labels[:, :-1]).any(0) & self.may_differ(valid[1:], valid[:-1])
        edges[:, :-1] |= (labels[:, :, 1:] != labels[:, :, :-1]).any(0) & self.may_differ(valid[:, 1:], valid[:, :-1])
        if self.ignored == 'boundary':
            edges |= ~valid
        return np.maximum(np.floor(distance_to(edges)) - 1, 0)[None]

    def may_differ(self, valid: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Between which neighbours a boundary of the labels may be."""
        return valid & other if self.ignored == 'mask' else np.ones_like(valid)

    def reference(
        self,
        pred: ArrayLike,
        target: ArrayLike,
        pixel_weight: ArrayLike | None = None,
        ignore_index: int | None = None,
        **extras: Any,
    ) -> float | Any:
        """As all losses; 'boundary' is 'mask' of pixels that all count, with a map that knows which did not."""
        if self.ignored == 'mask':
            return super().reference(pred, target, pixel_weight, ignore_index, **extras)
        labels, weight, distance_map = self.all_counted(pred, target, pixel_weight, ignore_index, extras)
        other = dataclasses.replace(self, ignored='mask', ignore_index=None)
        return other.reference(pred, labels, weight, **{**extras, 'distance_map': distance_map})

    def all_counted(
        self,
        pred: ArrayLike,
        target: ArrayLike,
        pixel_weight: ArrayLike | None,
        ignore_index: int | None,
        extras: dict[str, Any],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N, H, W) each: labels and weights of pixels that all count, and (N, 1, H, W) the map of the labels as they came."""
        batch = prepare(self, pred, target, pixel_weight, ignore_index)
        shape, v, y = (len(batch.weight), *batch.space), batch.weight, batch.target
        maps = self.maps_of(batch, extras.get('distance_map'))[:, 0]
        labels = y.argmax(1) if y.shape[1] > 1 else y[:, 0].astype(int)
        weight = np.where(v > 0, v, batch.image_weight[:, None])
        return labels.reshape(shape), weight.reshape(shape), maps.reshape(len(v), 1, *batch.space)

    def of_batch(self, batch: Batch, distance_map: np.ndarray | None = None, aims: 'Aims | None' = None) -> float:
        """The loss of a ``Batch``; aims: what has no gradient, which is made where it is None."""
        self.check_activation(batch.prob.shape[1])
        aims = aims or self.aims(batch, distance_map)
        p, log_p = aims.around if self.detach else near(distributions(batch), aims.places)
        scores = divergence(p, log_p, distributions(batch)[1][None])
        cost = self.cross_entropy(scores, np.minimum(aims.direction, len(DIRECTIONS) - 1))
        v = np.where(aims.chosen & (aims.direction < len(DIRECTIONS)), batch.weight, 0)
        cost = np.where((v > 0) & (aims.share > 0), cost, 0)  # which may be infinite
        loss = self.loss_weight * float((v * aims.share * cost).sum() / v.sum()) if v.sum() > 0 else 0.0
        return loss if np.isfinite(aims.share).all() else float('nan')

    def aims(self, batch: Batch, distance_map: np.ndarray | None) -> 'Aims':
        """What is fixed about a batch."""
        maps, own = self.maps_of(batch, distance_map)[:, 0], distributions(batch)
        there, places = neighbours(batch)
        away = np.where(batch.weight > 0, maps, np.inf)
        nearest = np.where(there, np.take_along_axis(away[None], places, 2), np.inf)
        direction = np.argmin([*nearest, away], axis=0)  # the first of several; the pixel itself is the last
        share = np.where(np.isfinite(maps), np.minimum(maps, self.max_clip_distance) / self.max_clip_distance, np.nan)
        return Aims(self.predicted(batch, own), direction, share, places, near(own, places))

    def cross_entropy(self, scores: np.ndarray, target: np.ndarray) -> np.ndarray:
        """(N, P) of scores (8, N, P) and the direction to take (N, P); infinite where a score is."""
        infinite = np.isinf(scores).any(0)
        scores = np.where(infinite, 0, scores)
        log = scores - np.logaddexp.reduce(scores, axis=0)
        share = np.full(log.shape, self.label_smoothing / len(DIRECTIONS))
        np.put_along_axis(share, target[None], 1 - self.label_smoothing, 0)
        return np.where(infinite, np.inf, -(share * log).sum(0))

    def predicted(self, batch: Batch, own: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """(N, P) bool: the predicted boundary, of p and log p."""
        n, (height, width) = len(batch.weight), batch.space
        p, log_p = (x.reshape(n, x.shape[1], height, width) for x in own)
        counts = (batch.weight > 0).reshape(n, height, width)
        kl = np.zeros(counts.shape)
        below = divergence(p[:, :, :-1], log_p[:, :, :-1], log_p[:, :, 1:], axis=1)
        right = divergence(p[..., :-1], log_p[..., :-1], log_p[..., 1:], axis=1)
        kl[:, :-1] += np.where(counts[:, :-1] & counts[:, 1:], below, 0)
        kl[..., :-1] += np.where(counts[..., :-1] & counts[..., 1:], right, 0)
        allowed = np.floor(self.max_boundary_ratio * counts.sum((1, 2)))
        if self.budget == 'batch':
            some = max(1, int(batch.has_pixel.sum()))
            found = exceeding(kl, allowed.sum() // some)
        else:
            found = np.array([exceeding(*one) for one in zip(kl, allowed)], bool).reshape(kl.shape)
        wide = np.zeros(kl.shape, bool)
        for y, x in np.ndindex(3, 3):
            wide |= np.pad(found, [(0, 0), (1, 1), (1, 1)])[:, y : y + height, x : x + width]
        return (wide & counts).reshape(batch.weight.shape)

    @staticmethod
    @functools.cache
    def thresholds(largest: float) -> list[float]:
        """The thresholds of divergences that are at most ``largest``, ascending, and infinity."""
        found = [LEAST]
        while found[-1] <= largest:
            found.append(found[-1] * GROWTH)
        return [*found[:-1], np.inf]

    def reference_near(
        self, pred: ArrayLike, target: ArrayLike, pixel_weight: ArrayLike | None = None, **extras: Any
    ) -> Callable[[np.ndarray], Any] | None:
        """The reference with the boundary that is predicted at ``pred``, and with the neighbours' probabilities there."""
        ignore_index, given = extras.pop('ignore_index', None), extras
        spec: ActiveBoundaryLoss = self
        if self.ignored == 'boundary':
            target, pixel_weight, maps = self.all_counted(pred, target, pixel_weight, ignore_index, extras)
            spec = dataclasses.replace(self, ignored='mask', ignore_index=None)
            ignore_index, given = None, {**extras, 'distance_map': maps}
        batch = prepare(spec, pred, target, pixel_weight, ignore_index)
        aims = spec.aims(batch, given.get('distance_map'))
        return lambda p: spec.reference(p, target, pixel_weight, ignore_index, aims=aims, **given)


class Aims(NamedTuple):
    """What has no gradient, (N, P) each: the predicted boundary, the direction (8: to stay), the share of the cost.

    places (8, N, P) of the neighbours and (8, N, K, P) twice p and log p there.
    """

    chosen: np.ndarray
    direction: np.ndarray
    share: np.ndarray
    places: np.ndarray
    around: tuple[np.ndarray, np.ndarray]


def exceeding(kl: np.ndarray, allowed: float) -> np.ndarray:
    """Where divergences exceed the least threshold that so many of them or fewer exceed."""
    threshold = LEAST
    while (kl > threshold).sum() > allowed:
        threshold *= GROWTH
    return kl > threshold


def distributions(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """(N, K, P) p and log p, K = 2 of one channel: of the background and of the foreground."""
    log_p, log_q = batch.log_prob()
    if batch.prob.shape[1] > 1:
        return batch.prob, log_p
    return np.concatenate([batch.complement, batch.prob], 1), np.concatenate([log_q, log_p], 1)


def near(own: tuple[np.ndarray, np.ndarray], places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(8, N, K, P) twice: p and log p (N, K, P) at places (8, N, P)."""
    p, log_p = (np.take_along_axis(x[None], places[:, :, None], 3) for x in own)
    return p, log_p


def divergence(p: np.ndarray, log_p: np.ndarray, log_q: np.ndarray, axis: int = -2) -> np.ndarray:
    """KL(p || q) along the axis of classes; a class of probability 0 has no share."""
    with np.errstate(invalid='ignore'):
        return np.where(p == 0, 0, p * (log_p - log_q)).sum(axis)


def neighbours(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """(8, N, P) each: whether the neighbours of each pixel count, and their places.

    Else the place of the first that counts of the pixel in the same row, the one in the same column and the pixel itself.
    """
    (height, width), counts = batch.space, batch.weight > 0
    down, right = np.transpose(DIRECTIONS)[:, :, None, None]
    y, x = np.divmod(np.arange(height * width), max(1, width))
    own = np.broadcast_to(np.arange(height * width), (len(DIRECTIONS), *counts.shape))
    there, places = np.zeros(own.shape, bool), own
    for dy, dx in ((down, 0 * right), (0 * down, right), (down, right)):  # the last has the last word
        to_y, to_x = y + dy, x + dx
        within = (to_y >= 0) & (to_y < height) & (to_x >= 0) & (to_x < width)
        to = np.where(within, to_y * width + to_x, own)
        there = within & np.take_along_axis(counts[None], to, 2)
        places = np.where(there, to, places)
    return there, places
