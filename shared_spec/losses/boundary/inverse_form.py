"""Inverse form: how far predicted boundaries would have to be moved, turned and scaled to be those of the labels."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared_spec import shapes, values
from shared_spec.checks import Choice, Each, Integer, Optional
from shared_spec.declare import Example, Shared, SpecError, loss_spec, param
from shared_spec.features import ACROSS, class_edges
from shared_spec.inputs import FLOOR, Batch, prepare
from shared_spec.networks import FOLDER, Network, NetworkWeights, read_network
from shared_spec.typing import Shape

OUTPUTS = 4  # of the network: real and imaginary part of c - 1 and of t
MANY = 2**31  # classes, where nobody knows how many there are
SHIPPED = 32  # the tile size of the weights that come with the package
SMALL = 1e-2  # |c - 1| below which a series stands for log c / (c - 1)
LEAST = 1e-12 - 1  # |c|^2 - 1 of what counts as having shrunk to nothing


class Pair(Each):
    """Two integers >= 1: rows and columns."""

    def __init__(self) -> None:
        super().__init__(Integer(low=1), 'a list of two integers >= 1, rows and columns', at_least=2)

    def schema(self) -> dict[str, Any]:
        return {**super().schema(), 'maxItems': 2}

    def freeze(self, value: object) -> tuple[Any, ...]:
        found = super().freeze(value)
        if len(found) != 2:
            raise ValueError
        return found


@loss_spec
class InverseFormLoss(Shared):
    """Inverse form loss."""

    family = 'boundary'
    spatial_axes = (2,)
    of_branch = True
    title = 'Inverse form loss'
    formula = (
        'mean over tiles of |o|, o the 4 numbers in which a network sees the transform x -> c x + t (complex numbers, the '
        'tile is [-1, 1]^2) that takes the boundaries of the labels in a tile to those predicted: real and imaginary '
        "part of c - 1 and t; 'geodesic': |log c, t log c / (c - 1)|, the length of the transform's logarithm"
    )
    source = (
        'Borse et al.: InverseForm: a loss function for structured boundary-aware segmentation, arXiv 2104.02745; '
        'Qualcomm-AI-research/InverseForm'
    )
    remarks = (
        'pred is the output of an edge branch, one channel of logits, not that of the classes; pictures alone. Labels: class ids, '
        'whose boundaries are made here (pixels with a 4-neighbour of another class, lines of up to 5 ignored pixels '
        'between them left out), or a map of boundaries, floating point in [0, 1]. Both maps are resized (bilinear, corners not aligned) to tiles x tile_size pixels. A predicted '
        'boundary that fades counts as one that shrinks to nothing (c = 0). Pixels that do not count are 0 in both maps, '
        'and a tile weighs what its pixels weigh on average. Needs a loss beside it that draws boundaries, such as '
        "WeightedCrossEntropyLoss of the same branch. activation='log_softmax' is the official code's: of several channels, "
        'whose maps are compared one by one, it is that over channels, of one the logarithm of the sigmoid (officially the constant 0).'
    )

    activation: str = param(
        'sigmoid', Choice('sigmoid', 'log_softmax'), "how logits become a map of boundaries; 'log_softmax' is official"
    )
    tiles: tuple[int, ...] = param((3, 6), Pair(), 'rows and columns of tiles into which a picture is cut')
    tile_size: int = param(SHIPPED, Integer(low=2), 'height and width of a tile in pixels, after resizing')
    weights: 'str | Network | None' = param(
        None,
        Optional(NetworkWeights(OUTPUTS)),
        f'the network: path of an .npz file or its arrays by name; None is the one that comes with tile_size {SHIPPED}',
    )
    distance: str = param(
        'euclidean', Choice('euclidean', 'geodesic'), "how far a transform is from none; 'geodesic': by its logarithm"
    )

    examples = {
        'default': Example(dict(tiles=[1, 2]), channels=('one',)),
        'geodesic': Example(dict(tiles=[2, 1], distance='geodesic', loss_weight=0.7), channels=('one',)),
        'official': Example(dict(tiles=[1, 1], activation='log_softmax'), labels=('soft',), channels=('many',)),
    }

    def validate(self) -> None:
        super().validate()
        owner = type(self).__name__
        if self.weights is None and self.tile_size != SHIPPED:
            raise SpecError(
                f'must be {SHIPPED}, that of the weights that come with the package, or go with weights of its own, got '
                f'{self.tile_size}',
                owner=owner,
                parameter='tile_size',
                given=self.tile_size,
            )
        try:
            inputs = self.network.inputs
        except ValueError as error:
            raise SpecError(str(error), owner=owner, parameter='weights', given=self.weights) from None
        if inputs != 2 * self.tile_size**2:
            raise SpecError(
                f'must take {2 * self.tile_size**2} numbers, two tiles of {self.tile_size} x {self.tile_size}, got '
                f'weights that take {inputs}',
                owner=owner,
                parameter='weights',
                given=self.weights,
            )

    @property
    def network(self) -> Network:
        """The weights in use."""
        if isinstance(self.weights, Network):
            return self.weights
        path = FOLDER / f'inverse_form_{SHIPPED}.npz' if self.weights is None else self.weights
        return read_network(path, OUTPUTS)

    def adapt_case(
        self, pred: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """One channel for class ids."""
        return (pred if target.dtype.kind == 'f' else pred[:, :1]), {}

    def check_maps(self, channels: int, is_float: bool) -> None:
        """ValueError for class ids where channels have maps of their own."""
        owner = type(self).__name__
        if channels > 1 and not is_float:
            raise ValueError(
                f'{owner}: class ids go with one channel of pred, got {channels}; give floating-point maps of boundaries'
            )

    def without_ignored(self) -> 'InverseFormLoss':
        """The same loss of maps whose weights know what is ignored."""
        return self if self.ignore_index is None else dataclasses.replace(self, ignore_index=None)

    def reference(
        self,
        pred: ArrayLike,
        target: ArrayLike,
        pixel_weight: ArrayLike | None = None,
        ignore_index: int | None = None,
        **extras: Any,
    ) -> float | Any:
        """As all losses; class ids become the map of their boundaries."""
        spec, maps, weight, ignore_index = self.with_maps(pred, target, pixel_weight, ignore_index)
        return super(InverseFormLoss, spec).reference(pred, maps, weight, ignore_index, **extras)

    def with_maps(
        self, pred: ArrayLike, target: ArrayLike, pixel_weight: ArrayLike | None, ignore_index: int | None
    ) -> tuple['InverseFormLoss', np.ndarray, ArrayLike | None, int | None]:
        """(loss, target, weight, ignore_index) of maps of boundaries: those given, or of class ids, with weights 0."""
        target, shape, owner = np.asarray(target), np.shape(pred), type(self).__name__
        shapes.check_pred(owner, shape, 'first', self.spatial_axes)
        self.check_maps(shape[1], target.dtype.kind == 'f')
        if target.dtype.kind == 'f':
            return self, target, pixel_weight, ignore_index
        shapes.label_kind(owner, shape, target.shape, 'first')
        ids = target.reshape(shape[0], *shape[2:])
        valid = ~np.isin(ids, shapes.check_ignore(owner, self.ignore_index, ignore_index, shape[1]))
        weight = valid.astype(float)
        if pixel_weight is not None:
            weight = np.asarray(pixel_weight, np.float64)
            kind = shapes.weight_kind(owner, shape, weight.shape, 'first')
            weight = weight[:, None, None] if kind == 'image' else weight.reshape(ids.shape)
            weight = np.where(valid, weight, 0)
        counts = valid & (weight != 0)
        values.check_ids(owner, ids, counts, MANY)
        maps = boundaries(ids, counts).astype(float)[:, None]
        return self.without_ignored(), maps, weight, None

    def of_batch(self, batch: Batch, active: list[np.ndarray] | None = None) -> float:
        """The loss of a ``Batch``; active: which numbers between the layers are above 0, where it is fixed."""
        weight, x = self.tiles_of(batch)
        out = self.transform(x, active)[0]
        total = weight.sum()
        return self.loss_weight * float((weight * self.length(out)).sum() / total) if total > 0 else 0.0

    def tiles_of(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """(N, K, rows, columns) what each tile weighs, and pairs of tiles (N, K, rows, columns, 2 * tile_size^2)."""
        v, (n, k) = batch.weight, batch.prob.shape[:2]
        p = self.edges(batch)
        p, y = (np.where(v[:, None] > 0, x, 0).reshape(n, k, *batch.space) for x in (p, batch.target))
        size = self.size_of(batch.space)
        weight = self.cut(resized(v.reshape(n, 1, *batch.space), size)).mean(-1)
        x = np.concatenate([self.cut(resized(x, size)) for x in (p, y)], -1)
        return np.broadcast_to(weight, x.shape[:-1]), x

    def transform(self, x: np.ndarray, active: list[np.ndarray] | None = None) -> tuple[np.ndarray, list[np.ndarray]]:
        """(..., 4) what the network sees in pairs of tiles, and which numbers between its layers are above 0."""
        found = []
        for place, (matrix, bias) in enumerate(self.network.layers):
            if place:
                found.append(~(x <= 0) if active is None else active[place - 1])  # what is no number passes
                x = np.where(found[-1], x, 0)
            x = x @ matrix.astype(np.float64).T + bias.astype(np.float64)
        return x, found

    def reference_near(
        self, pred: ArrayLike, target: ArrayLike, pixel_weight: ArrayLike | None = None, **extras: Any
    ) -> Callable[[np.ndarray], Any] | None:
        """The reference with the numbers between the layers that are above 0 at ``pred``."""
        spec, maps, weight, ignore_index = self.with_maps(pred, target, pixel_weight, extras.get('ignore_index'))
        active = spec.transform(spec.tiles_of(prepare(spec, pred, maps, weight, ignore_index))[1])[1]
        return lambda p: spec.reference(p, maps, weight, ignore_index, active=active)

    def edges(self, batch: Batch) -> np.ndarray:
        """(N, K, P) the predicted boundaries."""
        if self.activation == 'sigmoid':
            return batch.prob
        if batch.logits is None:
            return np.log(np.maximum(batch.prob, FLOOR))
        if batch.logits.shape[1] == 1:
            return -np.logaddexp(0, -batch.logits)
        return batch.logits - np.logaddexp.reduce(batch.logits, axis=1)[:, None]

    def size_of(self, space: Shape) -> tuple[int, int]:
        """(height, width) to which maps are resized; refuses a picture without a pixel with ValueError."""
        if 0 in space:
            raise ValueError(f'{type(self).__name__}: a picture must have pixels, got {shapes.as_text(tuple(space))}')
        return self.tiles[0] * self.tile_size, self.tiles[1] * self.tile_size

    def cut(self, x: np.ndarray) -> np.ndarray:
        """(N, K, rows, columns, tile_size^2) tiles of maps (N, K, H, W)."""
        (rows, columns), s = self.tiles, self.tile_size
        x = x.reshape(*x.shape[:2], rows, s, columns, s).swapaxes(3, 4)
        return x.reshape(*x.shape[:4], s * s)

    def length(self, out: np.ndarray) -> np.ndarray:
        """How far each transform (..., 4) is from none."""
        if self.distance == 'geodesic':
            out = logarithm(out)
        return np.sqrt((out**2).sum(-1))


def boundaries(ids: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(N, H, W) bool: the pixels at the edge of their class, of those that count."""
    return class_edges(np.where(valid, ids.astype(np.int64), -1), ACROSS)


