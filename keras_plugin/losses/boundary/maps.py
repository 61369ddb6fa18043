"""Losses that multiply with a map of distances: given with the labels, or made from them."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import backend, ops

from keras_plugin import values
from keras_plugin.arithmetic import ratio
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.inputs import Batch, keep_pixels
from keras_plugin.losses.base import Loss, refuse_arguments
from keras_plugin.typing import Tensor
from shared_spec import shapes
from shared_spec.distance import check_map, check_spacing
from shared_spec.distance_packing import LEAST_MARK, MARK, mark_of
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
        **unexpected: Any,
    ) -> Tensor:
        """The loss, a scalar in float32 or wider: as other losses; distance_map (N, *space, K) floating point."""
        refuse_arguments(self, unexpected)
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
            check_map(name, tuple(given.shape), batch.given.shape[0], k, batch.space, layout='last')
            given = ops.reshape(ops.cast(given, batch.dtype), (*ops.shape(batch.counted_pixels), k))
            return keep_pixels(batch.counted_pixels, nan_where_impossible(self.spec, given, batch))
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


def nan_where_impossible(spec: Any, maps: Tensor, batch: Batch) -> Tensor:
    """Maps (N, P, K) given, NaN at pixels where no distances of the batch's labels can be: as those of another loss are."""
    wrong = ops.sum(zero_between(maps, *spec.map_limits), axis=-1, keepdims=True)
    if spec.has_whole_map:
        wrong = wrong + ops.sum(zero_between(maps - ops.floor(maps), 0, 0), axis=-1, keepdims=True)
    if spec.own_limits is not None:
        if len(batch.labels.shape) == 2:
            own = ops.take_along_axis(maps, batch.own[..., None], axis=-1)
        else:
            own = ops.where(batch.target > 0.5, maps, ops.zeros_like(maps))
        own = ops.where(own == 0, own, zero_between(own, *spec.own_limits))
        wrong = wrong + ops.sum(own, axis=-1, keepdims=True)
    return maps if values.is_seen_finite(wrong) else maps + wrong


def zero_between(x: Tensor, low: float, high: float) -> Tensor:
    """0 where low <= x <= high, NaN elsewhere."""
    zero = ops.zeros_like(x)
    return ops.where(ops.logical_and(x >= low, x <= high), zero, zero + np.nan)


def takes_map(loss: Any) -> bool:
    """Whether a loss, or a part of a sum, takes a map of distances."""
    return bool(mapped_parts([loss]))


def mapped_parts(losses: Iterable[Any]) -> list[Mapped]:
    """The losses that take a map, among losses and the parts of sums."""
    found = []
    for loss in losses:
        own = [loss] if isinstance(loss, Mapped) else mapped_parts(getattr(loss, 'parts', ()))
        found += [part for part in own if not part.spec.no_map]
    return found


def is_packed(loss: Mapped, y_true: Any, y_pred: Tensor) -> bool:
    """Whether y_true are labels packed for a loss: floats (N, *space, 2 + K), of which the first are marks.

    Where values cannot be seen the shape says it. ValueError for labels packed with a map of another shape.
    """
    shape, channels = tuple(y_true.shape), y_pred.shape[-1]
    is_float = backend.is_float_dtype(backend.standardize_dtype(y_true.dtype))
    if not is_float or channels is None or not shape or (shape[-1] or 0) < 3:
        return False
    name, length = type(loss.spec).__name__, 2 + loss.spec.map_channels(channels)
    marks = values.to_tensor(y_true)[..., 0]
    seen = values.can_look(marks)
    if seen and not bool(ops.all(ops.logical_and(marks >= LEAST_MARK, marks <= MARK))):
        return False  # one-hot labels, say, which are refused in a sentence
    got = f'got {shapes.as_text(shape)} with pred {shapes.as_text(tuple(y_pred.shape))}'
    if len(shape) != len(y_pred.shape):
        if seen:
            raise ValueError(
                f'{name}: packed labels must have as many axes as pred, {got}; DistanceMaps packs the class ids of one '
                'image (*space), before they are batched'
            )
        return False
    if shape[-1] != length and (seen or shape[-1] != channels):
        packed = 'packed labels must' if seen else 'labels must be class ids, or where DistanceMaps packs them'
        raise ValueError(
            f'{name}: {packed} have {length} channels for the {channels} of pred, {got}; DistanceMaps takes this loss, '
            f'and num_classes={channels}'
        )
    return shape[-1] == length


def unpacked(loss: Mapped, y_true: Any, y_pred: Tensor) -> Any:
    """``Target`` of packed labels, y_true as it is where it is none. ValueError, or a map of NaN, where it is that of another loss."""
    if not is_packed(loss, y_true, y_pred):
        return y_true
    packed = values.to_tensor(y_true)
    marks, labels, maps = packed[..., 0], packed[..., 1], packed[..., 2:]
    axes = len(y_pred.shape) - 2
    known = ops.logical_or(marks == MARK, marks == as_stored(loss, axes, marks))
    if values.can_look(packed) and not bool(ops.all(known)):
        raise ValueError(other_map(loss, axes, marks))
    wrong = -1 if loss.spec.ignore_index != -1 else -2  # which is no label
    whole = ops.logical_and(labels == ops.floor(labels), ops.abs(labels) < 2**24)
    labels = ops.cast(ops.where(whole, labels, wrong * ops.ones_like(labels)), 'int32')
    one = ops.ones_like(maps)
    return Target(labels, maps * ops.where(known[..., None], one, np.nan * one))


def as_stored(loss: Mapped, axes: int, marks: Tensor) -> Tensor:
    """The mark of a loss's map in the precision of those given."""
    return ops.cast(
        ops.convert_to_tensor(mark_of(loss.spec, axes), dtype='float32'), backend.standardize_dtype(marks.dtype)
    )


def other_map(loss: Mapped, axes: int, marks: Tensor) -> str:
    """The sentence that refuses labels packed with another map."""
    name, spec = type(loss.spec).__name__, loss.spec
    if bool(ops.any(marks == as_stored(loss, axes + 1, marks))):
        return (
            f'{name}: labels are packed with distances across images; DistanceMaps packs one image of {axes} spatial axes '
            f'at a time, before they are batched (dimensions={axes} has it checked there)'
        )
    spacing = None if spec.spacing is None else list(spec.spacing)
    return (
        f'{name}: labels are packed with another map of distances than this loss takes ({spec.map_kind}, '
        f'spacing={spacing}, ignore_class={spec.ignore_index}, {axes} spatial axes): give DistanceMaps this loss'
    )


def labels_of(losses: Sequence[Any], y_true: Any, y_pred: Tensor) -> Any:
    """What losses of a sum that take no map get of labels with one, packed or not.

    TypeError where no loss takes the map, SpecError where losses take different ones.
    """
    takers = mapped_parts(losses)
    if isinstance(y_true, Target):
        check_one_map(takers, 'the call')
        return y_true.labels
    for loss in takers:
        if is_packed(loss, y_true, y_pred):
            check_one_map(takers, 'the labels')
            return unpacked(loss, y_true, y_pred).labels
    return y_true


def check_one_map(takers: Sequence[Mapped], source: str) -> None:
    """SpecError where parts of a sum take different maps of distances, of which there is one."""
    fields = {other.spec.map_field for other in takers}
    if len(fields) > 1:
        raise SpecError(
            f'take different maps of distances ({", ".join(sorted(fields))}), and {source} has one: leave it out, then '
            'each makes its own',
            owner='WeightedSumLoss',
            parameter='losses',
        )
