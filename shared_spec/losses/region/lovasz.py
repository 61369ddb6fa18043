"""The Lovasz losses: Lovasz softmax on probabilities, Lovasz hinge on logits."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.checks import CLASSES, Boolean
from shared_spec.declare import (
    CellWeighted,
    Example,
    LossSpec,
    Shared,
    SpecError,
    Weighted,
    as_shared,
    loss_spec,
    param,
)
from shared_spec.granularity import reduce_cells
from shared_spec.inputs import Batch, prepare
from shared_spec.typing import Classes

JACCARD = 'J_k = 1 - (|y| - sum_{i<=k} v*y) / (|y| + sum_{i<=k} v*(1 - y))'
TIE = 1e-12  # increments closer than this are the same number


def jaccard_increments(y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Algorithm 1 of the paper: J_k - J_(k-1) of pixels sorted by falling error, each of which turns wrong in turn.

    y (P,) in {0, 1}, weight (P,); the Jaccard loss J_k is that of the first k pixels wrong and the others right. Before
    a class without a pixel meets the first wrong one its 0/0 is a loss of 0.
    """
    foreground = (weight * y).sum()
    intersection = foreground - np.cumsum(weight * y)
    union = foreground + np.cumsum(weight * (1 - y))
    jaccard = np.where(union > 0, 1 - intersection / np.where(union > 0, union, 1), 0.0)
    return np.diff(jaccard, prepend=0.0)


class Lovasz(LossSpec):
    """What the two share; ``errors``, ``cost`` and ``slope`` tell them apart."""

    family = 'region'
    labels = ('hard',)
    reductions: ClassVar[tuple[str, ...]] = ('mean', 'none')
    presence_threshold = 0.0  # a class is present where any pixel that counts belongs to it

    if TYPE_CHECKING:  # what both have
        per_image: bool
        classes: Classes
        class_weight: tuple[float, ...] | None
        normalize_class_weight: bool

    @property
    def granularity(self) -> str:
        """The means are those of the other region losses: over images, or over the data set (batch)."""
        return 'I' if self.per_image else 'D'

    def errors(self, batch: Batch) -> np.ndarray:
        """(N, C, P) the errors by which pixels are sorted."""
        raise NotImplementedError(type(self).__name__)

    def cost(self, errors: np.ndarray) -> np.ndarray:
        """What an error costs."""
        return errors

    def slope(self, errors: np.ndarray) -> np.ndarray:
        """The derivative of ``cost``, not a number at a kink."""
        return np.ones_like(errors)

    def increments(self, batch: Batch, last_first: bool = False) -> np.ndarray:
        """(N, C, P) the increment of each pixel; of pixels with the same error the first comes first, or the last."""
        errors = self.errors(batch)
        n, c, p = errors.shape
        result = np.zeros((n, c, p))
        for images in [[i] for i in range(n)] if self.per_image else [list(range(n))]:
            for k in range(c):
                e, y, weight = (x[images].ravel() for x in (errors[:, k], batch.target[:, k], batch.weight))
                order = np.argsort(-e, kind='stable')
                if last_first:
                    order = len(e) - 1 - np.argsort(-e[::-1], kind='stable')
                increments = np.zeros_like(e)
                increments[order] = jaccard_increments(y[order], weight[order])
                result[images, k] = increments.reshape(len(images), p)
        return result

    def of_batch(
        self, batch: Batch, reduction: str = 'mean', increments: np.ndarray | None = None
    ) -> float | np.ndarray:
        """The loss of a ``Batch``; for the reduction 'none' those of its images or classes.

        increments (N, C, P): those of another prediction, as if its errors had the same order.
        """
        increments = self.increments(batch) if increments is None else increments
        sums = (self.cost(self.errors(batch)) * increments).sum(2)
        return reduce_cells(self, batch, [sums], lambda loss: loss, reduction)

    def reference_near(
        self, pred: ArrayLike, target: ArrayLike, pixel_weight: ArrayLike | None = None, **extras: Any
    ) -> Callable[[np.ndarray], Any] | None:
        """The loss with the increments of ``pred``; None where the order of equal errors decides the gradient."""
        batch = prepare(self, pred, target, pixel_weight, **extras)
        increments, others = self.increments(batch), self.increments(batch, last_first=True)
        if not (np.abs(self.slope(self.errors(batch)) * (increments - others)) <= TIE).all():
            return None
        return lambda p: self.reference(p, target, pixel_weight, increments=increments, **extras)


