import keras
from keras_plugin import losses, metrics

model = keras.Sequential([keras.layers.Conv2D(4, 1)])
model.compile(
    optimizer='adam',
    loss=losses.WeightedSumLoss([losses.SoftDiceLoss(from_logits=True), losses.WeightedCrossEntropyLoss(from_logits=True, ignore_class=255)], weights=[1.0, 0.5]),
    metrics=[metrics.MeanIoU(num_classes=4, from_logits=True)],
)
