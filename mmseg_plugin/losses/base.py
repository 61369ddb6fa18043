"""What every loss module shares: parameters checked by the spec, the call that MMSegmentation's heads make."""

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mmseg_plugin.arithmetic import multiply, ratio
from mmseg_plugin.distributed import sum_over_ranks
from mmseg_plugin.granularity import CellSums, reduce_cells
from mmseg_plugin.inputs import Batch
from mmseg_plugin.kernels.pixel_sums import pixel_sum
from mmseg_plugin.resized import prepare_at_size
from mmseg_plugin.values import can_look
from shared_spec.extras import check_needs
from shared_spec.granularity import only_level, things_of
from shared_spec.parameters import NamedParameters, SpecError
from shared_spec.spec import LossSpec


class Loss(nn.Module, metaclass=NamedParameters):
    """A loss that heads build with ``dict(type='<name>', ...)``.

    Subclasses name their ``spec_class``, list the spec's parameters in an explicit keyword signature and hand
    ``locals()`` to ``super().__init__``; they implement ``compute(batch)``.
    """

    spec_class: ClassVar[type[LossSpec]]
    spec: Any  # of spec_class, whose parameters are not those of other losses

    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__()
        arguments = {k: v for k, v in arguments.items() if k not in ('self', '__class__')}
        self.loss_name = arguments.pop('loss_name')
        if not isinstance(self.loss_name, str) or 'loss' not in self.loss_name:
            raise SpecError(
                f"must contain 'loss', or MMSegmentation would not train on it, got {self.loss_name!r}",
                owner=self.spec_class.__name__,
                parameter='loss_name',
                given=self.loss_name,
            )
        self.reduction = arguments.pop('reduction', 'mean')
        allowed = self.spec_class.reductions
        if self.reduction not in allowed:
            raise SpecError(
                owner=self.spec_class.__name__, parameter='reduction', given=self.reduction, allowed=f'one of {allowed}'
            )
        self.spec = self.spec_class(**arguments)
        check_level(self.spec, self.reduction)

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        align_corners: bool | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """The loss, a scalar in the wider of float32 and pred's dtype.

        pred (N, C, *space); target (N, *space) or (N, 1, *space) class ids, or (N, C, *space) soft labels; weight per
        pixel (N, *space) or per image (N,); ignore_index as heads pass it, beside the constructor's. ValueError for
        shapes, TypeError for dtypes. With align_corners False or True pred (N, C, h, w) is resized to target's size as
        heads do it, with less memory; without it the sizes must agree. The other arguments are MMSegmentation's, which
        pixel losses use, and the extras of the spec by their names.
        """
        call = dict(avg_factor=avg_factor, reduction_override=reduction_override, **kwargs)
        call['align_corners'] = align_corners
        return self.loss_of_call(pred, target, weight, ignore_index, call, absent=self.spec.loss_weight == 0)

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
        """The loss of a call; ``absent``: its factor is 0, so that it is 0 where it may be infinite.

        batches: those of other losses of the same call, by what losses of one batch have in common; gains this one's.
        """
        names = 'avg_factor', 'reduction_override', 'align_corners'
        avg_factor, reduction_override, align_corners = (call.pop(name, None) for name in names)
        if pred_is_of_samples(pred) and 'sum' not in self.spec_class.reductions and avg_factor == len(pred):
            avg_factor = None  # which heads of classifiers always give: it says what is meant
        extras = {name: call.pop(name) for name in self.spec_class.extras if name in call}
        if call:
            raise TypeError(f'{self.spec_class.__name__}: unexpected argument {next(iter(call))!r}')
        check_needs(self.spec_class.__name__, self.spec.needs, extras, 'first')
        check_tensors(self.spec_class.__name__, pred=pred, target=target, weight=weight)
        with torch.autocast(pred.device.type, enabled=False):
            batch = self.batch_of_call(pred, target, weight, ignore_index, align_corners, batches)
            loss = self.compute(batch, *self.reduction_of_call(avg_factor, reduction_override), **extras)
            if absent:
                own = sum(0 * parameter.sum() for parameter in self.parameters())  # which DDP looks for
                loss = self.absent_loss(batch, loss) + own
            return loss if loss.dim() else not_a_number_throughout(loss)

    def batch_of_call(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None,
        ignore_index: int | None,
        align_corners: bool | None,
        batches: dict[Any, Batch] | None = None,
    ) -> Batch:
        """The ``Batch`` of a call, for ``compute``: one of ``batches`` where another loss has made it."""
        batch = None if batches is None else batches.get(in_common(self.spec))
        if batch is None:
            target = self.labels_of(pred, target)
            batch = prepare_at_size(self.spec, pred, target, weight, ignore_index, align_corners)
        if batches is not None:
            batches[in_common(self.spec)] = batch
        return batch

    def labels_of(self, pred: Tensor, target: Tensor) -> Tensor:
        """The labels that a call's target stands for; itself, for most."""
        return target

    def reduction_of_call(self, avg_factor: float | Tensor | None, reduction_override: str | None) -> tuple[Any, ...]:
        """Extra arguments for ``compute``; a loss that is no mean over pixels refuses what has no meaning for it."""
        if avg_factor is not None or reduction_override not in (None, 'mean'):
            asked = 'avg_factor' if avg_factor is not None else f'reduction_override={reduction_override!r}'
            allowed = ' or '.join(map(repr, self.spec_class.reductions))
            raise ValueError(
                f'{self.spec_class.__name__}: {asked} has no meaning, the loss is not a sum over pixels; reduction is {allowed}'
            )
        return ()

    def absent_loss(self, batch: Batch, loss: Tensor) -> Tensor:
        """Zeros of the loss's shape, NaN where a prediction that counts is no number; with a gradient for what it needs."""
        of_pixels = loss.dim() > 1 or (loss.dim() and 'sum' in self.spec_class.reductions)
        zero = batch.zero_loss.view_as(loss) if of_pixels else sum_of_zero_loss(batch).expand_as(loss)
        return zero + torch.where(loss.isfinite(), 0 * loss, 0) if self.spec_class.needs else zero

    def compute(self, batch: Batch) -> Tensor:
        """The loss of a batch, ``loss_weight`` in it: a scalar in the batch's dtype, (N, *space) with reduction 'none'.

        What ``reduction_of_call`` returns comes as further arguments, the spec's ``extras`` by their names.
        """
        raise NotImplementedError(type(self).__name__)

    def extra_repr(self) -> str:
        return ', '.join(f'{k}={v!r}' for k, v in self.spec.to_mmseg().items() if k != 'type')


