import argparse
import keras

parser = argparse.ArgumentParser()
parser.add_argument('--loss', default='dice')
args = parser.parse_args()
losses = {'dice': keras.losses.Dice(), 'ce': 'categorical_crossentropy', 'tversky': keras.losses.Tversky(alpha=0.3, beta=0.7)}
model = keras.Sequential([keras.layers.Conv2D(3, 1, activation='softmax')])
model.compile(optimizer='adam', loss=losses[args.loss], metrics=['accuracy'])
