import tensorflow as tf
import tensorflow_addons as tfa

model = tf.keras.Sequential([tf.keras.layers.Conv2D(1, 1, activation='sigmoid')])
model.compile('adam', loss=tfa.losses.SigmoidFocalCrossEntropy(alpha=0.25, gamma=2.0, reduction=tf.keras.losses.Reduction.SUM_OVER_BATCH_SIZE), metrics=[tfa.metrics.F1Score(num_classes=1)])
