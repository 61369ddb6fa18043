# The classic Dice loss; norm=2 is V-Net's.
loss_decode = [dict(type='SoftDiceLoss', ignore_index=255)]
