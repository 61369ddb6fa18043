"""A weighted sum of losses on the same prediction: Keras' counterpart of MMSegmentation's list in loss_decode."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

import keras_plugin.losses
from keras_plugin.losses.base import Loss, refuse_arguments
from keras_plugin.losses.boundary.maps import Target, labels_of, takes_map
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES, SpecError
from shared_spec.extras import EXTRAS
from shared_spec.granularity import check_agreement
from shared_spec.registry import unknown_name

NOBODY = ', for no part takes it'


@keras.saving.register_keras_serializable(package='segparity')
class WeightedSumLoss(Loss):
    """sum_i weights_i * loss_i; without losses 0.25 * WeightedCrossEntropyLoss + 0.75 * JaccardMetricLoss.

    ``losses``, the one argument that needs no name, are losses of this package, their configurations
    ``{'type': name, ...}``, or any other Keras loss.
    (A list in ``compile(loss=[...])`` trains a one-output model on the first entry alone.) Parameters, call and
    errors: ``segparity show WeightedSumLoss``.
    """

    spec_class = LOSSES['WeightedSumLoss']

    def __init__(
        self,
        losses: Sequence[keras.losses.Loss | dict[str, Any]] | None = None,
        *,
        weights: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        if losses is None:
            parts: Any = [dict(type='WeightedCrossEntropyLoss'), dict(type='JaccardMetricLoss')]
            weights = [0.25, 0.75] if weights is None else weights
        else:
            parts = losses
        if not isinstance(parts, (list, tuple)):
            raise refusal(parts, 'a list of losses')
        self.parts = [as_loss(part) for part in parts]
        specs = [part.spec if isinstance(part, Loss) else None for part in self.parts]
        own = None not in specs
        # losses from elsewhere, and sums with one, have no spec: the recipe's stand in for them while the other parameters are checked
        losses = specs if own else [LOSSES['WeightedCrossEntropyLoss'](from_logits=False)] * len(specs)
        super().__init__(
            dict(
                loss_weight=loss_weight, losses=losses, weights=weights, name=name, reduction=reduction, dtype=dtype
            )
        )  # fmt: skip
        self.shares = self.spec.shares
        if not own:
            self.spec = None
        self.loss_weight = float(loss_weight)

    def __call__(
        self,
        y_true: Tensor,
        y_pred: Tensor,
        sample_weight: Tensor | None = None,
        distance_map: Tensor | None = None,
        **extras: Any,
    ) -> Tensor:
        """The weighted sum; every part receives the labels and the weights as they are.

        A map of distances, packed with the labels or given as ``distance_map``, goes to the parts that take one, and so
        do the other extras.
        """
        taken = extras_of(self)
        for name in extras:
            refuse_arguments(self, {name} - taken, NOBODY if name in EXTRAS else '')
        if distance_map is not None:
            if not takes_map(self):
                refuse_arguments(self, ['distance_map'], NOBODY)
            y_true = Target(y_true, distance_map)
        return self.loss_of_call(y_true, y_pred, sample_weight, absent=self.loss_weight == 0, **extras)

    def loss_of_call(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, absent: bool, **extras: Any
    ) -> Tensor:
        with keras.name_scope(self.name):
            found, labels = [], labels_of(self.parts, y_true, y_pred)
            for share, part in zip(self.shares, self.parts):
                call = y_true if takes_map(part) else labels, y_pred, sample_weight
                taken = extras_of(part)
                given = {name: x for name, x in extras.items() if name in taken}
                found.append(
                    share * part(*call, **given) if share > 0 and not absent else absent_part(part, *call, **given)
                )
            check_agreement([(getattr(part, 'spec', None), tuple(loss.shape)) for part, loss in zip(self.parts, found)])
            return self.loss_weight * sum(found)

    def get_config(self) -> dict[str, Any]:
        losses = [
            {'type': type(part).__name__, **part.get_config()}
            if isinstance(part, Loss)
            else keras.losses.serialize(part)
            for part in self.parts
        ]
        return dict(
            loss_weight=self.loss_weight, losses=losses, weights=list(self.shares), name=self.name,
            reduction=self.reduction, dtype=self.dtype,
        )  # fmt: skip


def extras_of(part: keras.losses.Loss) -> set[str]:
    """The extras that a loss, or a part of a sum, takes at the call; a map of distances goes with the labels."""
    if isinstance(part, WeightedSumLoss):
        return {name for own in part.parts for name in extras_of(own)}
    return {*part.spec.extras_taken, *part.host_extras} - {'distance_map'} if isinstance(part, Loss) else set()


def absent_part(
    part: keras.losses.Loss, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, **extras: Any
) -> Tensor:
    """What a part of weight 0 adds: 0, or NaN if the loss is; one from elsewhere then has no gradient."""
    if isinstance(part, Loss):
        return part.loss_of_call(y_true, y_pred, sample_weight, absent=True, **extras)
    value = ops.stop_gradient(part(y_true, y_pred, sample_weight))
    return ops.where(ops.isnan(value), value, ops.zeros_like(value))


def as_loss(part: object) -> keras.losses.Loss:
    """A Keras loss from a loss, a configuration with 'type', or what ``keras.losses.serialize`` wrote."""
    if isinstance(part, keras.losses.Loss):
        return part
    if isinstance(part, dict) and 'type' in part:
        config = dict(part)
        kind = config.pop('type')
        if kind not in LOSSES:
            raise unknown_name('loss', kind, list(LOSSES), owner='WeightedSumLoss')
        return getattr(keras_plugin.losses, kind)(**config)
    if isinstance(part, dict) and 'class_name' in part:
        return keras.losses.deserialize(part)
    raise refusal(part, 'a list of losses or of their configurations')


def refusal(given: object, allowed: str) -> SpecError:
    return SpecError(owner='WeightedSumLoss', parameter='losses', given=given, allowed=allowed)
