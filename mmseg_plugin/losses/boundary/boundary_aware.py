"""Boundary-aware loss: a branch of the network predicts how far each object pixel is from its object's boundary, in bins."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmseg_plugin import values
from mmseg_plugin.arithmetic import times_log
from mmseg_plugin.distance_bins import bins_of
from mmseg_plugin.inputs import LABEL_DTYPES, Batch, valid_pixels, weigh
from mmseg_plugin.losses.base import PixelLoss, check_tensors
from mmseg_plugin.registry import register
from shared_spec import LOSSES, shapes
from shared_spec.distance_bins import check_bins, check_bins_dtype, check_bins_shape, check_label_shape


@register
class BoundaryAwareLoss(PixelLoss):
    """Binary cross-entropy of a distance branch (N, M * num_bins, *space) and the bins of the distances of M object classes.

    ``distance_bins`` (N, M, *space) integers at the call are the bins, of one class (N, *space) too; else the loss makes
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
        from_logits: bool = True,
        ignore_index: int | None = None,
        sync: bool = True,
        reduction: str = 'mean',
        loss_name: str = 'loss_boundary_aware',
    ) -> None:
        super().__init__(locals())

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
        """As of other losses, of maps of bins in place of the labels, with weights of 0 where those are ignored."""
        bins = call.pop('distance_bins', None)
        check_tensors(self.spec_class.__name__, pred=pred, target=target, weight=weight)
        with torch.no_grad(), torch.autocast(pred.device.type, enabled=False):
            resized = call.get('align_corners') is not None
            space = tuple(target.shape[2 - pred.dim() :] if resized else pred.shape[2:])
            maps, weight = self.maps_and_weight((*pred.shape[:2], *space), pred, target, weight, ignore_index, bins)
        return super().loss_of_call(pred, maps, weight, None, call, absent)

    def maps_and_weight(
        self,
        shape: tuple[int, ...],
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None,
        ignore_index: int | None,
        given: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """(N, C, *space), that shape: 1 at each pixel's bins, else 0; and (N, *space) the weights, None where all are 1."""
        spec, name = self.spec, self.spec_class.__name__
        if given is not None:
            check_tensors(name, distance_bins=given)
        shapes.check_pred(name, pred.shape, 'first', spec.spatial_axes)
        (n, c, space), objects = shapes.split(shape, 'first'), spec.objects(shape[1])
        check_label_shape(name, tuple(target.shape), n, space, 'first')
        labels = target.reshape(n, -1) if target.numel() else target.reshape(n, *space).flatten(1)
        if not labels.is_floating_point() and labels.dtype not in LABEL_DTYPES:
            labels = labels.long()
        ignored = shapes.check_ignore(name, spec.ignore_index, ignore_index, spec.num_labels(c, some=True))
        visible = values.can_look(pred, target, weight, given)
        dtype = torch.promote_types(pred.dtype, torch.float32)
        w = valid_pixels(labels, ignored)
        if weight is not None:
            kind, ones = shapes.weight_kind(name, shape, tuple(weight.shape), 'first'), pred.new_ones(n, dtype=dtype)
            _, w = weigh(name, weight.to(dtype), kind, w, ones, labels.shape[1], visible)
        counts = torch.ones_like(labels, dtype=torch.bool) if w is None else w != 0
        counts = counts.view(n, 1, *space)
        inside = torch.stack([labels == k for k in objects], 1).view(n, len(objects), *space) & counts
        if given is None:
            bins, wrong = bins_of(inside, counts, spec, dtype), None
        else:
            bins = self.bins_given(given, inside, counts, visible)
            wrong = ((bins < 0) | (bins >= spec.num_bins) | ((bins != 0) & ~inside)).any(1).flatten(1)
        if visible:
            values.check_labels(name, labels, w, spec.num_labels(c))
        else:
            whole = labels.long()
            faulty = values.faulty_labels(whole, w, spec.num_labels(c)) | ((whole != labels) & counts.flatten(1))
            wrong = faulty if wrong is None else faulty | wrong
            w = torch.where(wrong, torch.nan, counts.flatten(1).to(dtype) if w is None else w.to(dtype))
        places = torch.arange(spec.num_bins, device=bins.device).view(-1, *[1] * len(space))
        maps = (bins[:, :, None] == places).to(torch.uint8).view(shape)
        return maps, None if w is None else w.to(dtype).view(n, *space)

    def bins_given(self, given: Tensor, inside: Tensor, counts: Tensor, visible: bool) -> Tensor:
        """(N, M, *space) bins as they came, 0 where a pixel does not count. Refuses what it sees to be none."""
        name = self.spec_class.__name__
        check_bins_dtype(name, given.dtype in LABEL_DTYPES and given.dtype != torch.bool, given.dtype)
        check_bins_shape(name, tuple(given.shape), len(inside), inside.shape[1], tuple(inside.shape[2:]), 'first')
        bins = torch.where(counts, given.reshape(inside.shape).long(), 0)
        if visible:
            check_bins(name, bins.cpu().numpy(), inside.cpu().numpy(), self.spec.num_bins)
        return bins

    def compute(  # type: ignore[override]  # what reduction_of_call adds
        self, batch: Batch, reduction: str, avg_factor: float | Tensor | None
    ) -> Tensor:
        return self.reduce(batch, pixel_loss, reduction, avg_factor)


def pixel_loss(part: Batch) -> Tensor:
    """(N, 1, P) the mean over channels of the binary cross-entropy of each pixel."""
    log_p, log_not_p = part.log_prob
    loss = times_log(part.target, log_p) + times_log(1 - part.target, log_not_p)
    return -loss.mean(1, keepdim=True)
