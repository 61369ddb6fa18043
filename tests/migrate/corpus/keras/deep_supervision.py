from keras import layers, losses, models

DEPTH = 3
inputs = layers.Input((None, None, 3))
x, outputs = inputs, []
for level in range(DEPTH):
    x = layers.Conv2D(8 * 2**level, 3, padding='same')(x)
    outputs.append(layers.Conv2D(1, 1, activation='sigmoid', name=f'out{level}')(x))
model = models.Model(inputs, outputs)
model.compile('adam', loss=[losses.binary_crossentropy] * DEPTH, loss_weights=[2.0 ** -k for k in range(DEPTH)])