def pred_is_of_samples(pred: object) -> bool:
    """Whether a prediction is (N, C), without spatial axes."""
    return torch.is_tensor(pred) and pred.dim() == 2


def sum_of_zero_loss(batch: Batch) -> Tensor:
    return pixel_sum(batch, lambda part: part.zero_loss[:, None]).sum().to(batch.dtype)


def in_common(spec: LossSpec) -> tuple[Any, ...]:
    """What ``prepare`` reads of a spec: losses that agree in it have the same batch."""
    return (
        spec.activation,
        spec.from_logits,
        spec.ignore_index,
        spec.labels,
        spec.one_label,
        spec.channels,
        spec.spatial_axes,
        getattr(spec, 'teacher_from_logits', False) and spec,
    )


def check_level(spec: Any, reduction: str) -> None:
    """SpecError where unreduced losses of cells are asked for under several granularities."""
    if reduction == 'none' and hasattr(spec, 'granularity'):
        only_level(type(spec).__name__, spec.granularity)


def check_tensors(owner: str, **given: object) -> None:
    """TypeError in one sentence for what is no tensor; None is none."""
    for name, x in given.items():
        if not (torch.is_tensor(x) or (x is None and name == 'weight')):
            raise TypeError(f'{owner}: {name} must be a torch.Tensor, got {type(x).__name__}')


def not_a_number_throughout(loss: Tensor) -> Tensor:
    """The loss; where it is NaN so is its gradient, for all that has a part in it."""
    return loss * torch.where(loss.detach().isnan(), torch.nan, 1.0)


class RegionLoss(Loss):
    """A loss of sums over (image, class) cells: ``statistics(batch)`` gives ``CellSums``, ``cell_loss`` losses of them."""

    statistics: Callable[[Batch], CellSums]
    cell_loss: Callable[..., Tensor]

    def reduction_of_call(self, avg_factor: float | Tensor | None, reduction_override: str | None) -> tuple[Any, ...]:
        reduction = reduction_override or self.reduction
        if avg_factor is not None or reduction not in self.spec_class.reductions:
            return super().reduction_of_call(avg_factor, reduction_override)  # which refuses it
        check_level(self.spec, reduction)
        return (reduction,)

    def compute(self, batch: Batch, reduction: str = 'mean') -> Tensor:  # type: ignore[override]  # what reduction_of_call adds
        loss = reduce_cells(self.spec, batch, self.statistics(batch), self.cell_loss, reduction)
        return multiply(self.spec.loss_weight, self.after_mean(loss)).to(batch.dtype)

    def absent_loss(self, batch: Batch, loss: Tensor) -> Tensor:
        if loss.dim() and things_of(self.spec, 1) == 'images':
            return pixel_sum(batch, lambda part: part.zero_loss[:, None]).to(batch.dtype)
        return super().absent_loss(batch, loss)

    def after_mean(self, mean: Tensor) -> Tensor:
        """What happens to the mean over cells; nothing, for most."""
        return mean


