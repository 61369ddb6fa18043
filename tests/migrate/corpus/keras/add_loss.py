import keras

inputs = keras.Input((32, 32, 3))
labels = keras.Input((32, 32, 1))
outputs = keras.layers.Conv2D(1, 1, activation='sigmoid')(inputs)
model = keras.Model([inputs, labels], outputs)
model.add_loss(keras.losses.binary_crossentropy(labels, outputs))
model.compile(optimizer='adam', metrics=['mae'])
