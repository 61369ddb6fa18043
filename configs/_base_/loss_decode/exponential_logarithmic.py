# Powers of the logarithms of Dice and cross-entropy, for classes of very different sizes.
loss_decode = [dict(type='ExponentialLogarithmicLoss', ignore_index=255)]
