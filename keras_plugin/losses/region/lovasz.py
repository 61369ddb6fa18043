"""The Lovasz losses: Lovasz softmax on probabilities, Lovasz hinge on logits."""

from collections.abc import Sequence

import keras
from keras import backend, ops

from keras_plugin.arithmetic import accumulator_dtype, at_least, cumulative_sum, ratio, widest_dtype
from keras_plugin.distributed import gather_replicas
from keras_plugin.error_bins import increments_by_bins
from keras_plugin.granularity import CellSums
from keras_plugin.hard_overlap import sum_by_class
from keras_plugin.inputs import Batch
from keras_plugin.losses.base import RegionLoss
from keras_plugin.typing import DType, Tensor
from shared_spec import LOSSES

MANY = 2**16  # pixels that are sorted
AXES = {True: (0, 2, 1), False: (2, 0, 1)}  # of (N, P, C), for rows of an image or of the batch


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


def increments_of(errors: Tensor, signed: Tensor, weighted: bool) -> Tensor:
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


def class_of_pixels(batch: Batch, per_image: bool) -> Tensor:
    """(N, C, P) if ``per_image``, else (C, N, P): whether a pixel is of a class."""
    if len(batch.labels.shape) != 2:
        return ops.transpose(batch.target > 0, AXES[per_image])
    ids = ops.where(batch.labelled, batch.labels, -1 * ops.ones_like(batch.labels))
    classes = ops.arange(batch.channels, dtype='int32')[:, None]
    return ids[:, None] == classes if per_image else ids[None] == classes[..., None]


def size_of_classes(batch: Batch) -> Tensor | None:
    """(N, C) the weight of the pixels of each class of class ids, or None."""
    if len(batch.labels.shape) != 2:
        return None
    ids = ops.where(batch.labelled, batch.labels, ops.zeros_like(batch.labels))
    return sum_by_class(batch, ids, batch.weight)  # of no number in one class at least


class Lovasz(RegionLoss):
    """What the two share: the sums of an (image, class) cell, whose means are those of the other region losses."""

    def statistics(self, batch: Batch) -> CellSums:
        """(N, C) sums of error times increment, or (1, C) of the batch where its pixels take turns together."""
        c, per_image = batch.channels, self.spec.per_image
        n, pixels, _ = ops.shape(batch.given)
        rows = (n * c, pixels) if per_image else (c, -1)
        inside = class_of_pixels(batch, per_image)
        weight = batch.weight[:, None] if per_image else batch.weight
        signed = ops.reshape(ops.where(inside, weight, -weight), rows)
        inside = ops.reshape(inside, rows)
        x = ops.reshape(ops.transpose(self.compared(batch), AXES[per_image]), rows)
        errors = self.errors(ops.cast(inside, batch.dtype), ops.where(inside, -x, x))
        constant = ops.stop_gradient(errors), ops.stop_gradient(signed)
        if per_image:
            increments = increments_of(*constant, batch.weighted)
        else:
            constant, own = gather_replicas(constant, self.spec.sync)
            increments = own(increments_of(*constant, batch.weighted))
        sums = ops.sum(ops.cast(errors * increments, accumulator_dtype(errors)), axis=1)
        return CellSums((ops.reshape(sums, (-1, c)),), size_of_classes(batch))

    def compared(self, batch: Batch) -> Tensor:
        """(N, P, C) what is compared with the labels."""
        raise NotImplementedError(type(self).__name__)

    def errors(self, inside: Tensor, turned: Tensor) -> Tensor:
        """The errors; inside: 1 in the class, else 0; turned: what is ``compared``, negative inside."""
        raise NotImplementedError(type(self).__name__)

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

    def compared(self, batch: Batch) -> Tensor:
        return batch.prob

    def errors(self, inside: Tensor, turned: Tensor) -> Tensor:
        return inside + turned


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

    def compared(self, batch: Batch) -> Tensor:
        return batch.pred

    def errors(self, inside: Tensor, turned: Tensor) -> Tensor:
        return at_least(1 + turned, 0)
