import keras
import keras_hub

model = keras_hub.models.DeepLabV3ImageSegmenter.from_preset('deeplab_v3_plus_resnet50_pascalvoc', num_classes=21, activation='softmax')
model.compile(
    optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
    loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=255),
    metrics=[keras.metrics.SparseCategoricalAccuracy()],
    weighted_metrics=[keras.metrics.MeanIoU(21)],
)
