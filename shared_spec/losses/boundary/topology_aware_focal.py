"""Topology-aware focal loss: focal cross-entropy and how far the components and holes of a prediction are from the labels'."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from shared_spec import shapes
from shared_spec.checks import CLASSES, Each, Integer, Optional, Real
from shared_spec.declare import Example, Shared, loss_spec, param
from shared_spec.inputs import Batch, prepare, scale_part
from shared_spec.losses.pixel.focal_cross_entropy import FocalCrossEntropyLoss
from shared_spec.persistence import MISSING, Pairs, coordinates, persistence
from shared_spec.typing import Classes

DIMENSIONS = Optional(Each(Integer(low=0, high=2), 'a list of different numbers from 0 to 2', unique=True))
LAST = 1.0  # the largest value of a field, at which its last component is taken to die
APART = 1e-9  # values of a field that are nearer than this are a tie, whose order a gradient depends on


class Feature(NamedTuple):
    """One feature of a prediction, by place, and the (birth, death) that it is to have; None: any, if they are equal."""

    birth: int
    death: int
    aim: tuple[float, float] | None


class Matching(NamedTuple):
    """What becomes of the features of one cell, and what the labels' features cost that no feature is matched with."""

    features: list[Feature]
    missed: float


@loss_spec
class TopologyAwareFocalLoss(Shared):
    """Topology-aware focal loss."""

    family = 'boundary'
    spatial_axes = (1, 2, 3)
    on_host = True
    title = 'Topology-aware focal loss'
    formula = (
        'mean over pixels of (1 - p_y)^gamma * (-log p_y), plus topology_weight * the mean over images and classes of W; W = '
        'sum over dimensions of the least sum of squared distances between the points (birth, death) of the persistence '
        'diagrams of 1 - p and 1 - y, each matched with one of the other diagram or with the nearest of birth = death'
    )
    source = 'Demir, Massaad & Kiziltan: Topology-aware focal loss for 3D image segmentation, arXiv 2304.12223; GUDHI'
    remarks = (
        'Focal cross-entropy as FocalCrossEntropyLoss without alpha. Diagrams are of the sublevel sets of 1 - p, that is of '
        'where p is at least 1 - t: dimension 0 are connected components, 1 holes (tunnels), 2 cavities; pixels that touch at '
        'a corner are connected. The last component dies at 1. W is the square of the 2-Wasserstein distance with the '
        'Euclidean distance between points, of the exact matching (the paper approximates one by Sinkhorn); its gradient '
        'goes through the pixels at births and deaths, with the matching as it is. A feature that is nearer to none '
        'than to those of the labels is removed: a gap of p below 0.27 in a ring is left to the focal term. W is a sum over '
        'features, so it grows with the image. Ignored pixels are outside every class, in '
        'labels and prediction: they may cut what they hide, so an image without them has another W. Weights of pixels '
        'above 0 enter the focal term alone, those of images both. It needs GUDHI, on the CPU: '
        "pip install 'segparity[topology]'."
    )

    gamma: float = param(2.0, Real(low=0), 'focusing: the power of 1 - p; 0 is cross-entropy')
    topology_weight: float = param(
        0.1, Real(low=0), 'factor on the topological term, which 0 leaves out; the choice is ours'
    )
    classes: Classes = param(
        'all', CLASSES, "whose topology counts; 'auto' and 'present': those that an image has, of its own"
    )
    dimensions: tuple[int, ...] | None = param(
        None, DIMENSIONS, 'which features count: 0 components, 1 holes, 2 cavities; None: all that the images have'
    )

    examples = {
        'heavy': Example(dict(topology_weight=1.0)),
        'sigmoid': Example(dict(activation='sigmoid', gamma=1.5, topology_weight=2.0, loss_weight=0.7)),
        'components': Example(dict(classes=[1], dimensions=[0], topology_weight=3.0)),
        'present': Example(dict(classes='present', topology_weight=1.0), spatial_axes=(2, 3)),
    }

    def dimensions_of(self, axes: int) -> tuple[int, ...]:
        """The dimensions that count in images of so many axes. ValueError for one that those do not have."""
        found = tuple(range(axes)) if self.dimensions is None else self.dimensions
        if max(found) >= axes:
            raise ValueError(
                f'{type(self).__name__}: dimensions must be below the {axes} spatial axes of pred, got {max(found)}'
            )
        return found

    def of_batch(self, batch: Batch, matchings: dict[tuple[int, int], Matching] | None = None) -> float:
        """The loss of a ``Batch``; matchings: of each cell (image, class), which are made where they are None."""
        focal = FocalCrossEntropyLoss(gamma=self.gamma, activation=self.activation).of_batch(batch)
        topology = 0.0
        self.dimensions_of(len(batch.space))
        cells = self.cells(batch)
        if self.topology_weight > 0 and cells.any():
            matchings = self.matchings(batch) if matchings is None else matchings
            fields = self.fields(batch, batch.prob)
            total = sum(batch.image_weight[cell[0]] * cost(found, fields[cell]) for cell, found in matchings.items())
            topology = total / (batch.image_weight[:, None] * cells).sum()
        return float(self.loss_weight * (focal + scale_part(self.topology_weight, topology)))

    def cells(self, batch: Batch) -> np.ndarray:
        """(N, C) bool: whose topology counts."""
        n, c = batch.prob.shape[:2]
        chosen = np.zeros((n, c), bool)
        chosen[:, shapes.channel_indices(type(self).__name__, self.classes, c)] = True
        if self.classes in ('auto', 'present'):
            chosen &= batch.largest_target > 0.5
        return chosen & batch.has_pixel[:, None]

    def fields(self, batch: Batch, share: np.ndarray) -> np.ndarray:
        """(N, C, *space) 1 - share, 1 where a pixel does not count."""
        found = np.where(batch.weight[:, None] > 0, 1 - share, LAST)
        return found.reshape(*share.shape[:2], *batch.space)

    def matchings(self, batch: Batch) -> dict[tuple[int, int], Matching]:
        """Of each cell the best matching of the features of 1 - p with those of 1 - y."""
        dimensions, fields = self.dimensions_of(len(batch.space)), self.fields(batch, batch.prob)
        truths, found = self.fields(batch, batch.target), {}
        for cell in zip(*np.nonzero(self.cells(batch))):
            of_field, of_truth = persistence(fields[cell]), persistence(truths[cell])
            matched = [match(of_field[k], fields[cell], of_truth[k], truths[cell]) for k in dimensions]
            features = [feature for one in matched for feature in one.features]
            found[cell] = Matching(features, sum(one.missed for one in matched))
        return found

    def reference_near(
        self, pred: ArrayLike, target: ArrayLike, pixel_weight: ArrayLike | None = None, **extras: Any
    ) -> Callable[[np.ndarray], Any] | None:
        """The reference with the matching that it has at ``pred``; None where pixels tie, whose order says who is born."""
        batch = prepare(self, pred, target, pixel_weight, extras.get('ignore_index'))
        if self.topology_weight == 0:
            return super().reference_near(pred, target, pixel_weight, **extras)
        fields = self.fields(batch, batch.prob)
        for cell in zip(*np.nonzero(self.cells(batch))):
            values = np.sort(fields[cell][(batch.weight[cell[0]] > 0).reshape(batch.space)])
            if batch.logits is not None:  # saturated ones have no gradient
                values = values[(values > APART) & (values < 1 - APART)]
            if (np.diff(values) < APART).any():
                return None
        matchings = self.matchings(batch)
        return lambda p: self.reference(p, target, pixel_weight, matchings=matchings, **extras)


