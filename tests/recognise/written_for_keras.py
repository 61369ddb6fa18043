"""Losses as people write them for Keras, f(y_true, y_pred) with channels last. None is right because it is here."""

import keras
from keras import ops

K = keras.backend


def dice_coef(y_true, y_pred, smooth=1.0):
    y_true, y_pred = ops.reshape(y_true, [-1]), ops.reshape(y_pred, [-1])
    overlap = ops.sum(y_true * y_pred)
    return (2.0 * overlap + smooth) / (ops.sum(y_true) + ops.sum(y_pred) + smooth)


def dice_coef_loss(y_true, y_pred):
    return -dice_coef(y_true, y_pred)


def dice_score_as_loss(y_true, y_pred):
    return dice_coef(y_true, y_pred, 100.0)


def dice_per_image(y_true, y_pred):
    overlap = ops.sum(y_true * y_pred, axis=[1, 2, 3])
    size = ops.sum(y_true, axis=[1, 2, 3]) + ops.sum(y_pred, axis=[1, 2, 3])
    return ops.mean(1 - (2.0 * overlap + 1e-3) / (size + 1e-3))


def dice_per_image_and_class(y_true, y_pred):
    overlap = ops.sum(y_true * y_pred, axis=[1, 2])
    size = ops.sum(y_true, axis=[1, 2]) + ops.sum(y_pred, axis=[1, 2])
    return 1 - ops.mean((2.0 * overlap + 1) / (size + 1))


def squared_dice(y_true, y_pred):
    overlap = ops.sum(y_true * y_pred)
    return 1 - (2 * overlap + 1e-6) / (ops.sum(ops.square(y_true)) + ops.sum(ops.square(y_pred)) + 1e-6)


def jaccard_distance_100(y_true, y_pred):
    overlap = ops.sum(y_true * y_pred)
    union = ops.sum(y_true) + ops.sum(y_pred) - overlap
    return 100 * (1 - (overlap + 100) / (union + 100))


def jaccard_distance(y_true, y_pred, smooth=100):  # keras-contrib's: axis=-1
    overlap = ops.sum(ops.abs(y_true * y_pred), axis=-1)
    size = ops.sum(ops.abs(y_true) + ops.abs(y_pred), axis=-1)
    return (1 - (overlap + smooth) / (size - overlap + smooth)) * smooth


def bce_dice_loss(y_true, y_pred):
    return ops.mean(keras.losses.binary_crossentropy(y_true, y_pred)) + 1 - dice_coef(y_true, y_pred)


def half_bce_less_dice(y_true, y_pred):
    return 0.5 * ops.mean(keras.losses.binary_crossentropy(y_true, y_pred)) - dice_coef(y_true, y_pred)


def tversky(y_true, y_pred, alpha=0.7):
    tp = ops.sum(y_true * y_pred)
    fn = ops.sum(y_true * (1 - y_pred))
    fp = ops.sum((1 - y_true) * y_pred)
    return (tp + 1) / (tp + alpha * fn + (1 - alpha) * fp + 1)


def focal_tversky(y_true, y_pred):
    return ops.power(1 - tversky(y_true, y_pred), 0.75)


def log_dice(y_true, y_pred):
    return -ops.log(dice_coef(y_true, y_pred))


def weighted_ce(y_true, y_pred):  # one-hot labels
    weights = ops.convert_to_tensor([0.5, 1.0, 3.0])
    return ops.mean(-ops.sum(ops.cast(weights, y_pred.dtype) * y_true * ops.log(y_pred), axis=-1))


def weighted_dice(y_true, y_pred):  # as segmentation_models: weights on the scores, 1 less their mean
    weights = ops.cast(ops.convert_to_tensor([0.5, 1.0, 3.0]), y_pred.dtype)
    overlap = ops.sum(y_true * y_pred, axis=[0, 1, 2])
    size = ops.sum(y_true, axis=[0, 1, 2]) + ops.sum(y_pred, axis=[0, 1, 2])
    return 1 - ops.mean(weights * (2 * overlap + 1e-5) / (size + 1e-5))


def softmax_dice(y_true, y_pred):  # several classes in one sum, softmax inside
    y_pred = ops.softmax(y_pred, axis=-1)
    return 1 - (2 * ops.sum(y_true * y_pred) + 1) / (ops.sum(y_true) + ops.sum(y_pred) + 1)


def mean_dice(y_true, y_pred):  # means in place of sums
    overlap = ops.mean(y_true * y_pred)
    return 1 - (2 * overlap + 0.01) / (ops.mean(y_true) + ops.mean(y_pred) + 0.01)


def doubled_smooth(y_true, y_pred):
    overlap = ops.sum(y_true * y_pred)
    return 1 - 2 * (overlap + 1) / (ops.sum(y_true) + ops.sum(y_pred) + 1)


def unnamed(a, b):  # the prediction first, which Keras does not do
    return ops.mean(-b * ops.log(a) - (1 - b) * ops.log(1 - a)) + 1 - dice_coef(b, a)


class MyDice(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return 1 - dice_coef(y_true, y_pred, 2.0)


built_in = keras.losses.Dice()
sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
