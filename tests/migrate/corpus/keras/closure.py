import numpy as np
from keras import backend as K
from keras.models import Sequential
from keras.layers import Conv2D, Activation


def weighted_categorical_crossentropy(weights):
    weights = K.variable(weights)

    def loss(y_true, y_pred):
        y_pred /= K.sum(y_pred, axis=-1, keepdims=True)
        y_pred = K.clip(y_pred, K.epsilon(), 1 - K.epsilon())
        return -K.sum(y_true * K.log(y_pred) * weights, -1)

    return loss


model = Sequential()
model.add(Conv2D(16, 3, padding='same', input_shape=(64, 64, 3)))
model.add(Conv2D(3, 1))
model.add(Activation('softmax'))
model.compile(loss=weighted_categorical_crossentropy(np.array([0.5, 2.0, 10.0])), optimizer='adam')
