from tensorflow import keras
from own_losses import focal_tversky, tversky

model = keras.models.Sequential([keras.layers.Conv2D(1, 1, activation='sigmoid')])
model.compile(loss=focal_tversky, optimizer='sgd', metrics=[tversky, 'Precision', 'Recall'])
