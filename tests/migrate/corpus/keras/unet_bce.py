from keras.models import Model
from keras.layers import Input, Conv2D, MaxPooling2D, UpSampling2D, concatenate
from keras.optimizers import Adam


def unet(size=(256, 256, 1)):
    inputs = Input(size)
    a = Conv2D(16, 3, activation='relu', padding='same')(inputs)
    b = MaxPooling2D((2, 2))(a)
    b = Conv2D(32, 3, activation='relu', padding='same')(b)
    c = concatenate([UpSampling2D((2, 2))(b), a], axis=3)
    c = Conv2D(2, 3, activation='relu', padding='same')(c)
    outputs = Conv2D(1, 1, activation='sigmoid')(c)
    model = Model(input=inputs, output=outputs)
    model.compile(optimizer=Adam(lr=1e-4), loss='binary_crossentropy', metrics=['accuracy'])
    return model


model = unet()
model.fit_generator(train, steps_per_epoch=300, epochs=5)
