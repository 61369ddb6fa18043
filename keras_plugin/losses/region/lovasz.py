"""The Lovasz losses: Lovasz softmax on probabilities, Lovasz hinge on logits."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_plugin.arithmetic import at_least, cumulative_sum, ratio, widest_dtype
from keras_plugin.distributed import gather_replicas
from keras_plugin.granularity import CellSums
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import RegionLoss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES


def jaccard_increments(errors: Tensor, signed: Tensor) -> Tensor:
    """(rows, P) how much each pixel adds to its row's Jaccard loss when pixels turn wrong in order of falling errors.

    errors (rows, P); signed (rows, P): the weight of a pixel, negative outside the class. No two close numbers are
    subtracted: a pixel of the class adds w/U, another one I*w/(U_before*U), the first of a class without a pixel 1.
    """
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


class Lovasz(RegionLoss):
    """What the two share: the sums of an (image, class) cell, whose means are those of the other region losses."""

    def statistics(self, batch: Batch) -> CellSums:
        """(N, C) sums of error times increment, or (1, C) of the batch where its pixels are sorted together."""
        c = batch.channels
        errors = self.errors(batch)
        signed = batch.weight[..., None] * ops.where(batch.target > 0, ops.ones_like(errors), -ops.ones_like(errors))
        errors, signed = (ops.transpose(x, (0, 2, 1) if self.spec.per_image else (2, 0, 1)) for x in (errors, signed))
        n, _, pixels = ops.shape(errors)
        rows = (n * c, pixels) if self.spec.per_image else (c, -1)
        errors, signed = (ops.reshape(x, rows) for x in (errors, signed))
        constant = ops.stop_gradient(ops.where(errors == errors, errors, ops.zeros_like(errors)))  # NaN has no order
        if self.spec.per_image:
            increments = jaccard_increments(constant, signed)
        else:
            (constant, signed), own = gather_replicas([constant, signed], self.spec.sync)
            increments = own(jaccard_increments(constant, signed))
        sums = ops.sum(ops.cast(errors, increments.dtype) * increments, axis=1)
        return CellSums((ops.reshape(sums, (-1, c)),))

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