@functools.lru_cache(64)
def interpolation(length: int, size: int) -> np.ndarray:
    """(size, length) what each of ``size`` lines takes of each of ``length``: bilinear, corners not aligned."""
    place = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
    matrix = np.maximum(1 - np.abs(place[:, None] - np.arange(length)), 0)
    matrix.flags.writeable = False
    return matrix


def resized(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N, K, height, width) of maps (N, K, H, W)."""
    return interpolation(x.shape[2], size[0]) @ x @ interpolation(x.shape[3], size[1]).T


def logarithm(out: np.ndarray) -> np.ndarray:
    """(..., 4) log c and t log c / (c - 1) of transforms (..., 4): real and imaginary part of c - 1 and of t."""
    a, b, x, y = np.moveaxis(out, -1, 0)
    d = a + 1j * b
    log = np.log1p(np.maximum(2 * a + a**2 + b**2, LEAST)) / 2 + 1j * np.arctan2(b, 1 + a)
    near = np.abs(d) < SMALL
    factor = np.where(near, series(d), log / np.where(near, 1, d))
    moved = factor * (x + 1j * y)
    return np.stack([log.real, log.imag, moved.real, moved.imag], -1)


def series(d: Any) -> Any:
    """log(1 + d) / d of a small d."""
    return 1 - d * (1 / 2 - d * (1 / 3 - d * (1 / 4 - d * (1 / 5 - d / 6))))
