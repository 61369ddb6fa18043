# Compares regions of pixels, beside a cross-entropy. 2-D images alone.
custom_imports = dict(imports=['mmseg_plugin'])
loss_decode = [dict(type='RegionMutualInformationLoss', ignore_index=255)]
