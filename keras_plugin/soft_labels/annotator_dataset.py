"""Images with the label maps of several annotators as batches for ``fit``."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from shared_spec.checks import Integer
from shared_spec.parameters import check_parameter
from shared_spec.soft_label_arguments import check_parameters, check_weighting
from shared_spec.soft_labels import average_annotators

OWNER = 'AnnotatorDataset'


class AnnotatorDataset(keras.utils.PyDataset):
    """Batches (images, soft labels, pixel weights) of images and the class ids of their annotators, on every backend.

    images: (N, *space, channels), or a sequence of arrays; annotators: for each image a list of label maps (*space), of any
    number, None for an annotator who has none of it; one has to be there. ``augment(image, maps)`` gives both back changed
    alike, in each epoch anew. The soft labels (batch, *space, C) are the average of an image's maps ('uniform', or 'dice' by
    the agreement with most), float32; the weights (batch, *space) are 0 where an annotator ignores a pixel. shuffle: a new
    order in each epoch, by the seed, from ``initial_epoch`` on where training is resumed; ``fit(shuffle=False)`` leaves
    it at that. ValueError or TypeError in one sentence for what are no maps of an image's size.
    """

    def __init__(
        self,
        images: Sequence[Any] | np.ndarray,
        annotators: Sequence[Sequence[Any]],
        batch_size: int = 8,
        *,
        num_classes: int = 2,
        weighting: str = 'uniform',
        ignore_class: int | None = None,
        augment: Callable[[Any, list[np.ndarray]], tuple[Any, list[np.ndarray]]] | None = None,
        shuffle: bool = True,
        seed: int = 0,
        initial_epoch: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.batch_size = check_parameter(OWNER, 'batch_size', Integer(low=1), batch_size)
        self.num_classes, self.ignore_class = check_parameters(
            OWNER, num_classes=num_classes, ignore_class=ignore_class
        )
        check_weighting(OWNER, weighting, self.num_classes)
        if len(images) != len(annotators):
            raise ValueError(
                f'{OWNER}: annotators must have a list for each of {len(images)} images, got {len(annotators)}'
            )
        self.images, self.weighting, self.augment, self.seed = images, weighting, augment, seed
        self.maps = [self.known(number, maps) for number, maps in enumerate(annotators)]
        self.shuffle, self.epoch = shuffle, check_parameter(OWNER, 'initial_epoch', Integer(low=0), initial_epoch)
        self.order = self.drawn()

    def known(self, number: int, maps: Sequence[Any]) -> list[np.ndarray]:
        """The maps of an image that are there, of its size."""
        found, size = [np.asarray(one) for one in maps if one is not None], np.shape(self.images[number])[:-1]
        if not found:
            raise ValueError(f'{OWNER}: image {number} must have the map of one annotator, got none')
        for one in found:
            if one.shape != size:
                raise ValueError(f'{OWNER}: the maps of image {number} must be {size} as it is, got {one.shape}')
        return found

    def drawn(self) -> np.ndarray:
        """The order of the images in this epoch."""
        if not self.shuffle:
            return np.arange(len(self.images))
        return np.random.default_rng((self.seed, self.epoch)).permutation(len(self.images))

    def __len__(self) -> int:
        return math.ceil(len(self.images) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        images, soft = zip(*(self.one(int(number)) for number in chosen))
        labels = np.stack(soft)
        return np.stack(images), labels, (labels.sum(-1) > 0).astype(np.float32)

    def one(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """An image and its soft labels (*space, C)."""
        image, maps = self.images[number], self.maps[number]
        if self.augment is not None:
            image, maps = self.augment(image, [one.copy() for one in maps])
        given = dict(num_classes=self.num_classes, ignore_index=self.ignore_class)
        try:
            soft = average_annotators([one[None] for one in maps], self.weighting, **given)[0]
        except (TypeError, ValueError) as error:
            raise type(error)(f'{OWNER}: {str(error).partition(": ")[2]} (image {number})') from None
        return np.asarray(image), np.moveaxis(soft, 0, -1).astype(np.float32)

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self.order = self.drawn()
