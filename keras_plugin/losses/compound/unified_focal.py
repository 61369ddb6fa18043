"""Unified focal: focal cross-entropy and focal Tversky under one pair of parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import keras
from keras import ops

from keras_plugin.arithmetic import clip, power, ratio
from keras_plugin.distributed import sum_over_replicas
from keras_plugin.granularity import CellSums, mean_of_sums, parts_of_mean
from keras_plugin.inputs import Batch, keep_pixels
from keras_plugin.losses.base import Loss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES
from shared_spec.inputs import FLOOR


@keras.saving.register_keras_serializable(package='segparity')
class UnifiedFocalLoss(Loss):
    """Unified focal: weight * focal cross-entropy + (1 - weight) * focal Tversky, symmetric or asymmetric.

    An absent class counts as ``classes`` says, an ignored pixel nowhere, an empty batch gives 0; where p is clipped the
    gradient is 0. Parameters, call and errors: ``segparity show UnifiedFocalLoss``. Source: Yeung, arXiv 2102.04525.
    """

    spec_class = LOSSES['UnifiedFocalLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        granularity: str | Mapping[str, float] = 'I',
        classes: str | Sequence[int] = 'all',
        presence_threshold: float = 0.01,
        smooth: float = 1e-7,
        weight: float = 0.5,
        delta: float = 0.6,
        gamma: float = 0.5,
        asymmetric: bool = False,
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def compute(self, batch: Batch) -> Tensor:
        spec, y, c = self.spec, batch.target, batch.channels
        (log_p, log_q), (p, q) = batch.log_both, batch.prob_both
        if not batch.softmax:  # all backgrounds, then all foregrounds
            log_p, p, q = (ops.concatenate(pair, -1) for pair in ([log_q, log_p], [q, p], [p, q]))
            y = ops.concatenate([1 - y, y], -1)
            y = keep_pixels(batch.labelled, y)
        cells, background = spec.sides(c, batch.softmax)
        weights, focus, tversky = (ops.convert_to_tensor(x, dtype=p.dtype) for x in spec.powers(background))
        nll = -clip(log_p, math.log(FLOOR), math.log1p(-FLOOR))
        p, q = clip(p, FLOOR, 1 - FLOOR), clip(q, FLOOR, 1 - FLOOR)

        def cell_loss(tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
            wrong = spec.delta * fn + (1 - spec.delta) * fp
            return power(ratio(wrong, tp + wrong + spec.smooth, 0.0), ops.cast(tversky, tp.dtype))

        focal = batch.sum(weights * q**focus * y * nll)
        sums = CellSums((batch.sum(p * y), batch.sum(p * (1 - y)), batch.sum(q * y)))
        parts = parts_of_mean(cells, batch.with_target(y), sums, cell_loss)
        mass = batch.sum(ops.ones_like(y[..., :1])) * (1 if batch.softmax else c)
        parts['focal'] = ops.stack([ops.sum(focal), ops.sum(mass)])

        parts = sum_over_replicas(parts, spec.sync)
        focal, region = ratio(parts['focal'][0], parts['focal'][1], 0.0), mean_of_sums(cells, parts, cell_loss)
        return ops.cast(spec.loss_weight * (spec.weight * focal + (1 - spec.weight) * region), batch.dtype)
