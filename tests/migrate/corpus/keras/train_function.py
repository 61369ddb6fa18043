from tensorflow.keras.models import Model
from tensorflow.keras.layers import Input, Conv2D
import tensorflow.keras.losses as losses


def build(channels):
    x = Input((64, 64, 3))
    return Model(x, Conv2D(channels, (1, 1), activation='softmax')(x))


def train(channels=2, loss='mse', metrics=('acc',)):
    model = build(channels)
    model.compile(optimizer='adam', loss=loss, metrics=list(metrics))
    model.fit(data, epochs=10)
    return model


train(7, loss=losses.KLDivergence())
