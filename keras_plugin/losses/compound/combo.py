"""Combo: cross-entropy that weighs missed foreground, less the Dice score."""

import keras
from keras import ops

from keras_plugin.distributed import sum_over_replicas
from keras_plugin.granularity import cell_sums, mean_of_sums
from keras_plugin.losses.base import Loss
from keras_plugin.overlap import part, product_overlap, ratio, score
from shared_spec import LOSSES


@keras.saving.register_keras_serializable(package='segparity')
class ComboLoss(Loss):
    """Combo: alpha * CE - (1 - alpha) * Dice score, CE with weight beta on missed foreground.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0. Parameters, call and
    errors: ``segparity show ComboLoss``. Source: Taghanaki, arXiv 1805.02798.
    """

    spec_class = LOSSES['ComboLoss']

    def __init__(
        self, *, activation='softmax', from_logits=False, ignore_class=None, sync=True, loss_weight=1.0,
        granularity='D', classes='auto', presence_threshold=0.01, smooth=1e-3, alpha=0.5, beta=0.5, name=None,
        reduction='sum_over_batch_size', dtype=None,
    ):  # fmt: skip
        super().__init__(locals())

    def cell_loss(self, tp, fp, fn):
        return score(tp, fp, fn, 0.5, 0.5, self.spec.smooth)

    def compute(self, batch):
        spec, y = self.spec, batch.target
        log_p, log_q = batch.log_both
        loss = -batch.times_log(spec.beta * y, log_p) - batch.times_log((1 - spec.beta) * (1 - y), log_q)
        loss = batch.sum(loss if y.shape[-1] == 1 else loss[..., 1:]) / max(1, y.shape[-1] - 1)
        mass = batch.sum(ops.ones_like(y[..., :1]))
        parts = cell_sums(spec, batch, product_overlap(batch), self.cell_loss)
        parts['ce'] = ops.stack([ops.sum(loss), ops.sum(mass)])

        parts = sum_over_replicas(parts, spec.sync)
        ce, dice = ratio(parts['ce'][0], parts['ce'][1], 0.0), mean_of_sums(spec, parts, self.cell_loss)
        return ops.cast(spec.loss_weight * (part(spec.alpha, ce) - (1 - spec.alpha) * dice), batch.dtype)
