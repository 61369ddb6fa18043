from keras.layers import *
from keras.models import *
from keras.utils.np_utils import to_categorical

NUM_CLASSES = 12


def segnet(n_classes, height=360, width=480):
    image = Input(shape=(height, width, 3))
    x = Convolution2D(64, 3, 3, border_mode='same')(image)
    x = BatchNormalization()(x)
    x = Convolution2D(n_classes, 1, 1, border_mode='valid')(x)
    x = Reshape((height * width, n_classes))(x)
    x = Activation('softmax')(x)
    return Model(image, x)


model = segnet(NUM_CLASSES)
model.compile(loss='categorical_crossentropy', optimizer='adadelta', metrics=['acc'])
labels = to_categorical(labels, NUM_CLASSES)
