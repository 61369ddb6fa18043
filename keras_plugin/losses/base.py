"""What every Keras loss shares: parameters checked by the spec, labels and weights as the catalogue says, saving."""

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_plugin.arithmetic import ratio
from keras_plugin.distributed import scale_for_replicas, sum_over_replicas
from keras_plugin.granularity import reduce_cells
from keras_plugin.inputs import Batch, prepare
from keras_plugin.typing import Tensor
from shared_spec.extras import check_needs
from shared_spec.granularity import only_level, things_of
from shared_spec.parameters import NamedParameters, SpecError
from shared_spec.spec import LossSpec

MEANS = ('sum_over_batch_size', 'mean')


class Loss(keras.losses.Loss, metaclass=NamedParameters):
    """A loss for ``model.compile(loss=...)``; channels last.

    Subclasses name their ``spec_class``, list the spec's parameters in an explicit keyword signature and hand
    ``locals()`` to ``super().__init__``; they implement ``compute(batch)``.
    """

    spec_class: type[LossSpec] = None  # type: ignore[assignment]  # each subclass has its own
    spec: Any  # of that class; None of a sum with a loss from elsewhere
    host_extras: tuple[str, ...] = ()  # what a call takes by name besides the spec's extras

    def __init__(self, arguments: dict[str, Any]) -> None:
        arguments = {k: v for k, v in arguments.items() if k not in ('self', '__class__')}
        name, reduction, dtype = (arguments.pop(k) for k in ('name', 'reduction', 'dtype'))
        reduction = 'none' if reduction is None else reduction
        allowed = MEANS + tuple(other for other in self.spec_class.reductions if other != 'mean')
        if reduction not in allowed:
            raise SpecError(
                owner=type(self).__name__, parameter='reduction', given=reduction, allowed=f'one of {allowed}'
            )
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.spec = self.spec_class.from_keras(arguments)
        if reduction == 'none' and hasattr(self.spec, 'granularity'):
            only_level(type(self).__name__, self.spec.granularity)

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None, **extras: Any) -> Tensor:
        """The loss, a scalar in float32 or wider.

        y_pred (N, *space, C); y_true (N, *space) or (N, *space, 1) class ids, or (N, *space, C) one-hot or soft labels;
        sample_weight per image (N,) or per pixel (N, *space), acting on the pixels. ValueError for shapes, TypeError
        for dtypes. Labels are never cast to the loss's dtype, which would round class ids in half precision. extras: those
        of the spec by their names.
        """
        taken = *self.spec.extras_taken, *self.host_extras
        refuse_arguments(self, [name for name in extras if name not in taken])
        extras = {**handed_over(taken), **extras}
        return self.loss_of_call(y_true, y_pred, sample_weight, absent=self.spec.loss_weight == 0, **extras)

    def loss_of_call(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, absent: bool, **extras: Any
    ) -> Tensor:
        """The loss of a call; ``absent``: its factor is 0, so that it is 0 where it may be infinite."""
        check_needs(type(self).__name__, self.spec.needs, extras, 'last')
        with keras.name_scope(self.name):
            batch = self.batch_of_call(y_true, y_pred, sample_weight)
            loss = self.compute(batch, **extras)
            if absent:
                loss = self.absent_loss(batch, loss)
            if self.reduction != 'none':
                loss = loss * ops.where(
                    ops.isnan(loss), np.nan * ops.ones_like(loss), ops.ones_like(loss)
                )  # in every gradient too
            return scale_for_replicas(loss, self.reduction, self.spec.sync)

    def absent_loss(self, batch: Batch, loss: Tensor) -> Tensor:
        """Zeros of the loss's shape, NaN where a prediction that counts is no number; with a gradient for what it needs."""
        if len(loss.shape) > 1 or (len(loss.shape) and 'sum' in self.spec_class.reductions):  # of pixels
            return ops.reshape(batch.zero_loss, ops.shape(loss))
        zero = ops.broadcast_to(ops.sum(batch.zero_loss), ops.shape(loss))
        return zero + ops.where(ops.isfinite(loss), 0 * loss, ops.zeros_like(loss)) if self.spec_class.needs else zero

    def batch_of_call(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None) -> Batch:
        """The ``Batch`` of a call, for ``compute``."""
        return prepare(self.spec, y_true, y_pred, sample_weight, self.dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss without weights, reduced as ``reduction`` says, which Keras' own losses leave to ``__call__``."""
        return self(y_true, y_pred)

    def compute(self, batch: Batch) -> Tensor:
        """The loss of a ``Batch`` times ``loss_weight``: a scalar, under ``sync`` of all replicas, or a map.

        The spec's ``extras`` come by their names.
        """
        raise NotImplementedError(type(self).__name__)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, those of the spec as the spec has them; of a dtype policy its compute dtype."""
        return {**self.spec.keras_arguments(), 'name': self.name, 'reduction': self.reduction, 'dtype': self.dtype}


_STEP = threading.local()  # for replicas take turns in the middle of a loss


@contextlib.contextmanager
def handing_over(extras: Mapping[str, Any]) -> Iterator[None]:
    """In which every loss takes from ``extras`` what its call does not give it."""
    before = getattr(_STEP, 'extras', {})
    _STEP.extras = extras
    try:
        yield
    finally:
        _STEP.extras = before


def handed_over(names: Iterable[str]) -> dict[str, Any]:
    """What a model has for the losses of its step, of what ``names`` says."""
    extras = getattr(_STEP, 'extras', {})
    return {name: extras[name] for name in names if name in extras}


def refuse_arguments(loss: Loss, unexpected: Iterable[str], why: str = '') -> None:
    """TypeError for what a call is given by a name that it does not know."""
    for name in unexpected:
        raise TypeError(f'{type(loss).__name__}: unexpected argument {name!r}{why}')


class RegionLoss(Loss):
    """A loss of sums over (image, class) cells: ``statistics(batch)`` gives ``CellSums``, ``cell_loss`` losses of them."""

    def compute(self, batch: Batch) -> Tensor:
        loss = reduce_cells(self.spec, batch, self.statistics(batch), self.cell_loss, self.reduction)
        return ops.cast(self.spec.loss_weight * self.after_mean(loss), batch.dtype)

    def absent_loss(self, batch: Batch, loss: Tensor) -> Tensor:
        if len(loss.shape) and things_of(self.spec, 1) == 'images':
            return ops.sum(ops.reshape(batch.zero_loss, (ops.shape(loss)[0], -1)), axis=1)
        return super().absent_loss(batch, loss)

    def after_mean(self, mean: Tensor) -> Tensor:
        """What happens to the mean over cells; nothing, for most."""
        return mean


class PixelLoss(Loss):
    """A loss that is a weighted mean over pixels; ``reduction`` may also be 'sum' or 'none' (map of (N, *space))."""

    def reduce(self, batch: Batch, loss: Tensor, share: Tensor | None = None) -> Tensor:
        """loss_weight * the mean of ``loss`` (N, P) over the pixels that count, their sum, or (N, *space).

        share (N, P): which part of each pixel is in; one of which nothing is may have any loss but NaN.
        """
        if share is None:
            share = ops.ones_like(loss)
        else:
            left_out = ops.logical_and(share == 0, ops.logical_not(ops.isnan(loss)))
            loss = ops.where(left_out, ops.zeros_like(loss), share * loss)
        if self.reduction == 'none':
            return self.pixel_map(batch, loss)
        sums = batch.sum(ops.stack([loss, share], axis=-1))
        parts = sum_over_replicas({'sums': ops.sum(sums, axis=0)}, self.spec.sync)
        total, mass = parts['sums'][0], parts['sums'][1]
        if self.reduction != 'sum':
            total = ratio(total, mass, 0.0)
        return ops.cast(self.spec.loss_weight * total, batch.dtype)

    def pixel_map(self, batch: Batch, loss: Tensor) -> Tensor:
        """(N, *space) ``loss`` (N, P), weighted."""
        loss = ops.where(batch.counted_pixels, self.spec.loss_weight * batch.weight * loss, ops.zeros_like(loss))
        return ops.reshape(loss, (-1, *batch.space)) if None not in batch.space else loss
