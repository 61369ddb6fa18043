"""A weighted sum of losses: what MMSegmentation writes as a list in loss_decode, as one loss for Keras."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.checks import Check, Each, Optional, Real
from shared_spec.declare import Example, LossSpec, SpecError, Weighted, loss_spec, param
from shared_spec.inputs import scale_part
from shared_spec.registry import LOSSES, METRICS, from_dict


class Losses(Check):
    """A list of loss specs, or of their configurations."""

    def describe(self) -> str:
        return "a list of losses, each a spec or a configuration such as {'type': 'JaccardMetricLoss'}"

    def schema(self) -> dict[str, Any]:
        return {'type': 'array', 'items': {'oneOf': [{'$ref': f'#/$defs/{name}'} for name in LOSSES]}, 'minItems': 1}

    def freeze(self, value: Any) -> tuple[LossSpec, ...]:
        if isinstance(value, (str, Mapping)) or not value:
            raise ValueError
        if any(isinstance(v, Mapping) and v.get('type') in METRICS for v in value):
            raise ValueError  # before what a metric lacks is said
        frozen: tuple[Any, ...] = tuple(v if isinstance(v, LossSpec) else from_dict(v) for v in value)
        if not all(isinstance(v, LossSpec) for v in frozen):
            raise ValueError
        return frozen

    def thaw(self, value: Iterable[LossSpec]) -> list[dict[str, Any]]:
        return [v.to_dict() for v in value]


def positional(field: dataclasses.Field[Any]) -> Any:
    """A parameter that may be given without its name."""
    return dataclasses.field(default=field.default, metadata=field.metadata, kw_only=False)


@loss_spec
class WeightedSumLoss(Weighted):
    """A weighted sum of losses on the same prediction."""

    family = 'compound'
    of_overlap = True  # in its recipe
    title = 'Weighted sum of losses'
    formula = 'sum_i weights_i * loss_i'
    source = "MMSegmentation's list in loss_decode; recipe 0.25 / 0.75: JDTLosses"
    remarks = (
        'Without losses: 0.25 * WeightedCrossEntropyLoss + 0.75 * JaccardMetricLoss, the recipe of the JDT papers.'
    )

    torch_line = (
        'loss = WeightedSumLoss(\n'
        '    losses=[\n'
        "        dict(type='WeightedCrossEntropyLoss', ignore_index=255),\n"
        "        dict(type='JaccardMetricLoss', ignore_index=255),\n"
        '    ],\n'
        '    weights=[0.25, 0.75],\n'
        ')'
    )
    mmseg_line = (
        '# a list in loss_decode adds up as well, and each part is logged\n'
        'weighted_sum = dict(\n'
        "    type='WeightedSumLoss',\n"
        '    losses=[\n'
        "        dict(type='WeightedCrossEntropyLoss', ignore_index=255),\n"
        "        dict(type='JaccardMetricLoss', ignore_index=255),\n"
        '    ],\n'
        '    weights=[0.25, 0.75],\n'
        ')\n'
        'model = dict(decode_head=dict(loss_decode=[weighted_sum]))'
    )
    keras_line = (
        'loss = losses.WeightedSumLoss(\n'
        '    [\n'
        '        losses.WeightedCrossEntropyLoss(from_logits=True, ignore_class=255),\n'
        '        losses.JaccardMetricLoss(from_logits=True, ignore_class=255),\n'
        '    ],\n'
        '    weights=[0.25, 0.75],\n'
        ')'
    )

    losses: tuple[LossSpec, ...] | None = positional(
        param(None, Optional(Losses()), 'the losses; None is the recipe of the JDT papers')
    )
    weights: tuple[float, ...] | None = param(
        None, Optional(Each(Real(low=0), 'a list of numbers >= 0')), 'one for each loss; None is 1 for each'
    )

    examples = {
        'recipe': Example(),
        'three': Example(
            dict(
                losses=[
                    dict(type='WeightedCrossEntropyLoss', label_smoothing=0.1),
                    dict(type='DiceSemimetricLoss', granularity='I'),
                    dict(type='SoftTverskyLoss'),
                ],
                weights=[0.2, 0.5, 0.3],
                loss_weight=2.0,
            )
        ),
    }

    def validate(self) -> None:
        if self.weights is not None:
            if self.losses is None:
                raise SpecError(
                    'are given without losses', owner='WeightedSumLoss', parameter='weights', given=self.weights
                )
            if len(self.weights) != len(self.losses):
                raise SpecError(
                    f'must have one entry for each of the {len(self.losses)} losses, got {len(self.weights)}',
                    owner='WeightedSumLoss',
                    parameter='weights',
                    given=self.weights,
                )
        if len({p.of_features() for p in self.parts}) > 1:
            raise SpecError(
                'the losses must all take features or none, for they see the same target', owner='WeightedSumLoss'
            )
        if len({p.from_logits for p in self.parts if hasattr(p, 'from_logits')}) > 1:
            raise SpecError(
                'the losses must agree on from_logits, for they see the same prediction', owner='WeightedSumLoss'
            )

    @property
    def parts(self) -> tuple[LossSpec, ...]:
        """The losses as specs."""
        if self.losses is None:
            return LOSSES['WeightedCrossEntropyLoss'](), LOSSES['JaccardMetricLoss']()
        return self.losses

    @property
    def shares(self) -> tuple[float, ...]:
        """The weight of each loss."""
        if self.losses is None:
            return 0.25, 0.75
        return self.weights or (1.0,) * len(self.losses)

    @property
    def extras_taken(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for part in self.parts for name in part.extras_taken))

    @property
    def gradient_of(self) -> tuple[str, ...]:  # type: ignore[override]  # its parts differ in it
        return tuple(dict.fromkeys(('pred', *(name for part in self.parts for name in part.gradient_of))))

    def adapt_case(
        self, pred: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict[str, Any]]:
        found: dict[str, Any] = {}
        for part in self.parts:
            pred, extras = part.adapt_case(pred, target, rng)
            found = {**extras, **found}
        return pred, found

    def to_mmseg(self) -> dict[str, Any]:
        config = super().to_mmseg()
        if self.losses is not None:
            config['losses'] = [part.to_mmseg() for part in self.losses]
        return config

    def to_keras(self) -> dict[str, Any]:
        """The Keras constructor's keyword arguments; the losses as ``{'type': name, ...}``, always written out."""
        losses = [{'type': type(p).__name__, **p.to_keras()} for p in self.parts]
        return {**super().to_keras(), 'losses': losses, 'weights': list(self.shares)}

    def keras_arguments(self) -> dict[str, Any]:
        losses = [{'type': type(p).__name__, **p.keras_arguments()} for p in self.parts]
        return {**super().keras_arguments(), 'losses': losses, 'weights': list(self.shares)}

    @classmethod
    def from_keras(cls, arguments: Mapping[str, Any]) -> Self:
        losses = arguments.get('losses')
        if isinstance(losses, Iterable):
            losses = [
                LOSSES[p['type']].from_keras({k: v for k, v in p.items() if k != 'type'})
                if isinstance(p, Mapping) and p.get('type') in LOSSES
                else p
                for p in losses
            ]
        return super().from_keras({**arguments, 'losses': losses})

    def reference(
        self,
        pred: ArrayLike,
        target: ArrayLike,
        pixel_weight: ArrayLike | None = None,
        ignore_index: int | None = None,
        **extras: Any,
    ) -> float:
        """The loss in NumPy float64: ``pred`` (N, C, *space) as the parts' ``from_logits`` says -> float."""
        self.refuse_extras(extras)
        total = 0.0
        for share, part in zip(self.shares, self.parts):
            given = {name: x for name, x in extras.items() if name in part.extras_taken}
            total += scale_part(share, part.reference(pred, target, pixel_weight, ignore_index, **given))
        return float(scale_part(self.loss_weight, total))

    def refuse_extras(self, given: Iterable[str]) -> None:
        """TypeError for what a call is given by a name that no part takes."""
        for name in given:
            if name not in self.extras_taken:
                raise TypeError(f'WeightedSumLoss: unexpected argument {name!r}, for no part takes it')

    def reference_near(
        self,
        pred: ArrayLike,
        target: ArrayLike,
        pixel_weight: ArrayLike | None = None,
        ignore_index: int | None = None,
        **extras: Any,
    ) -> Callable[[np.ndarray], Any] | None:
        parts: list[Any] = []
        for part in self.parts:
            given = {name: x for name, x in extras.items() if name in part.extras_taken}
            parts.append(part.reference_near(pred, target, pixel_weight, ignore_index=ignore_index, **given))
        if None in parts:
            return None
        return lambda p: self.loss_weight * sum(w * part(p) for w, part in zip(self.shares, parts))
