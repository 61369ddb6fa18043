"""A weighted sum of losses on the same prediction."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mmseg_plugin.inputs import Batch
from mmseg_plugin.losses.base import Loss
from mmseg_plugin.registry import build, register
from shared_spec import LOSSES, SpecError
from shared_spec.extras import EXTRAS
from shared_spec.granularity import check_agreement
from shared_spec.spec import LossSpec


def named(part: object) -> object:
    """A configuration with the name of a loss where MMEngine's Python configs have the class."""
    if isinstance(part, dict) and isinstance(part.get('type'), type) and issubclass(part['type'], Loss):
        return {**part, 'type': part['type'].__name__}
    return part


@register
class WeightedSumLoss(Loss):
    """sum_i weights_i * loss_i; without losses 0.25 * WeightedCrossEntropyLoss + 0.75 * JaccardMetricLoss.

    ``losses`` are configurations such as ``dict(type='JaccardMetricLoss')``, or losses of this package, which it keeps
    as they are. A list in ``loss_decode`` does the same
    and logs each part. Parameters, call and errors: ``segparity show WeightedSumLoss``.
    """

    spec_class = LOSSES['WeightedSumLoss']

    def __init__(
        self,
        losses: Sequence[Loss | LossSpec | Mapping[str, Any]] | None = None,
        *,
        weights: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_weighted_sum',
    ) -> None:
        modules = (
            [part if isinstance(part, Loss) else None for part in losses] if isinstance(losses, list | tuple) else []
        )
        given: Any = losses
        if modules and losses:
            given = [module.spec if module else named(part) for module, part in zip(modules, losses)]
        super().__init__(dict(losses=given, weights=weights, loss_weight=loss_weight, loss_name=loss_name))
        modules = modules or [None] * len(self.spec.parts)
        self.parts = nn.ModuleList(module or build(part.to_mmseg()) for module, part in zip(modules, self.spec.parts))

    def loss_of_call(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None,
        ignore_index: int | None,
        call: dict[str, Any],
        absent: bool,
        batches: dict[Any, Batch] | None = None,
    ) -> Tensor:
        """The weighted sum; every part receives the call's arguments as they are, and what parts have in common once."""
        found, given = [], (pred, target, weight, ignore_index)
        batches = SharedBatches(sum(shares_statistics(part) for part in self.parts) > 1)
        parts: Any = self.parts  # losses, which nn.ModuleList knows as modules alone
        self.spec.refuse_extras(EXTRAS.keys() & call.keys())
        check_maps(self.spec, call, ignore_index)
        for share, part in zip(self.spec.shares, parts):
            taken = part.spec.extras_taken
            call_of_part = {name: x for name, x in call.items() if name not in EXTRAS or name in taken}
            if absent or share == 0:
                found.append(part.loss_of_call(*given, call_of_part, absent=True))
            elif is_called_as_it_stands(part):
                own = dict(avg_factor=None, reduction_override=None) | call_of_part
                zero = part.spec.loss_weight == 0
                found.append(share * part.loss_of_call(*given, own, absent=zero, batches=batches))
            else:
                found.append(share * part(*given, **call_of_part))
        check_agreement([(part.spec, tuple(loss.shape)) for part, loss in zip(parts, found)])
        return self.spec.loss_weight * sum(found)


def check_maps(spec: Any, call: Mapping[str, Any], ignore_index: int | None) -> None:
    """SpecError where parts take different maps of distances and one is given."""
    takers = [part for part in all_parts(spec) if 'distance_map' in part.extras_taken]
    fields = {part.map_field_of(ignore_index) for part in takers}
    if call.get('distance_map') is not None and len(fields) > 1:
        raise SpecError(
            f'take different maps of distances ({", ".join(sorted(fields))}), and the call has one: leave it out, '
            'then each makes its own',
            owner='WeightedSumLoss',
            parameter='losses',
        )


def all_parts(spec: Any) -> list[Any]:
    """The losses of a sum and of the sums in it."""
    parts = getattr(spec, 'parts', None)
    return [spec] if parts is None else [loss for part in parts for loss in all_parts(part)]


class SharedBatches(dict[Any, Batch]):
    """Batches by what losses have in common; ``statistics``: several losses ask them for the same."""

    def __init__(self, statistics: bool) -> None:
        super().__init__()
        self.statistics = statistics

    def __setitem__(self, key: Any, batch: Batch) -> None:
        if self.statistics and batch.shared is None:
            batch.shared = {}
        super().__setitem__(key, batch)


def shares_statistics(part: nn.Module) -> bool:
    """Whether a loss is of overlap statistics, or can be of what is summed beside them."""
    spec: Any = part.spec
    return type(spec).__name__ == 'WeightedCrossEntropyLoss' or (spec.of_overlap and getattr(spec, 'norm', 1) == 1)


def is_called_as_it_stands(part: nn.Module) -> bool:
    """Whether a loss is one of ours that nobody has changed, in which nothing but its computation happens at a call."""
    hooks = part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks
    return type(part).forward is Loss.forward and not hooks
