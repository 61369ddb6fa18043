import tensorflow as tf
from tensorflow.keras import layers as L

image = tf.keras.Input((128, 128, 3))
x = L.Conv2D(16, 3, padding='same', activation='relu')(image)
mask = L.Conv2D(5, 1, activation='softmax', name='mask')(x)
edge = L.Conv2D(1, 1, activation='sigmoid', name='edge')(x)
model = tf.keras.Model(image, outputs=[mask, edge])
model.compile(
    optimizer='adam',
    loss={'mask': tf.keras.losses.CategoricalCrossentropy(label_smoothing=0.1), 'edge': 'bce'},
    loss_weights={'mask': 1.0, 'edge': 0.4},
    metrics={'mask': ['accuracy', tf.keras.metrics.OneHotMeanIoU(num_classes=5)], 'edge': tf.keras.metrics.BinaryIoU([1])},
)
