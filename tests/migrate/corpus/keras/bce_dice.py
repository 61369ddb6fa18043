import tensorflow as tf
from tensorflow.keras import backend as K
from tensorflow.keras.layers import Conv2D, Input, Activation
from tensorflow.keras.losses import binary_crossentropy
from tensorflow.keras.models import Model


def dice_coeff(y_true, y_pred, smooth=1e-6):
    both = tf.reduce_sum(y_true * y_pred)
    return (2 * both + smooth) / (tf.reduce_sum(y_true) + tf.reduce_sum(y_pred) + smooth)


def dice_loss(y_true, y_pred):
    return 1 - dice_coeff(y_true, y_pred)


@tf.function
def bce_dice_loss(y_true, y_pred):
    return 0.5 * binary_crossentropy(y_true, y_pred) + dice_loss(y_true, y_pred)


i = Input((None, None, 3))
x = Conv2D(8, 3, padding='same', strides=2)(i)
x = Conv2D(1, 1)(x)
model = Model(i, Activation('sigmoid')(x))
model.compile(loss=bce_dice_loss, optimizer='adam', metrics=[dice_coeff, tf.keras.metrics.BinaryIoU()])
