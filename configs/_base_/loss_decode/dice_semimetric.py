# Dice that is right for soft labels too.
loss_decode = [dict(type='DiceSemimetricLoss', ignore_index=255)]
