import keras

settings = dict(optimizer='adam', loss='sparse_categorical_crossentropy', metrics=['accuracy'])
model = keras.Sequential()
model.add(keras.layers.Conv2D(2, 1))
model.add(keras.layers.Softmax())
model.compile(**settings)
model.fit(x, y, class_weight={0: 1.0, 1: 4.0}, sample_weight=w)
