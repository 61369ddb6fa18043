import tensorflow as tf

ce = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
dice = tf.keras.losses.Dice()
optimizer = tf.keras.optimizers.Adam(1e-3)
model = build()


@tf.function
def train_step(images, masks):
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        loss = ce(masks, logits) + 0.5 * dice(tf.one_hot(masks, 4), tf.nn.softmax(logits))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


for epoch in range(20):
    for images, masks in dataset:
        train_step(images, masks)
