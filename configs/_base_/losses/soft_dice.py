# The classic Dice loss; norm=2 is V-Net's.
custom_imports = dict(imports=['mmseg_plugin'])
loss_decode = [dict(type='SoftDiceLoss', ignore_index=255)]
