"""Boundary-aware loss: a branch of the network predicts how far each object pixel is from its object's boundary, in bins."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import backend, ops

from keras_plugin import values
from keras_plugin.distance_bins import bins_of
from keras_plugin.inputs import Batch, prepare
from keras_plugin.losses.base import PixelLoss
from keras_plugin.losses.boundary.maps import in_space
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES, shapes
from shared_spec.distance_bins import check_bins, check_bins_dtype, check_bins_shape, check_label_shape

IGNORED, LEAST = -(2**21), -(2**20)  # of labels whose numbers become those of channels


class Target(NamedTuple):
    """Labels with bins of distances beside them."""

    labels: Tensor
    distance_bins: Tensor


@keras.saving.register_keras_serializable(package='segparity')
class BoundaryAwareLoss(PixelLoss):
    """Binary cross-entropy of a distance branch (N, *space, M * num_bins) and the bins of the distances of M object classes.

    ``distance_bins`` (N, *space, M) integers at the call are the bins, of one class (N, *space) too; else the loss makes
    them from the labels, class ids of the segmentation. An ignored pixel counts nowhere, an empty batch gives 0.
    Parameters, call and errors: ``segparity show BoundaryAwareLoss``. Source: Hayder 2017, arXiv 1612.03129.
    """

    spec_class = LOSSES['BoundaryAwareLoss']

    def __init__(
        self,
        *,
        loss_weight: float = 1.0,
        num_bins: int = 5,
        max_distance: int = 14,
        classes: Sequence[int] | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def loss_of_call(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, absent: bool, **extras: Any
    ) -> Tensor:
        given = extras.get('distance_bins')
        target = y_true if given is None else Target(y_true, given)
        return super().loss_of_call(target, y_pred, sample_weight, absent)

    def batch_of_call(self, y_true: Any, y_pred: Tensor, sample_weight: Tensor | None) -> Batch:
        """The batch of maps (N, P, C) with 1 at each pixel's bins; weights are 0 where the labels are ignored."""
        y_true, given = y_true if isinstance(y_true, Target) else (y_true, None)
        name, spec, pred = type(self).__name__, self.spec, values.to_tensor(y_pred)
        shapes.check_pred(name, tuple(pred.shape), 'last', spec.spatial_axes)
        n, c, space = shapes.split(tuple(pred.shape), 'last')
        objects, labels = spec.objects(c), values.to_tensor(y_true)
        shapes.check_ignore(name, spec.ignore_index, None, spec.num_labels(c, some=True))
        check_label_shape(name, tuple(labels.shape), n, space, 'last')
        if spec.classes is not None:
            spec, labels = dataclasses.replace(spec, ignore_index=IGNORED), self.numbered(labels)
        stand_in = ops.stop_gradient(ops.zeros_like(pred[..., :1]))
        stand_in = ops.concatenate([stand_in] * (len(objects) + 1), axis=-1)
        mask = getattr(y_pred, '_keras_mask', None)
        batch = prepare(spec, labels, stand_in, sample_weight, self.dtype, mask)
        inside, valid = in_space(batch, batch.target > 0.5)[..., 1:], in_space(batch, batch.counted_pixels)
        weight, sizes = batch.labels_weight, ops.shape(pred)[:-1]
        if given is None:
            bins = bins_of(inside, valid, spec, batch.dtype)
        else:
            bins, wrong = self.bins_given(given, inside, valid, n, space)
            if wrong is not None:
                wrong = ops.any(ops.reshape(wrong, (*ops.shape(weight), len(objects))), axis=-1)
            weight = values.nan_where(weight, wrong)
        places = ops.arange(spec.num_bins, dtype='int32')
        maps = ops.reshape(ops.cast(bins[..., None] == places, 'int32'), (*sizes, c))
        return prepare(self.spec, maps, y_pred, ops.reshape(weight, sizes), self.dtype)

    def numbered(self, labels: Tensor) -> Tensor:
        """Labels of ``classes`` as 1, 2, ..., others 0, those that are ignored ``IGNORED``, and what is no label as it is."""
        labels = values.as_numbers(labels)
        wrong = labels < 0
        if values.is_float(labels):
            wrong = ops.logical_or(wrong, labels != ops.floor(labels))
        one = ops.ones_like(labels)
        found = ops.where(wrong, ops.where(labels < LEAST, LEAST * one, labels), 0 * one)
        for k, own in enumerate(self.spec.classes, start=1):
            found = ops.where(values.equals(labels, own), k * one, found)
        if self.spec.ignore_index is None:
            return found
        return ops.where(values.equals(labels, self.spec.ignore_index), IGNORED * one, found)

    def bins_given(
        self, given: Tensor, inside: Tensor, valid: Tensor, n: int | None, space: tuple[int | None, ...]
    ) -> tuple[Tensor, Tensor | None]:
        """(N, *space, M) bins as they came, 0 where a pixel does not count, and where they are none, or None."""
        name, spec, given = type(self).__name__, self.spec, values.to_tensor(given)
        dtype = backend.standardize_dtype(given.dtype)
        check_bins_dtype(name, backend.is_int_dtype(dtype), dtype)
        check_bins_shape(name, tuple(given.shape), n, inside.shape[-1], space, 'last')
        bins = ops.cast(ops.reshape(given, ops.shape(inside)), 'int32')
        bins = ops.where(valid, bins, ops.zeros_like(bins))
        outside = ops.logical_and(bins != 0, ops.logical_not(inside))
        wrong = ops.logical_or(outside, ops.logical_or(bins < 0, bins >= spec.num_bins))
        check = functools.partial(check_bins, name, num_bins=spec.num_bins)
        return bins, values.look(check, wrong, bins, inside)

    def compute(self, batch: Batch) -> Tensor:
        return self.reduce(batch, pixel_losses(batch))


def pixel_losses(batch: Batch) -> Tensor:
    """(N, P) the mean over channels of the binary cross-entropy of each pixel."""
    log_p, log_not_p = batch.log_prob
    loss = batch.times_log(batch.target, log_p) + batch.times_log(1 - batch.target, log_not_p)
    return -ops.sum(loss, axis=-1) / batch.channels
