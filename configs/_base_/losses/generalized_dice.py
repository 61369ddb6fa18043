# Dice with classes weighted by their volume, for classes of very different sizes.
custom_imports = dict(imports=['mmseg_plugin'])
loss_decode = [dict(type='GeneralizedDiceLoss', ignore_index=255)]
