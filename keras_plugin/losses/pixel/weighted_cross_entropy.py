"""Cross-entropy with class weights of every kind, hard and soft labels, label smoothing."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_plugin import hard_pixels
from keras_plugin.arithmetic import ratio
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import PixelLoss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES, shapes


@keras.saving.register_keras_serializable(package='segparity')
class WeightedCrossEntropyLoss(PixelLoss):
    """Cross-entropy with class weights of every kind, hard or soft labels, label smoothing; softmax or sigmoid.

    A class weight list joins the denominator for hard labels, as in PyTorch, unless ``divisor`` says otherwise. An
    ignored pixel counts nowhere, an empty batch gives 0. Parameters, call and errors: ``segparity show WeightedCrossEntropyLoss``. Source: PyTorch.
    """

    spec_class = LOSSES['WeightedCrossEntropyLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        class_weight: str | Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        pos_weight: float | Sequence[float] | None = None,
        divisor: str = 'valid',
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def compute(self, batch: Batch) -> Tensor:
        spec = self.spec
        factors = spec.pos_weights(batch.channels, batch.softmax)
        if spec.label_smoothing == 0 and hard_pixels.takes(batch):
            return self.hard_loss(batch)
        y = batch.target
        log_p, log_not_p = batch.log_prob
        if y.shape[-1] == 1 and spec.takes_two_weights:  # the two-channel softmax form of one channel
            log_p, y = ops.concatenate([log_not_p, log_p], -1), ops.concatenate([1 - y, y], -1)
            log_not_p = None
        c, e = y.shape[-1], spec.label_smoothing
        softmax = log_not_p is None
        smoothed = (1 - e) * y + e / (c if softmax else 2)
        of_positive = smoothed if factors is None else ops.convert_to_tensor(factors, dtype=y.dtype) * smoothed
        positive = -batch.times_log(of_positive, log_p)
        negative = None if softmax else -batch.times_log(1 - smoothed, log_not_p)
        size, mass = batch.sum(y), batch.sum(ops.ones_like(y[..., :1]))
        if self.reduction == 'none':
            return self.unreduced_loss(batch, positive, negative, size, mass)

        parts = {'size': ops.sum(size, axis=0), 'mass': ops.sum(mass, axis=0), **self.pixels(batch, mass)}
        if spec.class_weight == 'balanced':
            w, _ = self.weights(size, mass, softmax, batch.hard)
            parts['loss'] = ops.sum(
                apply_class_weight(w, batch.sum(positive)) + apply_class_weight(1 - w, batch.sum(negative)), axis=0
            )
            w = ops.ones_like(parts['loss'])
        else:
            parts['loss'] = ops.sum(batch.sum(positive if softmax else positive + negative), axis=0)
        parts = sum_over_replicas(parts, spec.sync)
        size, mass = parts['size'], parts['mass']
        joins = False
        if spec.class_weight != 'balanced':
            w, joins = self.weights(size, mass, softmax, batch.hard)
        total = ops.sum(apply_class_weight(w, parts['loss'])) / (1 if softmax else c)
        if self.reduction != 'sum':
            total = ratio(total, parts.get('pixels', ops.sum(w * size) if joins else ops.sum(mass)), 0.0)
        return ops.cast(spec.loss_weight * total, batch.dtype)

    def hard_loss(self, batch: Batch) -> Tensor:
        """The loss of class ids under softmax, from one number for each pixel: ``hard_pixels``."""
        spec = self.spec
        loss = -ops.log_sigmoid(hard_pixels.own_margin(batch))
        sums = hard_pixels.sum_by_class(batch, ops.ones_like(loss), loss)
        parts = {name: ops.sum(x, axis=0) for name, x in zip(('size', 'loss'), sums)}
        parts |= self.pixels(batch, parts['size'])
        parts = sum_over_replicas(parts, spec.sync)
        mass = ops.sum(parts['size'], keepdims=True)
        w, joins = self.weights(parts['size'], mass, True, True)
        if self.reduction == 'none':
            return self.pixel_map(batch, apply_class_weight(ops.take(ops.cast(w, loss.dtype), batch.own), loss))
        total = ops.sum(apply_class_weight(w, parts['loss']))
        if self.reduction != 'sum':
            total = ratio(total, parts.get('pixels', ops.sum(w * parts['size'] if joins else mass)), 0.0)
        return ops.cast(spec.loss_weight * total, batch.dtype)

    def pixels(self, batch: Batch, like: Tensor) -> dict[str, Tensor]:
        """The number of all pixels, where that is what the mean divides by."""
        if self.spec.divisor != 'all':
            return {}
        n, p = (ops.cast(k, like.dtype) for k in ops.shape(batch.given)[:2])
        return {'pixels': n * p}

    def unreduced_loss(
        self, batch: Batch, positive: Tensor, negative: Tensor | None, size: Tensor, mass: Tensor
    ) -> Tensor:
        """(N, *space) the unreduced loss."""
        if self.spec.class_weight == 'balanced':
            w, _ = self.weights(size, mass, negative is None, batch.hard)
            w = w[:, None]
        else:
            parts = sum_over_replicas({'size': ops.sum(size, axis=0), 'mass': ops.sum(mass, axis=0)}, self.spec.sync)
            w, _ = self.weights(parts['size'], parts['mass'], negative is None, batch.hard)
        w = ops.cast(w, positive.dtype)
        if negative is None:
            loss = ops.sum(apply_class_weight(w, positive), axis=-1)
        else:
            w_negative = 1 - w if self.spec.class_weight == 'balanced' else w
            loss = (
                ops.sum(apply_class_weight(w, positive) + apply_class_weight(w_negative, negative), axis=-1)
                / positive.shape[-1]
            )
        return self.pixel_map(batch, loss)

    def weights(self, size: Tensor, mass: Tensor, softmax: bool, hard: bool) -> tuple[Tensor, bool]:
        """The weight of each class, (C,) or (N, C) for balanced, and whether the weights join the denominator."""
        spec, c = self.spec, size.shape[-1]
        name, joins = type(spec).__name__, hard and softmax and spec.divisor == 'valid'
        if spec.class_weight is None:
            return ops.ones_like(size), False
        if spec.class_weight == 'balanced':
            if softmax:
                raise ValueError(f"{name}: class_weight='balanced' is binary: it needs one channel or sigmoid channels")
            return ops.stop_gradient(ratio(mass - size, mass + ops.zeros_like(size), 0.0)), False
        if spec.class_weight == 'inverse_frequency':
            return ops.stop_gradient(ratio(mass + ops.zeros_like(size), c * size, 0.0)), joins
        shapes.check_class_weight(name, spec.class_weight, (c,))
        return ops.convert_to_tensor(spec.class_weight, dtype=size.dtype), joins


def apply_class_weight(w: Tensor, loss: Tensor) -> Tensor:
    """w * loss; 0 for a class of weight 0, whose logits may be -inf, and NaN where they are NaN."""
    nothing = ops.logical_and(w == 0, ops.logical_not(ops.isnan(loss)))
    return ops.where(nothing, ops.zeros_like(loss), w * loss)
