import tensorflow as tf


class DiceLoss(tf.keras.losses.Loss):
    def __init__(self, smooth=1.0, name='dice_loss'):
        super().__init__(name=name)
        self.smooth = smooth

    def call(self, y_true, y_pred):
        both = tf.reduce_sum(y_true * y_pred, axis=[1, 2, 3])
        size = tf.reduce_sum(y_true, axis=[1, 2, 3]) + tf.reduce_sum(y_pred, axis=[1, 2, 3])
        return 1 - (2 * both + self.smooth) / (size + self.smooth)


strategy = tf.distribute.MirroredStrategy()
with strategy.scope():
    model = tf.keras.Sequential([tf.keras.layers.Conv2D(1, 1, activation='sigmoid')])
    model.compile(loss=DiceLoss(smooth=1e-5), optimizer='rmsprop', metrics=[tf.keras.metrics.MeanIoU(num_classes=2)])
