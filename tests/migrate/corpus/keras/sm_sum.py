import numpy as np
import segmentation_models as sm
from keras.optimizers import Adam
from keras.utils import to_categorical

BACKBONE = 'resnet34'
n_classes = 4
activation = 'softmax'
labels = to_categorical(masks, num_classes=n_classes)

dice_loss = sm.losses.DiceLoss(class_weights=np.array([0.25, 0.25, 0.25, 0.25]))
focal_loss = sm.losses.CategoricalFocalLoss()
total_loss = dice_loss + (1 * focal_loss)
metrics = [sm.metrics.IOUScore(threshold=0.5), sm.metrics.FScore(threshold=0.5)]

model = sm.Unet(BACKBONE, encoder_weights='imagenet', classes=n_classes, activation=activation)
model.compile(Adam(0.0001), total_loss, metrics)
