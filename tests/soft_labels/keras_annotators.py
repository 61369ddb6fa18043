"""What tests/soft_labels/test_annotators.py asks of Keras' workers."""

import keras
import numpy as np

from keras_plugin import losses
from keras_plugin.soft_labels import AnnotatorDataset
from tests.soft_labels.messages import message


def data(count=5):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(count, 6, 7, 3)).astype(np.float32)
    maps = [[rng.integers(0, 2, (6, 7)) for _ in range(1 + k % 3)] + [None] * (k % 2) for k in range(count)]
    maps[0][0][:2] = 255
    return images, maps


def batches(arrays):
    """The batches of two epochs, and what a model's loss becomes by ``fit``."""
    images, maps = data()
    dataset = AnnotatorDataset(images, maps, batch_size=2, ignore_class=255, augment=flipped)
    found, order = {}, []
    for _ in range(2):
        for k in range(len(dataset)):
            x, y, w = dataset[k]
            for image, soft, weight in zip(x, y, w):
                number = int(np.argmin([abs(image[:, ::-1] - one).sum() for one in images]))
                order.append(number)
                found[f'soft.{number}'], found[f'weight.{number}'] = soft[:, ::-1], weight[:, ::-1]
        dataset.on_epoch_end()
    again = AnnotatorDataset(images, maps, batch_size=5, ignore_class=255, initial_epoch=1)
    found['second'] = again[0][0]
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6, 7, 3)), keras.layers.Conv2D(2, 1)])
    model.compile(optimizer=keras.optimizers.Adam(0.05), loss=losses.JaccardMetricLoss(from_logits=True))
    history = model.fit(dataset, epochs=6, verbose=0).history['loss']
    return [order, history], found


def batch(arrays):
    """The batch of an image whose masks are given, and of its mirror image, with an annotator who has none of it."""
    masks = list(arrays['masks'])
    images = np.zeros((2, *masks[0].shape, 3), np.float32)
    given = [[*masks, None], [mask[:, ::-1] for mask in masks]]
    dataset = AnnotatorDataset(images, given, batch_size=2, weighting='dice', shuffle=False)
    _, soft, weight = dataset[0]
    return None, {'soft': soft, 'weight': weight}


def flipped(image, maps):
    return image[:, ::-1], [one[:, ::-1] for one in maps]


def refusals(arrays):
    images, maps = data(2)
    small = [maps[0], [np.zeros((2, 2), int)]]
    return {
        'nobody': message(AnnotatorDataset, images, [maps[0], [None]]),
        'size': message(AnnotatorDataset, images, small),
        'number': message(AnnotatorDataset, images, maps[:1]),
        'class': message(lambda: AnnotatorDataset(images, maps)[0]),
        'batch_size': message(AnnotatorDataset, images, maps, batch_size=0),
        'weighting': message(AnnotatorDataset, images, maps, num_classes=3, weighting='dice'),
    }, {}
