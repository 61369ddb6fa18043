import keras

LOSS = 'tversky'
LOSSES = dict(dice=keras.losses.Dice, tversky=keras.losses.Tversky)
ARGUMENTS = {'dice': {}, 'tversky': {'alpha': 0.3, 'beta': 0.7, 'axis': [1, 2]}}
model = keras.Sequential([keras.layers.Conv2D(3, 1), keras.layers.Softmax()])
model.compile('adam', LOSSES[LOSS](**ARGUMENTS[LOSS]), run_eagerly=True)
