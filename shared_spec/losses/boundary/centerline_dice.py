"""clDice: whether the centre lines of prediction and label lie in each other, beside Dice."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared_spec.checks import CLASSES, Integer, Real
from shared_spec.declare import CellWeighted, Counted, Example, Granular, Shared, loss_spec, param
from shared_spec.granularity import reduce_cells
from shared_spec.inputs import Batch, prepare
from shared_spec.overlap import product_overlap, score, total
from shared_spec.typing import Classes

Sources = list[tuple[np.ndarray, np.ndarray, np.ndarray]]


@loss_spec
class CenterlineDiceLoss(Counted, Granular, CellWeighted, Shared):
    """clDice with Dice."""

    family = 'boundary'
    of_overlap = True
    spatial_axes = (2, 3)
    title = 'clDice, on soft centre lines, with Dice'
    formula = (
        '(1 - alpha) * (1 - Dice) + alpha * (1 - 2*a*b / (a + b)) per cell; a = (sum S(p)*y + smooth) / (sum S(p) + '
        'smooth), b = (sum S(y)*p + smooth) / (sum S(y) + smooth), S the soft skeleton: S = relu(x - open x), then so '
        'many times x = erode x, d = relu(x - open x), S = S + d*(1 - S); Dice of the product overlap'
    )
    source = 'Shit et al.: clDice, arXiv 2003.07311'
    remarks = (
        'open x is dilate(erode x): the least of a pixel and its neighbours along the axes, then the largest of the 3 x 3 '
        '(3 x 3 x 3) square. What lies beyond the image takes no part in either, and neither does an ignored pixel. '
        'iterations is the largest radius of a vessel in pixels, or more; alpha is the share of clDice. '
        "MONAI's SoftDiceclDiceLoss has 3 iterations; its clDice adds up all channels of an image before the ratios and "
        'has one more epsilon below 2*a*b, its Dice is that of each channel with half of our smooth. Where pixels that '
        'compete in a window are equal, the gradient is split among them.'
    )

    classes: Classes = param(
        'all', CLASSES, "which classes count; 'auto': those present for hard labels, all for soft labels"
    )
    smooth: float = param(1.0, Real(low=0), 'added to numerator and denominator of each score, in pixels')
    iterations: int = param(
        10, Integer(low=0), 'erosions of a skeleton: the radius of the thickest structure, in pixels'
    )
    alpha: float = param(0.5, Real(low=0, high=1), 'share of clDice, the rest is Dice')

    examples = {
        'few': Example(dict(iterations=2)),
        'image_class': Example(
            dict(iterations=1, granularity={'I': 0.5, 'C': 0.5}, alpha=0.8, classes='present'), class_weight=True
        ),
        'sigmoid_smooth0': Example(
            dict(iterations=0, activation='sigmoid', smooth=0.0, alpha=1.0, loss_weight=0.7, classes=[1])
        ),
    }

    def cell_loss(self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, *lines: np.ndarray) -> np.ndarray:
        """lines: the skeleton of the prediction in the label and in all, that of the label in the prediction and in all."""
        hit, predicted, found, labelled = lines
        a, b = (
            score(top, bottom - top, 0 * top, 1, 1, self.smooth)
            for top, bottom in ((hit, predicted), (found, labelled))
        )
        both = np.where(a + b != 0, 2 * a * b / np.where(a + b != 0, a + b, 1), 0)
        return (1 - self.alpha) * (1 - score(tp, fp, fn, 0.5, 0.5, self.smooth)) + self.alpha * (1 - both)

    def of_batch(
        self, batch: Batch, reduction: str = 'mean', sources: list[Sources] | None = None
    ) -> float | np.ndarray:
        """The loss of a ``Batch``; sources: those of the skeletons of prediction and label, by default of ``batch``."""
        v, y = batch.weight, np.where(batch.weight[:, None] > 0, batch.target, 0)
        sources = self.sources(batch) if sources is None else sources
        of_p, of_y = (skeleton(x, s) for x, s in zip((batch.prob, y), sources))
        lines = total(v, of_p * y), total(v, of_p), total(v, of_y * batch.prob), total(v, of_y)
        statistics = (*product_overlap(batch), *lines)
        return reduce_cells(self, batch, statistics, self.cell_loss, reduction)

    def sources(self, batch: Batch) -> list[Sources]:
        """Which pixels the skeletons of prediction and label are made of."""
        counts = batch.weight > 0
        valid = counts.reshape(len(counts), 1, *batch.space)
        maps = (batch.prob, np.where(counts[:, None], batch.target, 0))
        return [sources_of(x.reshape(*x.shape[:2], *batch.space), valid, self.iterations) for x in maps]

    def reference_near(
        self, pred: ArrayLike, target: ArrayLike, pixel_weight: ArrayLike | None = None, **extras: Any
    ) -> Callable[[np.ndarray], Any] | None:
        """The reference with the least and the largest pixels as they are at ``pred``; None where two are equal."""
        batch = prepare(self, pred, target, pixel_weight, **extras)
        for image, counts in zip(batch.prob, batch.weight > 0):
            if any(len(np.unique(channel)) < channel.size for channel in image[:, counts]):
                return None
        kept = self.sources(batch)
        return lambda x: self.reference(x, target, pixel_weight, **extras, sources=kept)


def skeleton(x: np.ndarray, sources: Sources) -> np.ndarray:
    """(N, C, P) the soft skeleton of maps."""
    x = np.append(x.ravel(), [0, 1])
    found = np.zeros(sources[0][0].shape)
    for eroded, opened, above in sources:
        delta = np.where(above, x[eroded] - x[opened], 0)
        found = found + delta * (1 - found)
    return found.reshape(*found.shape[:2], int(np.prod(found.shape[2:])))


def sources_of(x: np.ndarray, valid: np.ndarray, iterations: int) -> Sources:
    """Of each erosion of x (N, C, *space): (which pixel of x stands at each pixel, which after opening, where the first is larger).

    Pixels as places in ``x.ravel()``, after which come a 0 and a 1; valid (N, 1, *space): which take part.
    """
    zero, one = x.size, x.size + 1
    values, at = np.append(x.ravel(), [0, 1]), np.arange(x.size).reshape(x.shape)
    square = list(product((-1, 0, 1), repeat=x.ndim - 2))
    cross = [step for step in square if np.count_nonzero(step) < 2]

    def pick(which: Callable[..., np.ndarray], at: np.ndarray, beyond: int, steps: list[tuple[int, ...]]) -> np.ndarray:
        stack = np.stack([moved(np.where(valid, at, beyond), step) for step in steps])
        return np.asarray(np.take_along_axis(stack, which(values[stack], axis=0)[None], 0)[0])

    found = []
    for _ in range(iterations + 1):
        eroded = pick(np.argmin, at, one, cross)
        opened = pick(np.argmax, eroded, zero, square)
        found.append((at, opened, values[at] > values[opened]))
        at = eroded
    return found


def moved(x: np.ndarray, step: tuple[int, ...]) -> np.ndarray:
    """The pixel that lies a step away, at the edge of the image the one there."""
    for axis, s in enumerate(step, 2):
        x = x.take(np.clip(np.arange(x.shape[axis]) + s, 0, x.shape[axis] - 1), axis)
    return x
