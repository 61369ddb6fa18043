"""Inverse form: how far predicted boundaries would have to be moved, turned and scaled to be those of the labels."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from keras import ops

from keras_plugin import values
from keras_plugin.arithmetic import accumulator_dtype, at_least, ratio
from keras_plugin.boundaries import class_edges
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.inputs import Batch, keep_pixels, prepare
from keras_plugin.losses.base import Loss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES, shapes
from shared_spec.features import ACROSS
from shared_spec.inputs import FLOOR
from shared_spec.losses.boundary.inverse_form import LEAST, MANY, SMALL, interpolation
from shared_spec.values import check_ids

HALVES, TINY = 5, 1e-18


@keras.saving.register_keras_serializable(package='segparity')
class InverseFormLoss(Loss):
    """How far the predicted boundaries of an edge branch are moved, turned and scaled against those of the labels.

    y_pred (N, H, W, 1) boundaries; y_true class ids (N, H, W), or a floating-point map of boundaries (N, H, W, 1). A
    pixel of weight 0 is empty in both, an empty batch gives 0; pictures alone. Parameters, call and errors:
    ``segparity show InverseFormLoss``. Source: Borse et al., arXiv 2104.02745.
    """

    spec_class = LOSSES['InverseFormLoss']

    def __init__(
        self,
        *,
        activation: str = 'sigmoid',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        tiles: Sequence[int] = (3, 6),
        tile_size: int = 32,
        weights: str | Path | Mapping[str, Any] | None = None,
        distance: str = 'euclidean',
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def batch_of_call(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None) -> Batch:
        """The batch of a map of boundaries; class ids become one."""
        spec, owner = self.spec, type(self.spec).__name__
        y_true, shape = values.to_tensor(y_true), tuple(y_pred.shape)
        shapes.check_pred(owner, shape, 'last', spec.spatial_axes)
        spec.check_maps(shape[-1], values.is_float(y_true))
        if not values.is_float(y_true):
            shapes.label_kind(owner, shape, tuple(y_true.shape), 'last')
            y_true, sample_weight = edges_of_ids(spec, shape, y_true, sample_weight)
            spec = spec.without_ignored()
        return prepare(spec, y_true, y_pred, sample_weight, self.dtype)

    def compute(self, batch: Batch) -> Tensor:
        spec, k = self.spec, batch.channels
        rows, columns = spec.size_of(batch.space)
        height, width = batch.sizes
        p, y = keep_pixels(batch.counted_pixels, self.edges(batch)), batch.target
        maps = ops.concatenate([p, y, batch.weight[..., None]], axis=-1)
        maps = ops.reshape(maps, (ops.shape(maps)[0], height, width, 2 * k + 1))
        down, across = (lines_between(*pair, batch.dtype) for pair in ((height, rows), (width, columns)))
        maps = ops.einsum('ih,nhwk->niwk', down, maps)
        tiles = self.cut(ops.einsum('jw,niwk->nijk', across, maps))
        weight = ops.sum(tiles[:, -1:], axis=-1) / spec.tile_size**2
        length = self.length(self.transform(ops.concatenate([tiles[:, :k], tiles[:, k : 2 * k]], axis=-1)))
        wide = accumulator_dtype(length)
        weight, length = ops.cast(weight, wide), ops.cast(length, wide)
        parts = {'loss': ops.sum(weight * length), 'mass': k * ops.sum(weight)}
        parts = sum_over_replicas(parts, spec.sync)
        return ops.cast(spec.loss_weight * ratio(parts['loss'], parts['mass'], 0.0), batch.dtype)

    def edges(self, batch: Batch) -> Tensor:
        """(N, P, K) the predicted boundaries."""
        if self.spec.activation == 'sigmoid':
            return batch.prob
        if not batch.logits:
            return ops.log(at_least(batch.pred, FLOOR))
        return -ops.softplus(-batch.pred) if batch.channels == 1 else ops.log_softmax(batch.pred, axis=-1)

    def cut(self, x: Tensor) -> Tensor:
        """(N, K, rows, columns, tile_size^2) tiles of maps (N, H, W, K)."""
        (rows, columns), s = self.spec.tiles, self.spec.tile_size
        n, k = ops.shape(x)[0], x.shape[-1]
        x = ops.transpose(ops.reshape(x, (n, rows, s, columns, s, k)), (0, 5, 1, 3, 2, 4))
        return ops.reshape(x, (n, k, rows, columns, s * s))

    def transform(self, x: Tensor) -> Tensor:
        """(..., 4) what the network sees in pairs of tiles (..., 2 * tile_size^2)."""
        for place, layer in enumerate(self.spec.network.layers):
            x = at_least(x, 0.0) if place else x  # whose gradient keeps NaN, that of relu on JAX does not
            weight, bias = (ops.convert_to_tensor(array, dtype=x.dtype) for array in layer)
            x = x @ ops.transpose(weight) + bias  # ops.matmul rounds float64 on PyTorch
        return x

    def length(self, out: Tensor) -> Tensor:
        """How far each transform (..., 4) is from none; its gradient is 0 where it is none."""
        if self.spec.distance == 'geodesic':
            out = logarithm(out)
        square = ops.sum(out * out, axis=-1)
        none = square == 0
        root = ops.sqrt(ops.where(none, ops.ones_like(square), square))
        return ops.where(none, ops.zeros_like(square), root)


def edges_of_ids(
    spec: Any, shape: tuple[int | None, ...], y_true: Tensor, sample_weight: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """(N, H, W, 1) the boundaries of class ids and (N, H, W) the weight of each pixel; shape: that of the prediction."""
    owner = type(spec).__name__
    ids = values.as_numbers(y_true)
    ids = ids[..., 0] if len(ids.shape) == len(shape) else ids
    valid = ops.ones_like(ids, dtype='bool')
    for i in shapes.check_ignore(owner, spec.ignore_index, None, shape[-1] or 1):  # known by now
        valid = ops.logical_and(valid, ops.logical_not(values.equals(ids, i)))
    weight = None
    if sample_weight is not None:
        weight = values.to_tensor(sample_weight)
        weight = weight if values.is_float(weight) else ops.cast(weight, 'float32')
        kind = shapes.weight_kind(owner, shape, tuple(weight.shape), 'last')
        weight = weight[..., 0] if kind == 'pixel1' else weight[:, None, None] if kind == 'image' else weight
        weight = ops.where(valid, weight, ops.zeros_like(weight))
        counts = weight != 0
    elif spec.ignore_index is not None:
        weight, counts = ops.cast(valid, 'float32'), valid
    else:
        counts = valid
    wrong = ops.logical_and(ids < 0, counts)
    check = functools.partial(check_ids, owner, num_classes=MANY, ignore='ignore_class')
    wrong = values.look(check, wrong, ids, counts)
    if wrong is not None:
        weight = ops.ones_like(ids, dtype='float32') if weight is None else weight
        weight = values.nan_where(weight, wrong)
    found = class_edges(ops.where(counts, ids, -1 * ops.ones_like(ids)), ACROSS)
    return ops.cast(found, 'float32')[..., None], weight


def lines_between(length: Any, size: int, dtype: str) -> Tensor:
    """(size, length) what each of ``size`` lines takes of each of ``length``: bilinear, corners not aligned."""
    if isinstance(length, int):
        return ops.convert_to_tensor(interpolation(length, size), dtype=dtype)
    length = ops.cast(length, dtype)
    place = (ops.cast(ops.arange(size), dtype) + 0.5) * length / size - 0.5
    place = ops.clip(place, 0, length - 1)
    return ops.relu(1 - ops.abs(place[:, None] - ops.arange(length, dtype=dtype)))


def logarithm(out: Tensor) -> Tensor:
    """(..., 4) log c and t log c / (c - 1) of transforms (..., 4): real and imaginary part of c - 1 and of t."""
    a, b, x, y = (out[..., k] for k in range(4))
    square = a * a + b * b
    real = ops.log1p(at_least(2 * a + square, LEAST)) / 2
    imaginary = angle(1 + a, b, ops.sqrt(at_least(1 + 2 * a + square, LEAST + 1)))
    near = square < SMALL**2
    safe = ops.where(near, ops.ones_like(square), square)
    f, g = series_of(a, b)
    f = ops.where(near, f, (real * a + imaginary * b) / safe)
    g = ops.where(near, g, (imaginary * a - real * b) / safe)
    return ops.stack([real, imaginary, f * x - g * y, f * y + g * x], axis=-1)


def angle(x: Tensor, y: Tensor, size: Tensor) -> Tensor:
    """That of x + iy of a size; by halves of it and a series, for Keras' own functions of angles round float64."""
    x, y = x / size, y / size
    for _ in range(HALVES):
        x = at_least(ops.sqrt(at_least((1 + x) / 2, 0.0)), TINY)
        y = y / (2 * x)
    square = (y / x) * (y / x)
    total = ops.ones_like(x) / 17
    for k in range(15, 0, -2):  # the series of the arc tangent, by Horner's rule
        total = 1 / k - square * total
    return 2**HALVES * (y / x) * total


def series_of(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of log(1 + d) / d of a small d = a + ib."""
    real, imaginary = -ops.ones_like(a) / 6, ops.zeros_like(b)
    for k in (5, 4, 3, 2, 1):  # Horner's rule
        real, imaginary = real * a - imaginary * b, real * b + imaginary * a
        real = real + (-1) ** (k - 1) / k
    return real, imaginary
