"""Cross-entropy of the pixels of a batch that a rule selects by their losses."""

from typing import NamedTuple

import numpy as np
from keras import ops

from keras_plugin.distributed import partners
from keras_plugin.inputs import Batch
from keras_plugin.kth_largest import keys_of
from keras_plugin.losses.base import PixelLoss
from keras_plugin.losses.pixel.focal_cross_entropy import pixel_losses
from keras_plugin.typing import Tensor


class Pixels(NamedTuple):
    """``keys_of`` the losses (M,) of the pixels of all replicas, and which of them count."""

    keys: Tensor
    counts: Tensor


class SelectedCrossEntropy(PixelLoss):
    """A loss of selected pixels: ``share_of`` says which part of each pixel is in, which its weight is multiplied with."""

    selects_by_weighted: bool  # whether class weights act on the losses that are compared

    def share_of(self, keys: Tensor, pixels: Pixels, dtype: str) -> Tensor:
        """The part of each pixel, by the ``keys_of`` its loss."""
        raise NotImplementedError(type(self).__name__)

    def compute(self, batch: Batch) -> Tensor:
        loss = self.pixel_loss(batch)
        deciding = loss
        if self.spec.class_weight is not None and not self.selects_by_weighted:
            deciding = pixel_losses(batch, 0, None)
        deciding = ops.stop_gradient(deciding)
        keys = keys_of(deciding)
        share = self.share_of(keys, self.of_replicas(batch, deciding), batch.dtype)
        if self.reduction != 'none':  # so that the gradient is NaN in all that counts where one loss is
            wrong = ops.logical_or(ops.isnan(deciding), ops.isnan(batch.weight))
            wrong = ops.any(ops.logical_and(batch.counted_pixels, wrong))
            share = ops.where(wrong, np.nan * ops.ones_like(share), share)
        return self.reduce(batch, loss, share)

    def pixel_loss(self, batch: Batch) -> Tensor:
        """(N, P) the loss of each pixel."""
        return pixel_losses(batch, 0, self.spec.weights(batch.channels))

    def of_replicas(self, batch: Batch, deciding: Tensor) -> Pixels:
        """The ``Pixels`` of all replicas under ``sync``; deciding (N, P): the losses that are compared, of this one."""
        counts, others = batch.counted_pixels, partners(self.spec.sync)
        if others is not None:
            rows = [ops.reshape(x, (1, -1)) for x in (deciding, ops.cast(counts, deciding.dtype))]
            (deciding, counts), _ = others.gather(rows)
            counts = counts > 0
        return Pixels(keys_of(ops.reshape(deciding, (-1,))), ops.reshape(counts, (-1,)))
