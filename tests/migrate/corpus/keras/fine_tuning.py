import keras

base = keras.applications.MobileNetV2(include_top=False)
x = keras.layers.Conv2DTranspose(3, 3, strides=32, padding='same')(base.output)
model = keras.Model(inputs=base.input, outputs=x)
base.trainable = False
model.compile('adam', loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=['accuracy'])
model.fit(train, epochs=5)
base.trainable = True
model.compile(keras.optimizers.Adam(1e-5), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=['accuracy'])
