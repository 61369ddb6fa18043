# Dice and focal cross-entropy, each logged by itself: small classes from the one, hard pixels from the other.
loss_decode = [
    dict(type='SoftDiceLoss', ignore_index=255),
    dict(type='FocalCrossEntropyLoss', gamma=2.0, ignore_index=255),
]
