# Squared errors on a class and off it, each over its own size.
custom_imports = dict(imports=['mmseg_plugin'])
loss_decode = [dict(type='SensitivitySpecificityLoss', ignore_index=255)]
