"""The class ids that the soft-label functions take, in PyTorch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_plugin import values
from mmseg_plugin.inputs import flat
from mmseg_plugin.values import can_look
from shared_spec.soft_label_arguments import check_labels
from shared_spec.values import check_whole_maps


def class_ids(owner: str, target: Tensor, num_classes: int, ignore_index: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """int64 ids (N, *space), which pixels count, and which are neither a class nor ignored, refused where they are seen."""
    return known_ids(owner, as_ids(owner, target), num_classes, ignore_index)


def as_ids(owner: str, target: Tensor) -> Tensor:
    """Labels as int64 (N, *space). A class axis of length 1 is dropped."""
    if not isinstance(target, torch.Tensor):
        raise TypeError(f'{owner}: target must be a tensor, got {type(target).__name__}')
    if target.dim() >= 4 and target.shape[1] == 1:
        target = target[:, 0]
    are_integers = not (target.is_floating_point() or target.is_complex())
    check_labels(owner, tuple(target.shape), are_integers, target.dtype)
    return target.long()


def known_ids(owner: str, ids: Tensor, num_classes: int, ignore_index: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """``class_ids`` of what ``as_ids`` gives."""
    valid = torch.ones_like(ids, dtype=torch.bool) if ignore_index is None else ids != ignore_index
    if can_look(ids):
        values.check_labels(owner, flat(ids, 1), flat(valid, 1), num_classes)
    wrong = valid & ((ids < 0) | (ids >= num_classes))
    return ids, valid & ~wrong, wrong


def nan_where(soft: Tensor, wrong: Tensor) -> Tensor:
    """``soft`` with NaN at ``wrong`` pixels."""
    return torch.where(wrong, torch.nan, soft)


def background_where_absent(owner: str, maps: Sequence[Tensor], missing: int) -> tuple[list[Tensor], Tensor]:
    """The maps with class 0 in the images where an annotator is absent, and (R, N) who is present."""
    gone = [flat(one, 1) == missing for one in maps]
    for one in gone:
        if can_look(one):
            check_whole_maps(owner, missing, one.cpu().numpy())
    present = torch.stack([~one.all(1) for one in gone])
    there = present.view(*present.shape, *[1] * (maps[0].dim() - 1))
    return [torch.where(p, one, 0) for p, one in zip(there, maps)], present


def is_class(ids: Tensor, num_classes: int) -> Tensor:
    """(N, C, *space) whether an id is the class."""
    classes = torch.arange(num_classes, device=ids.device)
    return ids[:, None] == classes.view(-1, *[1] * (ids.dim() - 1))


def check_dtype(owner: str, dtype: torch.dtype) -> None:
    """Refuses what soft labels cannot be held in."""
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f'{owner}: dtype must be a floating point torch.dtype, got {dtype!r}')
