"""Combo: cross-entropy that weighs missed foreground, less the Dice score."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from keras_plugin import hard_pixels
from keras_plugin.arithmetic import ratio, scale_part
from keras_plugin.complements import sum_of_logs
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.granularity import CellSums, mean_of_sums, parts_of_mean
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import Loss
from keras_plugin.overlap import cells_and_margin, product_overlap, score
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class ComboLoss(Loss):
    """Combo: alpha * CE - (1 - alpha) * Dice score, CE with weight beta on missed foreground.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show ComboLoss``. Source: Taghanaki, arXiv 1805.02798.
    """

    spec_class = LOSSES['ComboLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        granularity: str | Mapping[str, float] = 'D',
        classes: str | Sequence[int] = 'auto',
        presence_threshold: float = 0.01,
        smooth: float = 1e-3,
        alpha: float = 0.5,
        beta: float = 0.5,
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def cell_loss(self, tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
        """The Dice score, no loss: ``compute`` subtracts its mean."""
        return score(tp, fp, fn, 0.5, 0.5, self.spec.smooth)

    def compute(self, batch: Batch) -> Tensor:
        spec = self.spec
        if hard_pixels.takes(batch):
            cells, loss, mass = self.hard_sums(batch)
        else:
            cells, (loss, mass) = product_overlap(batch), self.cross_entropy(batch)
        parts = parts_of_mean(spec, batch, cells, self.cell_loss)
        parts['ce'] = ops.stack([ops.sum(loss) / max(1, batch.channels - 1), ops.sum(mass)])

        parts = sum_over_replicas(parts, spec.sync)
        ce, dice = ratio(parts['ce'][0], parts['ce'][1], 0.0), mean_of_sums(spec, parts, self.cell_loss)
        return ops.cast(spec.loss_weight * (scale_part(spec.alpha, ce) - (1 - spec.alpha) * dice), batch.dtype)

    def cross_entropy(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Sums over pixels of the cross-entropy of the foreground, and of the pixels."""
        beta, y, (log_p, log_q) = self.spec.beta, batch.target, batch.log_both
        loss = -batch.times_log(beta * y, log_p) - batch.times_log((1 - beta) * (1 - y), log_q)
        return batch.sum(loss if y.shape[-1] == 1 else loss[..., 1:]), batch.sum(ops.ones_like(y[..., :1]))

    def hard_sums(self, batch: Batch) -> tuple[CellSums, Tensor, Tensor]:
        """The cells' sums and the two of ``cross_entropy`` of class ids and logits."""
        beta = self.spec.beta
        cells, margin = cells_and_margin(batch)
        terms = -ops.log_sigmoid(margin), -sum_of_logs(batch), ops.ones_like(margin)
        own, others, size = hard_pixels.sum_by_class(batch, *terms)
        return cells, scale_part(beta, ops.sum(own[:, 1:])) + scale_part(1 - beta, ops.sum(others)), size
