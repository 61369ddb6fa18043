import keras
from keras import layers, ops

num_classes = 19


def head(x):
    x = layers.Conv2D(num_classes, 1, dtype='float32')(x)
    return layers.UpSampling2D(4, interpolation='bilinear')(x)


inputs = keras.Input((512, 1024, 3))
x = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
x = layers.Conv2D(32, 3, strides=4, padding='same')(x)
model = keras.Model(inputs, head(ops.relu(x)))
model.compile(
    optimizer=keras.optimizers.AdamW(1e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255),
    metrics=[
        'sparse_categorical_accuracy',
        keras.metrics.MeanIoU(num_classes=num_classes, ignore_class=255, sparse_y_pred=False),
    ],
)