def match(pairs: Pairs, field: np.ndarray, truth: Pairs, labels: np.ndarray) -> Matching:
    """The matching of least cost between the features of a field and of labels, each of which may also be given up."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise ImportError(MISSING) from None
    points, aims = (np.stack(coordinates(*of, LAST), 1) for of in ((pairs, field), (truth, labels)))
    k, m = len(points), len(aims)
    costs = np.zeros((k + m, m + k))  # each feature beside its own place on the diagonal, and those among themselves
    costs[:k, :m] = ((points[:, None] - aims) ** 2).sum(2)
    costs[:k, m:] = np.where(np.eye(k, dtype=bool), to_diagonal(*points.T), np.inf)
    costs[k:, :m] = np.where(np.eye(m, dtype=bool), to_diagonal(*aims.T), np.inf)
    rows, columns = linear_sum_assignment(costs)
    column = dict(zip(rows, columns))
    features = [
        Feature(int(pairs.births[i]), int(pairs.deaths[i]), tuple(aims[column[i]]) if column[i] < m else None)
        for i in range(k)
    ]
    return Matching(features, float(sum(costs[i, column[i]] for i in range(k, k + m) if column[i] < m)))


def to_diagonal(birth: Any, death: Any) -> Any:
    """The squared distance of a point to the nearest whose birth is its death."""
    return (death - birth) ** 2 / 2


def cost(matching: Matching, field: np.ndarray) -> float:
    """What a matching costs with the values of a field (*space)."""
    flat, total = field.reshape(-1), matching.missed
    for birth, death, aim in matching.features:
        b, d = flat[birth], flat[death] if death >= 0 else LAST
        total += to_diagonal(b, d) if aim is None else (b - aim[0]) ** 2 + (d - aim[1]) ** 2
    return total
