# Dice with classes weighted by their volume, for classes of very different sizes.
loss_decode = [dict(type='GeneralizedDiceLoss', ignore_index=255)]
