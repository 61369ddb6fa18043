# The Tversky loss of each cell to the power 1/gamma.
custom_imports = dict(imports=['mmseg_plugin'])
loss_decode = [dict(type='FocalTverskyLoss', ignore_index=255)]
