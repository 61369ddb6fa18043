"""Maps of pixels, and counts, of logits that are interpolated block by block; without a gradient."""

import torch
from torch import Tensor

from mmseg_plugin.kernels.pixel_maps import of_blocks
from mmseg_plugin.kernels.pixel_sums import Place
from mmseg_plugin.kernels.resize import Resized


def prob_of_labels(source: Resized, labels: Tensor) -> Tensor:
    """(N, H, W) the softmax probability of each pixel's label (N, H, W)."""
    ids = labels.flatten(1)
    prob = torch.empty_like(ids, dtype=source.dtype)

    def of_block(z: Tensor, place: Place) -> Tensor:
        return z.softmax(1).gather(1, ids[place[0], place[2]][:, None])[:, 0]

    for place, found in of_blocks(source, of_block):
        prob[place[0], place[2]] = found
    return prob.view_as(labels)


def correct_pixels(source: Resized, labels: Tensor, ignore_index: int | None) -> tuple[Tensor, int]:
    """(how many pixels have their largest logit at their label, how many there are), without the ignored ones."""
    ids = labels.flatten(1)

    def of_block(z: Tensor, place: Place) -> Tensor:
        y = ids[place[0], place[2]]
        right = is_largest(z, y)
        return (right if ignore_index is None else right & (y != ignore_index)).sum()

    counted = ids.numel() if ignore_index is None else int((ids != ignore_index).sum())
    return torch.stack([found for _, found in of_blocks(source, of_block)]).sum(), counted


def is_largest(z: Tensor, ids: Tensor) -> Tensor:
    """(n, p) whether class ids are those of ``topk`` of z (n, C, p), which is asked itself where numbers are equal or none."""
    top = z.amax(1, keepdim=True)
    if torch.eq(z, top, out=torch.empty_like(z)).sum() != top.numel():
        return z.topk(1, 1).indices[:, 0] == ids
    own = ids.clamp(0, z.shape[1] - 1)
    return (z.gather(1, own[:, None].long()) == top)[:, 0] & (own == ids)
