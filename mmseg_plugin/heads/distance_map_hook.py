"""``custom_hooks=[dict(type='DistanceMapHook')]``: losses get the maps of distances that the data samples have."""

import types
from typing import Any

import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from torch import Tensor, nn
from torch.nn import functional

from mmseg_plugin.losses.boundary.maps import Mapped


@HOOKS.register_module()
class DistanceMapHook(Hook):
    """Before training, lets every decode and auxiliary head hand the packed maps of its data samples to its losses.

    A loss whose map no sample has makes its own. Goes with ``FusedResizeHook``, which acts before it.
    """

    priority = 'LOW'

    def before_train(self, runner: Any) -> None:
        for name, kinds in hand_over_maps(runner.model).items():
            runner.logger.info(f'DistanceMapHook: {name} hands {", ".join(kinds)} to its losses')


def hand_over_maps(model: nn.Module) -> dict[str, list[str]]:
    """Makes the heads of a model hand maps over; returns the fields that each asks its samples for."""
    found = {}
    for name, head in model.named_modules():
        losses = losses_with_map(head) if hasattr(head, 'loss_by_feat') else []
        if losses:
            found[name or 'the model'] = sorted({loss.spec.map_field for loss in losses})
            if getattr(head.loss_by_feat, '__func__', None) is not loss_with_maps:
                head.loss_without_maps = head.loss_by_feat
                head.loss_by_feat = types.MethodType(loss_with_maps, head)
    return found


def losses_with_map(head: nn.Module) -> list[Any]:
    return [loss for loss in getattr(head, 'loss_decode', nn.Module()).modules() if isinstance(loss, Mapped)]


def loss_with_maps(head: Any, seg_logits: Tensor, batch_data_samples: list[Any], *args: Any, **kwargs: Any) -> Any:
    """``loss_by_feat`` of a head, during which its losses have the maps of the samples."""
    losses = losses_with_map(head)
    try:
        for loss in losses:
            loss.handed_over = stacked_maps(loss.spec.map_field, batch_data_samples)
        return head.loss_without_maps(seg_logits, batch_data_samples, *args, **kwargs)
    finally:
        for loss in losses:
            loss.handed_over = None


def stacked_maps(field: str, samples: list[Any]) -> Tensor | None:
    """(N, K, H, W) a map of all samples, None where none has it; NaN where a batch was padded, which labels ignore.

    ValueError where some samples have it, or one is larger than its labels.
    """
    have = [field in sample for sample in samples]
    if not any(have):
        return None
    if not all(have):
        raise ValueError(f'DistanceMapHook: {have.count(False)} of {len(samples)} data samples have no {field}')
    maps = []
    for sample in samples:
        found, (height, width) = sample.get(field).data, sample.gt_sem_seg.data.shape[-2:]
        below, right = height - found.shape[-2], width - found.shape[-1]
        if below < 0 or right < 0:
            raise ValueError(
                f'DistanceMapHook: {field} {tuple(found.shape)} is larger than its labels {(height, width)}; '
                'GenerateDistanceMap stands after what resizes or cuts them'
            )
        maps.append(functional.pad(found, (0, right, 0, below), value=torch.nan) if below or right else found)
    return torch.stack(maps)
