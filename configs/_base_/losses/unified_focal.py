# Focal cross-entropy and focal Tversky under one delta and one gamma.
custom_imports = dict(imports=['mmseg_plugin'])
loss_decode = [dict(type='UnifiedFocalLoss', ignore_index=255)]
