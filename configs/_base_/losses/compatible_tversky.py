# Tversky on soft labels too: alpha weighs false positives, beta false negatives.
custom_imports = dict(imports=['mmseg_plugin'])
loss_decode = [dict(type='CompatibleTverskyLoss', ignore_index=255)]
