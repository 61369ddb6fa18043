"""Unified focal: focal cross-entropy and focal Tversky under one pair of parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import keras
from keras import ops

from keras_plugin import hard_pixels
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
        spec = self.spec
        cells, background = spec.sides(batch.channels, batch.softmax)
        weights, focus, tversky = (ops.convert_to_tensor(x, dtype=batch.dtype) for x in spec.powers(background))

        def cell_loss(tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
            wrong = spec.delta * fn + (1 - spec.delta) * fp
            return power(ratio(wrong, tp + wrong + spec.smooth, 0.0), ops.cast(tversky, tp.dtype))

        statistics = hard_sums if hard_pixels.takes(batch) else dense_sums
        seen, sums, focal, mass = statistics(batch, weights, focus)
        parts = parts_of_mean(cells, seen, sums, cell_loss)
        parts['focal'] = ops.stack([ops.sum(focal), ops.sum(mass)])

        parts = sum_over_replicas(parts, spec.sync)
        focal, region = ratio(parts['focal'][0], parts['focal'][1], 0.0), mean_of_sums(cells, parts, cell_loss)
        return ops.cast(spec.loss_weight * (spec.weight * focal + (1 - spec.weight) * region), batch.dtype)


def dense_sums(batch: Batch, weights: Tensor, focus: Tensor) -> tuple[Batch, CellSums, Tensor, Tensor]:
    """(the batch of the cells, their tp, fp and fn, sums of the focal terms, sums of the pixels that they are means over)."""
    y, (log_p, log_q), (p, q) = batch.target, batch.log_both, batch.prob_both
    if not batch.softmax:  # all backgrounds, then all foregrounds
        log_p, p, q = (ops.concatenate(pair, -1) for pair in ([log_q, log_p], [q, p], [p, q]))
        y = ops.concatenate([1 - y, y], -1)
        y = keep_pixels(batch.labelled, y)
    nll, p, q = clip_log(log_p), clip_share(p), clip_share(q)
    focal = batch.sum(weights * q**focus * y * nll)
    sums = CellSums((batch.sum(p * y), batch.sum(p * (1 - y)), batch.sum(q * y)))
    mass = batch.sum(ops.ones_like(y[..., :1])) * (1 if batch.softmax else batch.channels)
    return batch.with_target(y), sums, focal, mass


def hard_sums(batch: Batch, weights: Tensor, focus: Tensor) -> tuple[Batch, CellSums, Tensor, Tensor]:
    """The same of class ids and logits, where a pixel has one focal term."""
    margin, fp = hard_pixels.margin_and_sums(batch, CLIPPED)
    nll = clip_log(ops.log_sigmoid(margin))
    p, q = (clip_share(x) for x in hard_pixels.own_and_rest(margin))
    terms = q ** ops.take(focus, batch.own) * nll
    tp, fn, size, focal = hard_pixels.sum_by_class(batch, p, q, ops.ones_like(p), terms)
    return batch, CellSums((tp, fp, fn), ops.stop_gradient(size)), ops.cast(weights, focal.dtype) * focal, size


def clip_log(log: Tensor) -> Tensor:
    return -clip(log, math.log(FLOOR), math.log1p(-FLOOR))


def clip_share(p: Tensor) -> Tensor:
    return clip(p, FLOOR, 1 - FLOOR)


CLIPPED = hard_pixels.Term(
    clip_share, lambda p: ops.where(ops.logical_and(p > FLOOR, p < 1 - FLOOR), p, ops.zeros_like(p))
)
