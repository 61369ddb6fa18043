"""The Lovasz losses: Lovasz softmax on probabilities, Lovasz hinge on logits."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import keras
from keras import backend, ops

from keras_plugin.arithmetic import accumulator_dtype, at_least, cumulative_sum, ratio, widest_dtype
from keras_plugin.distributed import partners
from keras_plugin.error_bins import solve_in_bins
from keras_plugin.granularity import CellSums
from keras_plugin.hard_pixels import add_by_class
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
    return ops.cast(ops.take_along_axis(increments, ops.argsort(order, axis=1), axis=1), errors.dtype)


def by_number_of_pixels(rows: Tensor, by_sorting: Callable[[], Any], by_bins: Callable[[], Any]) -> Any:
    """What one of the two gives for rows (rows, P): in bins if there are more than ``MANY`` pixels.

    Float64, which asks for more than bins give, is sorted.
    """
    if rows.shape[0] == 0 or backend.standardize_dtype(rows.dtype) == 'float64':
        return by_sorting()
    if rows.shape[1] is None:
        return ops.cond(ops.shape(rows)[1] > MANY, by_bins, by_sorting)
    return by_bins() if rows.shape[1] > MANY else by_sorting()


def signed_weights(batch: Batch, per_image: bool) -> Tensor:
    """(N, C, P) if ``per_image``, else (C, N, P): the weight of a pixel, negative outside the class."""
    weight = batch.weight[:, None] if per_image else batch.weight
    if len(batch.labels.shape) != 2:
        return ops.where(ops.transpose(batch.target > 0, AXES[per_image]), weight, -weight)
    classes = ops.arange(batch.channels, dtype='int32')[:, None]
    inside = batch.labels[:, None] == classes if per_image else batch.labels == classes[..., None]
    return ops.where(inside, weight, -weight)  # -0 where there is no label


def size_of_classes(batch: Batch) -> Tensor | None:
    """(N, C) the weight of the pixels of each class of class ids, NaN in one where that of a pixel is; else None."""
    if len(batch.labels.shape) != 2:
        return None
    (size,) = add_by_class(batch, batch.weight)
    return size


class Lovasz(RegionLoss):
    """What the two share: the sums of an (image, class) cell, whose means are those of the other region losses."""

    hinge: ClassVar[bool]

    def statistics(self, batch: Batch) -> CellSums:
        """(N, C) sums of error times increment, or (1, C) of the batch where its pixels take turns together."""
        c, per_image = batch.channels, self.spec.per_image
        n, pixels, _ = ops.shape(batch.given)
        rows = (n * c, pixels) if per_image else (c, -1)
        signed = ops.stop_gradient(ops.reshape(signed_weights(batch, per_image), rows))
        x = ops.reshape(ops.transpose(batch.pred if self.hinge else batch.prob, AXES[per_image]), rows)

        def extension(x: Tensor) -> tuple[Tensor, Callable[..., tuple[Tensor]]]:
            sums, slopes = self.solve(x, signed, batch.weighted)

            def gradient(*inputs: Tensor, upstream: Tensor | None = None) -> tuple[Tensor]:
                """That of x from that of the sums, as ``hard_overlap`` has it."""
                upstream = inputs[0] if upstream is None else upstream
                return (slopes * ops.cast(upstream, slopes.dtype)[:, None],)

            return sums, gradient

        sums = ops.custom_gradient(extension)(x)
        return CellSums((ops.reshape(sums, (-1, c)),), size_of_classes(batch))

    def solve(self, x: Tensor, signed: Tensor, weighted: bool) -> tuple[Tensor, Tensor]:
        """(rows,) sums of error times increment and (rows, P) their derivatives by x; weighted: see ``error_bins``."""
        others = None if self.spec.per_image else partners(self.spec.sync)
        if others is not None:
            (x, signed), own = others.gather([x, signed])
        sums, slopes = by_number_of_pixels(
            x,
            lambda: self.sums(x, signed, jaccard_increments(self.errors(x, signed), signed)),
            lambda: solve_in_bins(x, signed, weighted, self.errors, self.sums),
        )
        return (sums, slopes) if others is None else (sums / others.number, own(slopes))  # to be added up once more

    def sums(self, x: Tensor, signed: Tensor, increments: Tensor) -> tuple[Tensor, Tensor]:
        """What ``solve`` gives, of one row or of several with a first axis."""
        errors, slopes = self.errors(x, signed), ops.where(signed > 0, -increments, increments)
        if self.hinge:
            slopes = ops.where(errors > 0, slopes, ops.zeros_like(slopes))
        return ops.sum(ops.cast(errors * increments, accumulator_dtype(errors)), axis=-1), slopes

    def errors(self, x: Tensor, signed: Tensor) -> Tensor:
        """The errors of probabilities, or of logits for the hinge."""
        turned = ops.where(signed > 0, -x, x)
        return at_least(1 + turned, 0) if self.hinge else turned + ops.cast(signed > 0, x.dtype)

    def cell_loss(self, sums: Tensor) -> Tensor:
        return sums


@keras.saving.register_keras_serializable(package='segparity')
class LovaszSoftmaxLoss(Lovasz):
    """Lovasz extension of the Jaccard loss: errors 1 - p_c at pixels of class c and p_c elsewhere, sorted.

    More than 2^16 pixels that take turns together are counted in fine bins of their error instead, except in float64: the
    value is within 1e-6, the gradient within 1e-3 of its largest (``error_bins``).
    An absent class counts as ``classes`` says and then costs its largest error, an ignored pixel counts nowhere, an
    empty batch gives 0. Parameters, call and errors: ``segparity show LovaszSoftmaxLoss``. Source: arXiv 1705.08790.
    """

    spec_class = LOSSES['LovaszSoftmaxLoss']
    hinge = False

    def __init__(
        self,
        *,
        activation: str = 'softmax',
        from_logits: bool = False,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        normalize_class_weight: bool = False,
        per_image: bool = False,
        classes: str | Sequence[int] = 'auto',
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())


@keras.saving.register_keras_serializable(package='segparity')
class LovaszHingeLoss(Lovasz):
    """Lovasz extension of the Jaccard loss on hinge errors max(1 - z*(2*y - 1), 0); one channel of logits.

    More than 2^16 pixels are counted in bins, as ``LovaszSoftmaxLoss`` has it. An image without foreground costs its
    largest error, an ignored pixel counts nowhere, an empty batch gives 0.
    Parameters, call and errors: ``segparity show LovaszHingeLoss``. Source: arXiv 1705.08790.
    """

    spec_class = LOSSES['LovaszHingeLoss']
    hinge = True

    def __init__(
        self,
        *,
        from_logits: bool = True,
        ignore_class: int | None = None,
        sync: bool = True,
        loss_weight: float = 1.0,
        per_image: bool = True,
        name: str | None = None,
        reduction: str | None = 'sum_over_batch_size',
        dtype: DType | None = None,
    ) -> None:
        super().__init__(locals())
