import numpy as np
from keras.models import Model
from keras.layers import Input, Conv2D
from keras.optimizers import Adam
from keras import backend as K

smooth = 1.


def dice_coef(y_true, y_pred):
    t, p = K.flatten(y_true), K.flatten(y_pred)
    both = K.sum(t * p)
    return (2. * both + smooth) / (K.sum(t) + K.sum(p) + smooth)


def dice_coef_loss(y_true, y_pred):
    return -dice_coef(y_true, y_pred)


def network(rows, cols):
    inputs = Input((rows, cols, 1))
    x = Conv2D(32, (3, 3), activation='relu', padding='same')(inputs)
    x = Conv2D(1, (1, 1), activation='sigmoid')(x)
    model = Model(inputs=[inputs], outputs=[x])
    model.compile(optimizer=Adam(lr=1e-5), loss=dice_coef_loss, metrics=[dice_coef])
    return model


def train():
    model = network(96, 96)
    masks = np.load('masks.npy').astype('float32')
    masks /= 255.
    model.fit(images, masks, batch_size=32)


if __name__ == '__main__':
    train()
