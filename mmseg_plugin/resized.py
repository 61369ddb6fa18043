"""What a loss receives whose logits are smaller, or larger, than the labels: a ``Batch`` of which blocks are interpolated."""

import math

import torch
from torch import Tensor

from mmseg_plugin import values
from mmseg_plugin.inputs import Batch, prepare
from mmseg_plugin.kernels.pixel_sums import blocks_of, in_blocks, size_of_blocks
from mmseg_plugin.kernels.resize import Resized, Whole
from shared_spec import shapes
from shared_spec.spec import LossSpec


class ResizedBatch(Batch):
    """Sums over pixels interpolate block by block; who asks for ``given`` has the logits of every pixel, (N, C, H * W).

    That is what sorts all pixels, torch.compile, small inputs, and logits that are not finite.
    """

    def __init__(self, batch: Batch, resized: Resized) -> None:
        self.resized = resized
        vars(self).update((name, value) for name, value in vars(batch).items() if name != 'given')

    def __getattr__(self, name: str) -> Tensor:
        """``given``, made when it is asked for."""
        if name != 'given':
            raise AttributeError(name)
        self.given = self.resized.whole()
        return self.given

    @property
    def source(self) -> Whole:
        self.look()
        return super().source if 'given' in vars(self) else self.resized

    def is_sure(self) -> bool:
        """What lies between numbers is one, and between probabilities a probability."""
        if 'given' in vars(self):
            return super().is_sure()
        small = self.resized.tensor.detach()
        if self.activation == 'none':
            return values.are_within(small, 0, 1)
        return math.isfinite(small.sum(dtype=self.dtype).item())

    def nan_weights(self) -> Tensor:
        return nan_weights_of_blocks(self) if in_blocks(self) else super().nan_weights()


@torch.no_grad()
def nan_weights_of_blocks(batch: ResizedBatch) -> Tensor:
    """(N, P) ``nan_weights`` of predictions that are interpolated block by block."""
    source, weight = batch.source, batch.image_weight.new_empty(len(batch.labels), batch.shape[2])
    for place in blocks_of(size_of_blocks(source), *batch.shape, source.step):
        weight[place[0], place[2]] = batch.part(*place, source.block(source.needed(place), place)).nan_weights()
    return weight


def prepare_at_size(
    spec: LossSpec,
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int | None,
    align_corners: bool | None,
) -> Batch:
    """``prepare``, with align_corners of logits that are resized to the labels' size as heads do it."""
    size = None if align_corners is None else size_of_labels(type(spec).__name__, pred, target, align_corners)
    if align_corners is None or size is None:
        return prepare(spec, pred, target, weight, ignore_index)
    like = pred.detach().new_zeros(()).expand(*pred.shape[:2], *size)  # for the rules about shapes; of no memory
    batch = prepare(spec, like, target, weight, ignore_index)
    return ResizedBatch(batch, Resized(pred, size, align_corners, batch.dtype))


def size_of_labels(owner: str, pred: Tensor, target: Tensor, align_corners: bool) -> tuple[int, int] | None:
    """(H, W) if pred has to be resized to it; None where it has that size, or target has none."""
    if not isinstance(align_corners, bool):
        raise TypeError(f'{owner}: align_corners must be True, False or None, got {align_corners!r}')
    shape = tuple(pred.shape)
    if pred.dim() != 4:
        raise ValueError(
            f'{owner}: align_corners resizes pred (N, C, h, w) alone, got shape {shapes.as_text(shape)}; '
            "resize it to target's size before the call"
        )
    if target.dim() not in (3, 4) or target.shape[-2:] == pred.shape[2:]:
        return None
    height, width = target.shape[-2:]
    if 0 in (*shape[2:], height, width):
        raise ValueError(
            f'{owner}: pred {shapes.as_text(shape)} cannot be resized to {shapes.as_text((height, width))}, one has no pixels'
        )
    return height, width
