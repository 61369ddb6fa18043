"""``custom_hooks=[dict(type='DistanceMapHook')]``: losses get the maps of distances that the data samples have."""

import types
from typing import Any

import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from torch import Tensor, nn
from torch.nn import functional

from mmseg_plugin.losses.boundary.maps import Mapped
from shared_spec.distance import IGNORING


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
            found[name or 'the model'] = sorted({field_of(loss, head) for loss in losses})
            if getattr(head.loss_by_feat, '__func__', None) is not loss_with_maps:
                head.loss_without_maps = head.loss_by_feat
                head.loss_by_feat = types.MethodType(loss_with_maps, head)
    return found


def losses_with_map(head: nn.Module) -> list[Any]:
    losses = getattr(head, 'loss_decode', nn.Module()).modules()
    return [loss for loss in losses if isinstance(loss, Mapped) and not loss.spec.no_map]


def field_of(loss: Any, head: Any) -> str:
    """The name of a loss's map in the data samples of a head, which tells its losses what it ignores."""
    return loss.spec.map_field_of(getattr(head, 'ignore_index', None))


def loss_with_maps(head: Any, seg_logits: Tensor, batch_data_samples: list[Any], *args: Any, **kwargs: Any) -> Any:
    """``loss_by_feat`` of a head, during which its losses have the maps of the samples."""
    losses = losses_with_map(head)
    try:
        for loss in losses:
            loss.handed_over = stacked_maps(field_of(loss, head), batch_data_samples, loss.spec.reads_ignored)
        return head.loss_without_maps(seg_logits, batch_data_samples, *args, **kwargs)
    finally:
        for loss in losses:
            loss.handed_over = None


def stacked_maps(field: str, samples: list[Any], reads_ignored: bool = False) -> Tensor | None:
    """(N, K, H, W) a map of all samples, None where none has it; NaN where a batch was padded, which labels ignore.

    reads_ignored: what is ignored has a part in the map, which is None where a sample was padded after it was made.

    ValueError where some samples have it, or all have that of other ignored labels, or one is larger than its labels.
    """
    have = [field in sample for sample in samples]
    if not any(have):
        check_ignored(field, samples)
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
        if reads_ignored and (below or right):
            return None
        maps.append(functional.pad(found, (0, right, 0, below), value=torch.nan) if below or right else found)
    return torch.stack(maps)


def check_ignored(field: str, samples: list[Any]) -> None:
    """ValueError where samples without a map have one that differs in the labels that it ignores alone."""
    name, _, wanted = field.partition(IGNORING)
    for other in (key for sample in samples for key, _ in sample.items()):
        if other.partition(IGNORING)[0] == name:
            made = other.partition(IGNORING)[2].replace('_', ' and ') or 'no label'
            wanted = wanted.replace('_', ' and ') or 'no label'
            raise ValueError(
                f'DistanceMapHook: {other} of the data samples ignores {made}, the loss and its head ignore {wanted}; '
                'GenerateDistanceMap takes the ignore_index of the head, and that of the loss in its configuration'
            )
