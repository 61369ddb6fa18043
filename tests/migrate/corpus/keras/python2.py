from keras.models import Model
model.compile(optimizer='adam', loss='binary_crossentropy')
print "training"
