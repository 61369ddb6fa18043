"""Maps of class ids as tensors: whole numbers without an axis of channels."""

import torch
from torch import Tensor

COMPARED = torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64


def to_integers(ids: Tensor) -> Tensor:
    """Ids as integers that torch can compare: MMSegmentation's one-channel heads threshold into floats.

    Bytes of a boolean map that are neither 0 nor 1 are cast, not viewed; ids that are no whole numbers are refused.
    """
    ids = ids.detach()
    if ids.is_floating_point():
        if (ids != ids.trunc()).any():
            raise ValueError('image_counts: class ids must be whole numbers, got others')
        return ids.long()
    if ids.dtype == torch.bool:
        return ids.to(torch.uint8)
    return ids if ids.dtype in COMPARED else ids.long()  # PyTorch 2.1 has no wide unsigned types


def is_one_hot(x: Tensor, num_classes: int) -> bool:
    """Whether integers (N, C, *space) are one-hot maps, which as ids of a volume would say something else."""
    if x.is_floating_point() or x.dim() < 3 or x.shape[1] != num_classes or num_classes < 2 or not x.numel():
        return False
    x = x.long()
    return bool(((x >= 0) & (x <= 1)).all() and (x.sum(1) == 1).all())


def drop_channel(x: Tensor, axes: int) -> Tensor:
    """x (N, *space) of (N, 1, *space), which has so many axes."""
    return x[:, 0] if x.dim() == axes and x.shape[1] == 1 else x
