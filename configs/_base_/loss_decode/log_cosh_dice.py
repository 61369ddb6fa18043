# Dice with a slope that falls to 0 where the prediction is right.
loss_decode = [dict(type='LogCoshDiceLoss', ignore_index=255)]
