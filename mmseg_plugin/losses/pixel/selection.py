"""Cross-entropy of the pixels of a batch that a rule selects by their losses."""

import copy

import torch
from torch import Tensor

from mmseg_plugin.inputs import Batch, made_once
from mmseg_plugin.kernels.kth_largest import keys_of
from mmseg_plugin.kernels.pixel_maps import pixel_map
from mmseg_plugin.losses.base import PixelLoss
from mmseg_plugin.losses.pixel.focal_cross_entropy import pixel_losses
from mmseg_plugin.values import counted_pixels

MADE_ONCE = [name for name, x in vars(Batch).items() if isinstance(x, made_once)]


class SelectedCrossEntropy(PixelLoss):
    """A loss of selected pixels: ``share_of`` says which part of each pixel is in, which its weight is multiplied with."""

    selects_by_weighted: bool  # whether class weights act on the losses that are compared

    def share_of(self, keys: Tensor, counts: Tensor) -> Tensor:
        """(M,) the part of each pixel, by the ``keys_of`` the losses (M,) of those that ``counts`` says."""
        raise NotImplementedError(type(self).__name__)

    def compute(  # type: ignore[override]  # what reduction_of_call adds
        self, batch: Batch, reduction: str, avg_factor: float | Tensor | None
    ) -> Tensor:
        return self.reduce(self.selected(batch, reduction), self.pixel_loss, reduction, avg_factor)

    def pixel_loss(self, part: Batch) -> Tensor:
        """(N, 1, P) the loss of each pixel."""
        return pixel_losses(part, 0, self.spec.weights(part.channels))

    def selected(self, batch: Batch, reduction: str) -> Batch:
        """The batch in which pixels that are not selected are absent; none is where the loss of one is no number."""
        self.spec.weights(batch.channels)  # which refuses a list of another length
        loss = self.pixel_loss if self.selects_by_weighted else lambda part: pixel_losses(part, 0, None)
        keys = keys_of(pixel_map(batch, loss))
        weight = torch.ones_like(keys, dtype=torch.bool) if batch.pixel_weight is None else batch.pixel_weight
        counts = counted_pixels(weight).bool()
        with torch.no_grad():
            share = self.share_of(keys.flatten(), counts.flatten()).view_as(keys).to(batch.dtype)
            if reduction != 'none':  # so that the gradient is NaN in all that counts
                wrong = counts & (keys == torch.iinfo(keys.dtype).max)
                share = torch.where(wrong.any(), torch.nan, share)
        return with_weight(batch, torch.where(counts & (share != 0), share * weight, 0))


def with_weight(batch: Batch, weight: Tensor) -> Batch:
    """The same batch with other weights (N, P), of which more are 0; as if nothing of it had been seen."""
    other = copy.copy(batch)
    for name in MADE_ONCE:
        vars(other).pop(name, None)
    other.pixel_weight, other.looked, other.masked, other.shared = weight, False, True, None
    return other