class PixelLoss(Loss):
    """A loss that is a weighted mean over pixels; ``compute(batch, reduction, avg_factor)``.

    As in MMSegmentation avg_factor divides in place of the mean's divisor, is refused with 'sum' and divides nothing with
    'none'; one that is no divisor is refused, or makes NaN, with both 'mean' and 'none'.
    """

    def reduction_of_call(
        self, avg_factor: float | Tensor | None, reduction_override: str | None
    ) -> tuple[str, float | Tensor | None]:
        reduction = self.reduction if reduction_override is None else reduction_override
        if reduction not in self.spec_class.reductions:
            allowed = self.spec_class.reductions
            raise ValueError(
                f'{self.spec_class.__name__}: reduction_override must be one of {allowed}, got {reduction!r}'
            )
        if avg_factor is not None and reduction == 'sum':
            raise ValueError(f"{self.spec_class.__name__}: avg_factor does not go with reduction 'sum'")
        return reduction, avg_factor

    def reduce(
        self, batch: Batch, pixel_loss: Callable[[Batch], Tensor], reduction: str, avg_factor: float | Tensor | None
    ) -> Tensor:
        """loss_weight * the mean of pixel_loss(part) (n, 1, p) over the pixels that count, their sum, or (N, *space)."""
        spec, mass = self.spec, batch.mass.sum()
        if reduction == 'none':
            return self.map_of(batch, pixel_loss(batch), mass, avg_factor)
        total = pixel_sum(batch, pixel_loss).sum()
        if reduction == 'mean' and avg_factor is not None:  # the caller's sum over ranks: each divides its own pixels
            total = self.divide(total, avg_factor, mass)
        else:
            parts = sum_over_ranks({'loss': total, 'mass': mass}, spec.sync)
            total = ratio(parts['loss'], parts['mass'], 0.0) if reduction == 'mean' else parts['loss']
        return multiply(spec.loss_weight, total).to(batch.dtype)

    def map_of(self, batch: Batch, loss: Tensor, mass: Tensor, avg_factor: float | Tensor | None) -> Tensor:
        """(N, *space) loss_weight * weight * loss (N, 1, P)."""
        loss = self.spec.loss_weight * batch.weight * loss[:, 0]
        loss = loss.reshape(len(loss), *batch.space)
        # nothing is divided, as in MMSegmentation; what is no divisor is wrong all the same
        return loss if avg_factor is None else loss.where(self.divisor(avg_factor, mass, loss) >= 0, torch.nan)

    def divide(self, total: Tensor, avg_factor: float | Tensor, mass: Tensor) -> Tensor:
        """total / avg_factor, which may be 0 where no pixel counts."""
        return ratio(total, self.divisor(avg_factor, mass, total), 0.0)

    def divisor(self, avg_factor: float | Tensor, mass: Tensor, like: Tensor) -> Tensor:
        """avg_factor as a tensor; refuses what is no divisor, or makes it NaN."""
        owner = self.spec_class.__name__
        if not isinstance(avg_factor, (Real, torch.Tensor)):
            raise TypeError(f'{owner}: avg_factor must be a number, got {avg_factor!r}')
        if isinstance(avg_factor, Real):
            avg_factor = finite_or_infinite(avg_factor)
        divisor = torch.as_tensor(avg_factor, dtype=like.dtype, device=like.device)
        sound = ((divisor > 0) | ((divisor == 0) & (mass == 0))) & (divisor < torch.inf)
        if divisor.numel() != 1 or (can_look(divisor) and not sound):
            raise ValueError(f'{owner}: avg_factor must be a finite number above 0, got {avg_factor!r}')
        return torch.where(sound, divisor, torch.nan)


def finite_or_infinite(number: float) -> float:
    """A number as a float, infinite where it is larger than any."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
