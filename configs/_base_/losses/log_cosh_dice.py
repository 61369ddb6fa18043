# Dice with a slope that falls to 0 where the prediction is right.
custom_imports = dict(imports=['mmseg_plugin'])
loss_decode = [dict(type='LogCoshDiceLoss', ignore_index=255)]