@loss_spec
class LovaszSoftmaxLoss(Lovasz, CellWeighted, Shared):
    """Lovasz extension of the Jaccard loss, on probabilities."""

    title = 'Lovasz softmax loss'
    formula = (
        'sum_k m_k * (J_k - J_{k-1}) over the pixels sorted by falling error m = 1 - p_c where y is class c, p_c '
        f'elsewhere; {JACCARD}; mean over classes'
    )
    source = 'Berman, Rannen Triki, Blaschko: The Lovasz-Softmax loss, arXiv 1705.08790, Algorithm 1'
    remarks = (
        'The increments are constants: the gradient of an error is its increment. A prediction of zeros and ones costs '
        "1 - IoU. An absent class that counts (classes='all' or a list) costs its largest error. Under per_image an "
        'image in which no class counts is left out, as under granularity I. A pixel of weight two is two pixels. One '
        'channel is the foreground. Hard labels alone: errors from soft ones have no Jaccard loss to extend. The '
        "official code takes classes='present' by identity (a string from a file means 'all') and fails or gives an "
        'empty tensor where everything is ignored; here that is 0. Processes of PyTorch that share a batch '
        '(per_image False, sync) gather and sort its pixels up to 65536 of them. Of more they add up counts in fine '
        'bins of the error, and pixels of one bin share their increments: value within 1e-6, or 1e-6 of itself above '
        '1, gradient within 1e-3 of its largest entry, but where errors are equal, which may share it in many ways. '
        'Keras counts more than 65536 pixels that take turns together in bins too, but for float64, within the same.'
    )

    per_image: bool = param(False, Boolean(), 'the mean of one loss per image, instead of sorting the whole batch')
    classes: Classes = param(
        'auto', CLASSES, "which classes count; 'auto' and 'present': those of the batch, under per_image of the image"
    )

    examples = {
        'default': Example(),
        'per_image': Example(dict(per_image=True, loss_weight=0.7)),
        'all_weighted': Example(dict(classes='all'), class_weight=True),
        'per_image_all_weighted': Example(dict(classes='all', per_image=True), class_weight=True),
        'list_sigmoid': Example(dict(classes=[2, 1], activation='sigmoid'), channels=('many',)),
        'foreground': Example(dict(classes=[1], per_image=True)),
    }

    def errors(self, batch: Batch) -> np.ndarray:
        return np.where(batch.target > 0, 1 - batch.prob, batch.prob)


@loss_spec
class LovaszHingeLoss(Lovasz, Weighted):
    """Lovasz extension of the Jaccard loss, on the hinge of one logit."""

    title = 'Lovasz hinge loss'
    formula = (
        'sum_k max(e_k, 0) * (J_k - J_{k-1}) over the pixels sorted by falling error e = 1 - z*(2*y - 1); '
        f'{JACCARD}; mean over images'
    )
    source = 'Berman, Rannen Triki, Blaschko: The Lovasz-Softmax loss, arXiv 1705.08790; Yu, Blaschko: arXiv 1512.07797'
    remarks = (
        'Binary: one channel of logits. An image without foreground costs its largest error. An image without a valid '
        'pixel counts nowhere (the official code counts it with a loss of 0). A pixel of weight two is two pixels. '
        'Processes that share a batch (per_image False, sync): as LovaszSoftmaxLoss. So '
        'are more than 65536 pixels in Keras.'
    )
    channels = ('one',)
    needs_logits = True
    activation = 'sigmoid'
    classes = 'all'
    class_weight = None
    normalize_class_weight = False

    from_logits: bool = param(
        True, Boolean(), 'must be True: the hinge is defined on logits', keras_default=True, always=('keras',)
    )
    ignore_index: int | None = as_shared('ignore_index')
    sync: bool = as_shared('sync')
    per_image: bool = param(True, Boolean(), 'the mean of one loss per image, instead of sorting the whole batch')

    examples = {
        'default': Example(),
        'batch': Example(dict(per_image=False, loss_weight=0.7)),
    }

    def validate(self) -> None:
        if not self.from_logits:
            raise SpecError(
                owner='LovaszHingeLoss',
                parameter='from_logits',
                given=False,
                allowed='True, the hinge is defined on logits',
            )

    def errors(self, batch: Batch) -> np.ndarray:
        return 1 - batch.logits * (2 * batch.target - 1)

    def cost(self, errors: np.ndarray) -> np.ndarray:
        return np.maximum(errors, 0)

    def slope(self, errors: np.ndarray) -> np.ndarray:
        return np.where(errors == 0, np.nan, errors > 0)
