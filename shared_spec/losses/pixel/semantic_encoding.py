"""Semantic encoding: which classes an image has, predicted for the image as a whole."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared_spec import shapes
from shared_spec.declare import Example, Weighted, as_shared, loss_spec
from shared_spec.inputs import Batch, prepare, times_log
from shared_spec.typing import Shape

FORMS = {'first': '(N, C) or (N, C, 1, 1)', 'last': '(N, C) or (N, 1, 1, C)'}


@loss_spec
class SemanticEncodingLoss(Weighted):
    """Semantic encoding loss: cross-entropy of the presence of each class in an image."""

    family = 'pixel'
    spatial_axes = (1, 2, 3)
    labels = ('hard',)
    activation = 'sigmoid'
    of_branch = of_image = True
    title = 'Semantic encoding: the presence of classes in an image'
    formula = 'mean over images and classes of -t log p - (1 - t) log(1 - p), t = 1 where a pixel of the image has the class, else 0'
    source = 'Zhang et al.: Context encoding for semantic segmentation, arXiv 1803.08904; PaddleSeg'
    remarks = (
        'pred holds one logit for each class and image, (N, C) or (N, C, 1, 1), in Keras (N, 1, 1, C), what a branch for the '
        'whole image predicts. Labels are those of the pixels; or of two axes (N, C), numbers 0 and 1, which classes are '
        'there, as the EncHead of MMSegmentation hands them over. An image without a pixel that counts counts nowhere; a '
        'weight of pixels leaves out those of weight 0, a weight of images weighs the mean. EncNet takes loss_weight=0.2. '
        'Probabilities are floored at 1e-7.'
    )

    from_logits: bool = as_shared('from_logits')
    ignore_index: int | None = as_shared('ignore_index')
    sync: bool = as_shared('sync')

    examples = {'default': Example(), 'weighted': Example(dict(loss_weight=0.2))}

    def adapt_case(
        self, pred: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """The mean of the prediction over the pixels that have a class; every second time with two axes of length 1."""
        n, c, *space = pred.shape
        ids = target.reshape(n, 1, *space)
        counts = (ids >= 0) & (ids < max(c, 2))
        total = np.where(counts, pred, 0).reshape(n, c, -1).sum(2)
        found = total / np.maximum(counts.reshape(n, 1, -1).sum(2), 1)
        found = found.astype(np.float32).astype(np.float64)
        return found if rng.integers(2) else found[:, :, None, None], {}

    def space_of(self, pred: Shape, target: Shape, layout: str) -> tuple[int | None, int, Shape | None]:
        """(N, C, the labels' space): of the labels' shape, None where they say which classes are there. ValueError else."""
        owner, pred, target = type(self).__name__, tuple(pred), tuple(target)
        n, c = (pred[0], pred[1 if layout == 'first' else -1]) if len(pred) in (2, 4) else (None, None)
        ones = pred[2:] if layout == 'first' else pred[1:-1]
        if c is None or any(side not in (1, None) for side in ones):
            raise ValueError(f'{owner}: pred must be {FORMS[layout]}, of images, got shape {shapes.as_text(pred)}')
        if len(target) == 2 and shapes.may_be_equal(target, (n, c)):
            return n, c, None
        if len(target) < 2 or len(target) > 5:
            form = '(N, *space) class ids or (N, C) numbers 0 and 1'
            raise ValueError(f'{owner}: target must be {form}, got shape {shapes.as_text(target)}')
        _, of_classes, rest = shapes.split(target, layout)
        return n, c, rest if len(target) > 3 and of_classes in (1, c) else target[1:]

    def of_images(self) -> 'SemanticEncodingLoss':
        """The spec for the presence of classes, in which no label is ignored."""
        return dataclasses.replace(self, ignore_index=None)

    def reference(
        self,
        pred: ArrayLike,
        target: ArrayLike,
        pixel_weight: ArrayLike | None = None,
        ignore_index: int | None = None,
        **extras: Any,
    ) -> float:
        """As ``LossSpec.reference``; ``pred`` (N, C) or (N, C, 1, 1)."""
        pred, target = np.asarray(pred), np.asarray(target)
        _, c, space = self.space_of(pred.shape, target.shape, 'first')
        if space is None:
            check_presence(type(self).__name__, target)
            present, weight = target > 0.5, pixel_weight
        else:
            batch = prepare(self, np.zeros((len(pred), c, *space)), target, pixel_weight, ignore_index)
            present, weight = batch.largest_target > 0, np.where(batch.has_pixel, batch.image_weight, 0)
        pred, present = pred.reshape(len(pred), c, 1), present.astype(int)[:, :, None]
        return float(Weighted.reference(self.of_images(), pred, present, weight, **extras))

    def of_batch(self, batch: Batch) -> float:
        """The loss of a ``Batch`` whose pixels, one of each image, are labelled with the classes that are there."""
        log_p, log_not_p = batch.log_prob()
        loss = -times_log(batch.target, log_p) - times_log(1 - batch.target, np.asarray(log_not_p))
        loss = np.where(batch.weight > 0, batch.weight * loss.mean(1), 0)
        mass = batch.weight.sum()
        return float(self.loss_weight * loss.sum() / mass) if mass else 0.0


def check_presence(owner: str, target: np.ndarray) -> None:
    """ValueError for what does not say of each class whether it is there."""
    wrong = target[(target != 0) & (target != 1)]
    if wrong.size:
        raise ValueError(
            f'{owner}: target (N, C) must say which classes are there, by 0 and 1, got {wrong.flat[0]:g}; labels of one '
            'spatial axis as long as there are classes need an axis of length 1 before it'
        )
