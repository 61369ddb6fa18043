"""Losses that multiply with a map of distances: given with the labels, or made from them."""

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from keras import backend, ops

from keras_plugin import values
from keras_plugin.arithmetic import ratio
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.inputs import Batch, keep_pixels
from keras_plugin.losses.base import Loss
from keras_plugin.typing import Tensor
from shared_spec import shapes
from shared_spec.distance import check_map, check_spacing
from shared_spec.distance_packing import MARK
from shared_spec.parameters import SpecError


class Target(NamedTuple):
    """Labels with a map of distances beside them."""

    labels: Tensor
    distance_map: Tensor


class Mapped(Loss):
    """A loss that takes ``distance_map`` at the call, (N, *space, K), or packed with the labels: ``DistanceMaps``.

    ``make_map(inside, valid, dtype)`` gives the map where there is none.
    """

    def __call__(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        sample_weight: Tensor | None = None,
        distance_map: Tensor | None = None,
    ) -> Tensor:
        """The loss, a scalar in float32 or wider: as other losses; distance_map (N, *space, K) floating point."""
        target = y_true if distance_map is None else Target(y_true, distance_map)
        return self.loss_of_call(target, y_pred, sample_weight, absent=self.spec.loss_weight == 0)

    def make_map(self, inside: Tensor, valid: Tensor, dtype: str) -> Tensor:
        """(N, *space, K); inside (N, *space, C) and valid (N, *space, 1) bool: where each class is, and what counts."""
        raise NotImplementedError(type(self).__name__)

    def batch_of_call(self, y_true: Any, y_pred: Tensor, sample_weight: Tensor | None) -> Batch:
        """The batch, with the map (N, P, K) as its ``distance_map``."""
        target = y_true if isinstance(y_true, Target) else unpacked(self, y_true, y_pred)
        labels, given = target if isinstance(target, Target) else (target, None)
        batch = copy.copy(super().batch_of_call(labels, y_pred, sample_weight))
        batch.distance_map = ops.stop_gradient(self.map_of(batch, given))
        return batch

    def map_of(self, batch: Batch, given: Tensor | None) -> Tensor:
        """(N, P, K) the map given, or made; 0 where a pixel is absent."""
        name, k = type(self.spec).__name__, self.spec.map_channels(batch.channels)
        check_spacing(name, self.spec.spacing, len(batch.space))
        if given is not None:
            given = values.to_tensor(given)
            if not values.is_float(given):
                raise TypeError(
                    f'{name}: distance_map must be floating point, got {backend.standardize_dtype(given.dtype)}'
                )
            check_map(name, tuple(given.shape), None, k, batch.space, layout='last')
            found = ops.cast(given, batch.dtype)
            if not self.spec.has_signed_map:
                found = ops.where(found < 0, np.nan * ops.ones_like(found), found)
        else:
            valid = in_space(batch, batch.counted_pixels)
            inside = in_space(batch, ops.stop_gradient(batch.target) > 0.5)
            found = self.make_map(inside, valid, batch.dtype)
        flat = ops.reshape(found, (*ops.shape(batch.counted_pixels), k))
        return keep_pixels(batch.counted_pixels, flat)


def in_space(batch: Batch, x: Tensor) -> Tensor:
    """(N, *space, C) of x (N, P, C), or with C = 1 of x (N, P)."""
    channels = x.shape[2] if len(x.shape) == 3 else 1
    return ops.reshape(x, (ops.shape(x)[0], *batch.sizes, channels))


class MappedMean(Mapped):
    """A mean over the pixels of the classes that count, of p * map for most."""

    def compute(self, batch: Batch) -> Tensor:
        spec = self.spec
        cells = self.counted_cells(batch)
        mass = batch.sum(ops.ones_like(batch.distance_map[..., :1]))
        total = batch.sum(self.cost(batch))
        parts = dict(
            loss=ops.sum(total * ops.cast(cells, total.dtype)), share=ops.sum(mass * ops.cast(cells, mass.dtype))
        )
        parts = sum_over_replicas(parts, spec.sync)
        return ops.cast(spec.loss_weight * ratio(parts['loss'], parts['share'], 0.0), batch.dtype)

    def cost(self, batch: Batch) -> Tensor:
        """(N, P, C) what is averaged."""
        return batch.prob * batch.distance_map

    def counted_cells(self, batch: Batch) -> Tensor:
        """(N, C) 1 where a class of an image counts."""
        chosen = shapes.channel_indices(type(self.spec).__name__, self.spec.classes, batch.channels)
        if self.spec.classes in ('auto', 'present'):
            return batch.present(0.5)
        cells = np.array([[k in chosen for k in range(batch.channels)]], np.float32)
        return ops.broadcast_to(cells, (ops.shape(batch.given)[0], batch.channels))


def takes_map(loss: Any) -> bool:
    """Whether a loss, or a part of a sum, is ``Mapped``."""
    return isinstance(loss, Mapped) or any(takes_map(part) for part in getattr(loss, 'parts', ()))


def mapped_parts(losses: Iterable[Any]) -> list[Mapped]:
    """The ``Mapped`` losses among losses and the parts of sums."""
    found = []
    for loss in losses:
        found += [loss] if isinstance(loss, Mapped) else mapped_parts(getattr(loss, 'parts', ()))
    return found


def unpacked(loss: Mapped, y_true: Any, y_pred: Tensor) -> Any:
    """``Target`` of packed labels, y_true as it is where it is none: floats (N, *space, 2 + K), of which the first is MARK."""
    shape, channels = tuple(y_true.shape), y_pred.shape[-1]
    is_float = backend.is_float_dtype(backend.standardize_dtype(y_true.dtype))
    if not is_float or len(shape) != len(y_pred.shape) or channels is None:
        return y_true
    if shape[-1] != 2 + loss.spec.map_channels(channels):
        return y_true
    packed = values.to_tensor(y_true)
    marks, labels, maps = packed[..., 0], packed[..., 1], packed[..., 2:]
    if values.can_look(packed) and not bool(ops.all(marks == MARK)):
        return y_true  # one-hot labels, say, which are refused in a sentence
    wrong = -1 if loss.spec.ignore_index != -1 else -2  # which is no label
    whole = ops.logical_and(labels == ops.floor(labels), ops.abs(labels) < 2**24)
    labels = ops.cast(ops.where(whole, labels, wrong * ops.ones_like(labels)), 'int32')
    one = ops.ones_like(maps)
    return Target(labels, maps * ops.where((marks == MARK)[..., None], one, np.nan * one))


def labels_of(losses: Iterable[Any], y_true: Any, y_pred: Tensor) -> Any:
    """What losses of a sum that take no map get of packed labels. SpecError where others take different maps."""
    for loss in mapped_parts(losses):
        target = unpacked(loss, y_true, y_pred)
        if isinstance(target, Target):
            fields = {other.spec.map_field for other in mapped_parts(losses)}
            if len(fields) > 1:
                raise SpecError(
                    f'take different maps of distances ({", ".join(sorted(fields))}), and the labels have one: leave it '
                    'out, then each makes its own',
                    owner='WeightedSumLoss',
                    parameter='losses',
                )
            return target.labels
    return y_true
