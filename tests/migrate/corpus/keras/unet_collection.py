from functools import partial
from tensorflow import keras
from keras_unet_collection import models, losses

model = models.att_unet_2d((128, 128, 3), [64, 128, 256], n_labels=3, output_activation='Softmax', name='att')
model.compile(loss=[partial(losses.focal_tversky, alpha=0.7, gamma=4 / 3)], optimizer=keras.optimizers.Adam(1e-4), metrics=['accuracy', losses.dice_coef])
