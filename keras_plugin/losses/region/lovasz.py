"""The Lovasz losses: Lovasz softmax on probabilities, Lovasz hinge on logits."""

from collections.abc import Sequence

import keras
from keras import backend, ops

from keras_plugin.arithmetic import at_least, cumulative_sum, ratio, widest_dtype
from keras_plugin.distributed import gather_replicas
from keras_plugin.error_bins import increments_by_bins
from keras_plugin.granularity import CellSums
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import RegionLoss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES

MANY = 2**16  # pixels that are sorted


def jaccard_increments(errors: Tensor, signed: Tensor) -> Tensor:
    """(rows, P) how much each pixel adds to its row's Jaccard loss when pixels turn wrong in order of falling errors.

    errors (rows, P); signed (rows, P): the weight of a pixel, negative outside the class. No two close numbers are
    subtracted: a pixel of the class adds w/U, another one I*w/(U_before*U), the first of a class without a pixel 1.
    """
    errors = ops.where(errors == errors, errors, ops.zeros_like(errors))  # NaN has no order
    order = ops.argsort(-errors, axis=1)
    signed = ops.take_along_axis(signed, order, axis=1)
    signed = ops.cast(signed, widest_dtype(signed))  # in float64 counts above 2^24 are exact
    weight, inside = ops.abs(signed), at_least(signed, 0)
    found = cumulative_sum(inside)
    total = found[:, -1:]
    union = total + cumulative_sum(weight - inside)
    before = ops.concatenate([total, union[:, :-1]], axis=1)
    share = ops.where(signed > 0, ops.ones_like(signed), ratio(total - found, before))
    increments = ratio(weight, union, 0.0) * share
    return ops.take_along_axis(increments, ops.argsort(order, axis=1), axis=1)


def choose_increments(errors: Tensor, signed: Tensor, weighted: bool) -> Tensor:
    """``jaccard_increments`` in the dtype of the errors: of few pixels by sorting, of more than ``MANY`` in bins.

    In float64, which asks for more than bins give, by sorting too. weighted: whether weights are others than 0 and 1.
    """

    def by_sorting() -> Tensor:
        return ops.cast(jaccard_increments(errors, signed), errors.dtype)

    def by_bins() -> Tensor:
        return increments_by_bins(errors, signed, weighted)

    pixels = errors.shape[1]
    if backend.standardize_dtype(errors.dtype) == 'float64':
        return by_sorting()
    if pixels is None:
        return ops.cond(ops.shape(errors)[1] > MANY, by_bins, by_sorting)
    return by_bins() if pixels > MANY else by_sorting()


class Lovasz(RegionLoss):
    """What the two share: the sums of an (image, class) cell, whose means are those of the other region losses."""

    def statistics(self, batch: Batch) -> CellSums:
        """(N, C) sums of error times increment; by default the pixels of the whole batch take turns."""
        errors = self.errors(batch)
        increments = self.increments(batch, ops.stop_gradient(errors))
        return CellSums((batch.add(ops.sum(batch.chunks(errors * increments), axis=2)),))

    def increments(self, batch: Batch, errors: Tensor) -> Tensor:
        """(N, P, C) how much each pixel adds to the Jaccard loss of its image or of the batch, without a gradient."""
        n, pixels, c = ops.shape(errors)
        signed = batch.weight[..., None] * ops.where(batch.target > 0, ops.ones_like(errors), -ops.ones_like(errors))
        by_class, back = ((0, 2, 1), (0, 2, 1)) if self.spec.per_image else ((2, 0, 1), (1, 2, 0))
        rows = [ops.transpose(ops.stop_gradient(x), by_class) for x in (errors, signed)]
        shape = ops.shape(rows[0])
        rows = [ops.reshape(x, (n * c, pixels) if self.spec.per_image else (c, -1)) for x in rows]
        rows, own = (rows, lambda x: x) if self.spec.per_image else gather_replicas(rows, self.spec.sync)
        increments = own(choose_increments(*rows, batch.weighted))
        return ops.transpose(ops.reshape(increments, shape), back)

    def cell_loss(self, sums: Tensor) -> Tensor:
        return sums


@keras.saving.register_keras_serializable(package='segparity')
class LovaszSoftmaxLoss(Lovasz):
    """Lovasz extension of the Jaccard loss: errors 1 - p_c at pixels of class c and p_c elsewhere, sorted.

    An absent class counts as ``classes`` says and then costs its largest error, an ignored pixel counts nowhere, an
    empty batch gives 0. Parameters, call and errors: ``segparity show LovaszSoftmaxLoss``. Source: arXiv 1705.08790.
    """

    spec_class = LOSSES['LovaszSoftmaxLoss']

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        per_image: bool = False,
        classes: str | Sequence[int] = 'auto',
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def errors(self, batch: Batch) -> Tensor:
        p = batch.prob
        return ops.where(batch.target > 0, 1 - p, p)


@keras.saving.register_keras_serializable(package='segparity')
class LovaszHingeLoss(Lovasz):
    """Lovasz extension of the Jaccard loss on hinge errors max(1 - z*(2*y - 1), 0); one channel of logits.

    An image without foreground costs its largest error, an ignored pixel counts nowhere, an empty batch gives 0.
    Parameters, call and errors: ``segparity show LovaszHingeLoss``. Source: arXiv 1705.08790.
    """

    spec_class = LOSSES['LovaszHingeLoss']

    def __init__(
        self,
        *,
        from_logits: bool = True,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        per_image: bool = True,
        name: str | None = None,
        reduction: str = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())

    def errors(self, batch: Batch) -> Tensor:
        return at_least(1 - batch.pred * (2 * batch.target - 1), 0)
